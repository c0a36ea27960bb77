"""Adversarial losses: what a discriminator's logits mean, for it and for the generator.

Legend: N batch, S scales, H W height and width.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import MultiscaleDiscriminatorOutput


class AdversarialObjective(Protocol):
    """The losses that belong to a discriminator. `batch` holds the `label_map` int `(N, H, W)` of its images."""

    def generator_loss(self, fake: MultiscaleDiscriminatorOutput, batch: Mapping[str, Tensor]) -> Tensor:
        """Low where fake images pass for real ones; a scalar."""
        ...

    def discriminator_losses(
        self, real: MultiscaleDiscriminatorOutput, fake: MultiscaleDiscriminatorOutput, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Of real and of fake images; scalars to be added."""
        ...


class HingeObjective:
    """The hinge on patches' logits, of [`MultiscaleDiscriminator`] (Park et al. 2019, section 3)."""

    def generator_loss(self, fake: MultiscaleDiscriminatorOutput, batch: Mapping[str, Tensor]) -> Tensor:
        """See [`hinge_generator_loss`]."""
        return hinge_generator_loss(fake.logits)

    def discriminator_losses(
        self, real: MultiscaleDiscriminatorOutput, fake: MultiscaleDiscriminatorOutput, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """See [`hinge_discriminator_loss`]."""
        return hinge_discriminator_loss(real.logits, fake.logits)


def hinge_generator_loss(fake_logits: Sequence[Tensor]) -> Tensor:
    """`-E[D(fake)]`, averaged over the discriminator's scales (Lim and Ye 2017); a scalar.

    Args:
        fake_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`; high means real.
    """
    return torch.stack([-logits.mean() for logits in fake_logits]).mean()


def hinge_discriminator_loss(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """`E[max(0, 1 - D(real))]` and `E[max(0, 1 + D(fake))]`, two scalars to be added (Lim and Ye 2017).

    Args:
        real_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`; high means real.
        fake_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`.
    """
    real = torch.stack([F.relu(1 - logits).mean() for logits in real_logits]).mean()
    fake = torch.stack([F.relu(1 + logits).mean() for logits in fake_logits]).mean()
    return real, fake
