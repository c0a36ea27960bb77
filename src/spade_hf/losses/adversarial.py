"""Adversarial losses: what a discriminator's logits mean, for it and for the generator.

Legend: N batch, S scales, L labels without unknown, H W height and width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import MultiscaleDiscriminatorOutput


class AdversarialObjective(ABC):
    """The losses that belong to a discriminator.

    `batch` is what the discriminator was shown with the images: `label_map` int `(N, H, W)`; perhaps `agreement` bool
    `(N, H, W)`, outside of which the real image is not what the label says, and `visible` bool `(N, H, W)`, outside
    of which augmentation hid the images.
    """

    @abstractmethod
    def generator_loss(
        self, batch: Mapping[str, Tensor], fake: MultiscaleDiscriminatorOutput, real: MultiscaleDiscriminatorOutput
    ) -> Tensor:
        """Low where fake images pass for real ones; a scalar. No gradient reaches the real images' output."""

    @abstractmethod
    def discriminator_terms(
        self,
        batch: Mapping[str, Tensor],
        fake: MultiscaleDiscriminatorOutput,
        real: MultiscaleDiscriminatorOutput,
        mixed: MultiscaleDiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """Scalars by name, to be added: of fake, of real, and of mixed images if there are such."""

    def mixture(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Where images that the discriminator is shown in addition are real, bool `(N, H, W)`; elsewhere fake."""
        return None

    def realness(self, output: MultiscaleDiscriminatorOutput) -> Tensor:
        """How real the images look to the discriminator, for the log: a scalar, high means real."""
        return torch.stack([logits.mean() for logits in output.logits]).mean()


class HingeObjective(AdversarialObjective):
    """The hinge on patches' logits, of [`MultiscaleDiscriminator`] (Park et al. 2019, section 3)."""

    def generator_loss(
        self, batch: Mapping[str, Tensor], fake: MultiscaleDiscriminatorOutput, real: MultiscaleDiscriminatorOutput
    ) -> Tensor:
        """See [`hinge_generator_loss`]."""
        return hinge_generator_loss(fake.logits)

    def discriminator_terms(
        self,
        batch: Mapping[str, Tensor],
        fake: MultiscaleDiscriminatorOutput,
        real: MultiscaleDiscriminatorOutput,
        mixed: MultiscaleDiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """See [`hinge_discriminator_loss`]."""
        real_loss, fake_loss = hinge_discriminator_loss(real.logits, fake.logits)
        return {"discriminator_real": real_loss, "discriminator_fake": fake_loss}


class RelativisticObjective(AdversarialObjective):
    """A fake patch against the real patch of the same place and mask (Jolicoeur-Martineau 2018, arXiv 1807.00734).

    The pairing is that of Huang et al. 2024 (arXiv 2501.05441), whose penalties on gradients are left out.
    """

    def generator_loss(
        self, batch: Mapping[str, Tensor], fake: MultiscaleDiscriminatorOutput, real: MultiscaleDiscriminatorOutput
    ) -> Tensor:
        """See [`relativistic_loss`]."""
        return relativistic_loss(fake.logits, real.logits)

    def discriminator_terms(
        self,
        batch: Mapping[str, Tensor],
        fake: MultiscaleDiscriminatorOutput,
        real: MultiscaleDiscriminatorOutput,
        mixed: MultiscaleDiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """See [`relativistic_loss`]."""
        return {"discriminator": relativistic_loss(real.logits, fake.logits)}


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


def relativistic_loss(logits: Sequence[Tensor], other_logits: Sequence[Tensor]) -> Tensor:
    """`E[softplus(D(other) - D(one))]`, averaged over scales: low where one looks more real than the other.

    Args:
        logits, other_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)` each, of the same masks.
    """
    pairs = zip(logits, other_logits, strict=True)
    return torch.stack([F.softplus(other - one).mean() for one, other in pairs]).mean()
