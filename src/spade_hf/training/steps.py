"""The losses of both phases as functions of bare networks, for training loops of one's own; see `game.py`."""

from torch import Tensor, nn

from ..batch import Batch
from ..losses import Objective
from .augmentation import DiscriminatorAugmentation
from .game import PhaseOutput, Phases


def generator_step(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    discriminator: nn.Module,
    batch: Batch,
    *,
    objective: Objective,
    latent_dim: int | None,
    augmentation: DiscriminatorAugmentation | None = None,
) -> PhaseOutput:
    """Compute the generator's loss, which also trains the style encoder; the caller runs backward and the optimizer.

    Args:
        generator: Mask and latent to images.
        style_encoder: Image to posterior, or `None`.
        discriminator: Frozen.
        batch: The batch; see [`Batch`].
        objective: Terms and weights.
        latent_dim: Z, or `None` for a model without latent.
        augmentation (*optional*): Changes the discriminator's inputs.

    Raises:
        FloatingPointError: If a term is not finite; the message names it.
    """
    phases = Phases(generator, style_encoder, discriminator, discriminator, objective, latent_dim, augmentation)
    return phases.generator_phase(batch)


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
) -> PhaseOutput:
    """Compute the discriminator's loss on real and detached fake images; for the arguments see [`generator_step`].

    Args:
        fake_images (`Tensor`, *optional*): `(N, 3, H, W)` in [-1, 1], detached, instead of new ones.

    Raises:
        FloatingPointError: If a term is not finite; the message names it.
    """
    phases = Phases(generator, style_encoder, discriminator, discriminator, objective, latent_dim, augmentation)
    return phases.discriminator_phase(batch, fake_images)
