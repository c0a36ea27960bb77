"""The losses of both phases of a training iteration (Park et al. 2019, section 3).

A phase expects that only its own networks require gradients; the caller runs backward and the optimizers.

Legend: N batch, H W height and width, Z latent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..execution.gradient_checkpointing import frozen_statistics
from ..losses import AdversarialObjective, Objective
from ..models import MultiscaleDiscriminatorOutput
from .augmentation import DiscriminatorAugmentation
from .synthesis import DISCRIMINATOR_PHASE, GENERATOR_PHASE, Batch, discriminate, generate


@dataclass
class StepOutput:
    """Output of a phase.

    Args:
        loss (`Tensor`): Scalar to run backward on: the sum of the weighted terms.
        terms (`dict[str, Tensor]`): Unweighted, detached scalars by name.
        real_logits, fake_logits (`Tensor`): Detached scalars; see [`~AdversarialObjective.realness`].
        fake_images (`Tensor`): Detached, `(N, 3, H, W)` in [-1, 1].
    """

    loss: Tensor
    terms: dict[str, Tensor]
    real_logits: Tensor
    fake_logits: Tensor
    fake_images: Tensor


def generator_step(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    discriminator: nn.Module,
    batch: Batch,
    *,
    objective: Objective,
    latent_dim: int | None,
    augmentation: DiscriminatorAugmentation | None = None,
) -> StepOutput:
    """Compute the generator's loss, which also trains the style encoder.

    Args:
        generator: Mask and latent to images.
        style_encoder: Image to posterior, or `None`.
        discriminator: Frozen.
        batch: See [`generate`] and [`GeneratorOutputs`].
        objective: Terms and weights.
        latent_dim: Z, or `None` for a model without latent.
        augmentation (*optional*): Changes the discriminator's inputs.

    Raises:
        FloatingPointError: If a term is not finite; the message names it.
    """
    fake_images, posterior = generate(generator, style_encoder, batch, GENERATOR_PHASE, latent_dim=latent_dim)
    judged, shown = _augmented(augmentation, batch, GENERATOR_PHASE, fake_images, batch["real_images"])
    (fake,) = discriminate(discriminator, judged, shown[0])
    with torch.no_grad(), frozen_statistics(discriminator):  # no gradients needed; the same normalized weights
        (real,) = discriminate(discriminator, judged, shown[1])
    terms = objective.generator_terms(batch, fake_images, posterior, fake, real, judged=judged)
    return _output(objective.generator_loss(terms), terms, real, fake, fake_images, objective.adversarial)


def discriminator_step(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    discriminator: nn.Module,
    batch: Batch,
    *,
    objective: Objective,
    latent_dim: int | None,
    augmentation: DiscriminatorAugmentation | None = None,
    fake_images: Tensor | None = None,
) -> StepOutput:
    """Compute the discriminator's loss on real and detached fake images; for the arguments see [`generator_step`].

    Args:
        fake_images (`Tensor`, *optional*): `(N, 3, H, W)` in [-1, 1], detached, instead of new ones.

    Raises:
        FloatingPointError: If a term is not finite; the message names it.
    """
    if fake_images is None:
        with torch.no_grad():
            fake_images, _ = generate(generator, style_encoder, batch, DISCRIMINATOR_PHASE, latent_dim=latent_dim)
    judged, shown = _augmented(augmentation, batch, DISCRIMINATOR_PHASE, fake_images, batch["real_images"])
    where_real = objective.adversarial.mixture(judged)
    if where_real is not None:
        shown.append(torch.where(where_real[:, None], shown[1], shown[0]))
    fake, real, *mixed = discriminate(discriminator, judged, *shown)
    terms = objective.discriminator_terms(judged, fake, real, *mixed)
    loss = torch.stack([*terms.values()]).sum()
    return _output(loss, terms, real, fake, fake_images, objective.adversarial)


def _augmented(
    augmentation: DiscriminatorAugmentation | None, batch: Batch, phase: int, *images: Tensor
) -> tuple[Batch, list[Tensor]]:
    """Return the discriminator's inputs: the batch and the images, augmented if required."""
    return (batch, list(images)) if augmentation is None else augmentation(batch, phase, *images)


def _output(
    loss: Tensor,
    terms: Mapping[str, Tensor],
    real: MultiscaleDiscriminatorOutput,
    fake: MultiscaleDiscriminatorOutput,
    fake_images: Tensor,
    adversarial: AdversarialObjective,
) -> StepOutput:
    terms = {name: term.detach() for name, term in terms.items()}
    finite = torch.isfinite(torch.stack(list(terms.values()))).tolist()  # waits for the device once, not once per term
    if not all(finite):
        bad = [f"{name} is {term.item()}" for (name, term), ok in zip(terms.items(), finite, strict=True) if not ok]
        raise FloatingPointError(
            f"Training diverged: {', '.join(bad)}. Lower the learning rates, or resume an older checkpoint."
        )
    real_logits, fake_logits = (adversarial.realness(output).detach() for output in (real, fake))
    return StepOutput(loss, terms, real_logits, fake_logits, fake_images.detach())
