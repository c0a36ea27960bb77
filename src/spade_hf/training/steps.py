"""The losses of both phases of a training iteration (Park et al. 2019, section 3).

A phase expects that only its own networks require gradients; the caller runs backward and the optimizers.

Legend: N batch, H W height and width, Z latent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..execution.gradient_checkpointing import frozen_statistics
from ..losses import Objective
from ..models import MultiscaleDiscriminatorOutput
from .synthesis import DISCRIMINATOR_PHASE, GENERATOR_PHASE, Batch, discriminate, generate


@dataclass
class StepOutput:
    """What a phase computed.

    Args:
        loss (`Tensor`): Scalar to run backward on: the weighted terms, added.
        terms (`dict[str, Tensor]`): Unweighted, detached scalars by name.
        real_logits, fake_logits (`Tensor`): Detached scalars, means over positions and scales.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    real_logits: Tensor
    fake_logits: Tensor


def generator_step(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    discriminator: nn.Module,
    batch: Batch,
    *,
    objective: Objective,
    latent_dim: int | None,
) -> StepOutput:
    """The generator's loss, which also trains the style encoder.

    Args:
        generator: Mask and latent to images.
        style_encoder: Image to posterior, or `None`.
        discriminator: Frozen.
        batch: See [`generate`] and [`GeneratorOutputs`].
        objective: Terms and weights.
        latent_dim: Z, or `None` for a model without latent.

    Raises:
        FloatingPointError: If a term is not finite; it names the term.
    """
    fake_images, posterior = generate(generator, style_encoder, batch, GENERATOR_PHASE, latent_dim=latent_dim)
    (fake,) = discriminate(discriminator, batch, fake_images)
    with torch.no_grad(), frozen_statistics(discriminator):  # no gradient reaches the real images; same weights
        (real,) = discriminate(discriminator, batch, batch["real_images"])
    terms = objective.generator_terms(batch, fake_images, posterior, fake, real)
    return _output(objective.generator_loss(terms), terms, real, fake)


def discriminator_step(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    discriminator: nn.Module,
    batch: Batch,
    *,
    objective: Objective,
    latent_dim: int | None,
) -> StepOutput:
    """The discriminator's loss on real and on fresh, frozen fake images; the arguments are [`generator_step`]'s.

    Raises:
        FloatingPointError: If a term is not finite; it names the term.
    """
    with torch.no_grad():
        fake_images, _ = generate(generator, style_encoder, batch, DISCRIMINATOR_PHASE, latent_dim=latent_dim)
    fake, real = discriminate(discriminator, batch, fake_images, batch["real_images"])
    terms = objective.discriminator_terms(batch, fake, real)
    return _output(torch.stack([*terms.values()]).sum(), terms, real, fake)


def _output(
    loss: Tensor,
    terms: Mapping[str, Tensor],
    real: MultiscaleDiscriminatorOutput,
    fake: MultiscaleDiscriminatorOutput,
) -> StepOutput:
    terms = {name: term.detach() for name, term in terms.items()}
    finite = torch.isfinite(torch.stack(list(terms.values()))).tolist()  # one wait for the device, not one a term
    if not all(finite):
        bad = [f"{name} is {term.item()}" for (name, term), ok in zip(terms.items(), finite, strict=True) if not ok]
        raise FloatingPointError(
            f"Training diverged: {', '.join(bad)}. Lower the learning rates, or resume an older checkpoint."
        )
    real_logits, fake_logits = (
        torch.stack([logits.detach().mean() for logits in output.logits]).mean() for output in (real, fake)
    )
    return StepOutput(loss, terms, real_logits, fake_logits)
