"""Adversarial losses on a discriminator's logits, for the discriminator and the generator.

Legend: N batch, S scales, L labels without unknown, H W height and width.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..batch import Batch
from ..models import DiscriminatorOutput


class AdversarialLoss(ABC):
    """The losses that belong to one type of discriminator, one for each side.

    `batch` is the [`Batch`] as the discriminator saw it, its maps moved by augmentation. Its `label_map` is read, and
    optionally `agreement` and `visible`.
    """

    def __init_subclass__(cls) -> None:
        """Refuse methods of earlier versions, which nothing would call."""
        for old, new in {"generator_loss": "for_generator", "discriminator_terms": "for_discriminator"}.items():
            if old in vars(cls):
                raise TypeError(f"`{cls.__name__}.{old}` is an earlier version's name. Rename it to `{new}`.")

    @abstractmethod
    def for_generator(self, batch: Batch, fake: DiscriminatorOutput, real: DiscriminatorOutput) -> Tensor:
        """Compute a scalar that is low if fake images pass for real ones; no gradient flows into `real`."""

    @abstractmethod
    def for_discriminator(
        self,
        batch: Batch,
        fake: DiscriminatorOutput,
        real: DiscriminatorOutput,
        mixed: DiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """Compute scalars by name, to be summed: for fake, real and, if given, mixed images."""

    def mixture(self, batch: Batch) -> Tensor | None:
        """Return where to mix real pixels into fake images, bool `(N, H, W)`; `None` if no mixed images are needed."""
        return None

    def realness(self, output: DiscriminatorOutput) -> Tensor:
        """Return how real the images look to the discriminator, for the log: a scalar, high means real."""
        return torch.stack([logits.mean() for logits in output.logits]).mean()  # (S,) -> ()


class HingeObjective(AdversarialLoss):
    """Hinge losses on patch logits, as of [`MultiscaleDiscriminator`] (Park et al. 2019, section 3)."""

    def for_generator(self, batch: Batch, fake: DiscriminatorOutput, real: DiscriminatorOutput) -> Tensor:
        """See [`hinge_generator_loss`]."""
        return hinge_generator_loss(fake.logits)

    def for_discriminator(
        self,
        batch: Batch,
        fake: DiscriminatorOutput,
        real: DiscriminatorOutput,
        mixed: DiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """See [`hinge_discriminator_loss`]."""
        real_loss, fake_loss = hinge_discriminator_loss(real.logits, fake.logits)
        return {"discriminator_real": real_loss, "discriminator_fake": fake_loss}


class RelativisticObjective(AdversarialLoss):
    """Fake patches against real patches of the same position and mask (Jolicoeur-Martineau 2018, arXiv 1807.00734).

    The pairing follows Huang et al. 2024 (arXiv 2501.05441), without their gradient penalties.
    """

    def for_generator(self, batch: Batch, fake: DiscriminatorOutput, real: DiscriminatorOutput) -> Tensor:
        """See [`relativistic_loss`]."""
        return relativistic_loss(fake.logits, real.logits)

    def for_discriminator(
        self,
        batch: Batch,
        fake: DiscriminatorOutput,
        real: DiscriminatorOutput,
        mixed: DiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """See [`relativistic_loss`]."""
        return {"discriminator": relativistic_loss(real.logits, fake.logits)}


def hinge_generator_loss(fake_logits: Sequence[Tensor]) -> Tensor:
    """Compute `-E[D(fake)]`, averaged over the discriminator's scales (Lim and Ye 2017); a scalar.

    Args:
        fake_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`; high means real.
    """
    return torch.stack([-logits.mean() for logits in fake_logits]).mean()  # (S,) -> ()


def hinge_discriminator_loss(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Compute `E[max(0, 1 - D(real))]` and `E[max(0, 1 + D(fake))]`, two scalars to be summed (Lim and Ye 2017).

    Args:
        real_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`; high means real.
        fake_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`.
    """
    # no gradient from patches that are already right by a margin of 1
    real = torch.stack([F.relu(1 - logits).mean() for logits in real_logits]).mean()  # (S,) -> ()
    fake = torch.stack([F.relu(1 + logits).mean() for logits in fake_logits]).mean()  # (S,) -> ()
    return real, fake


def relativistic_loss(logits: Sequence[Tensor], other_logits: Sequence[Tensor]) -> Tensor:
    """Compute `E[softplus(other_logits - logits)]`, averaged over scales: low if `logits` exceed `other_logits`.

    Args:
        logits, other_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)` each, of the same masks.
    """
    pairs = zip(logits, other_logits, strict=True)
    # softplus(-d) = -log sigmoid(d): of the difference d, so that it does not matter how high both are
    return torch.stack([F.softplus(other - one).mean() for one, other in pairs]).mean()  # (S,) -> ()
