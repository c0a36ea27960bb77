"""Hinge adversarial losses, averaged over the discriminator's scales (Lim and Ye 2017; Park et al. 2019, section 3).

Legend: N batch, S scales, H W height and width.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def hinge_generator_loss(fake_logits: Sequence[Tensor]) -> Tensor:
    """`-E[D(fake)]`, a scalar.

    Args:
        fake_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`; high means real.
    """
    return torch.stack([-logits.mean() for logits in fake_logits]).mean()


def hinge_discriminator_loss(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """`E[max(0, 1 - D(real))]` and `E[max(0, 1 + D(fake))]`, two scalars to be added.

    Args:
        real_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`; high means real.
        fake_logits (`Sequence[Tensor]`): S tensors `(N, 1, H, W)`.
    """
    real = torch.stack([F.relu(1 - logits).mean() for logits in real_logits]).mean()
    fake = torch.stack([F.relu(1 + logits).mean() for logits in fake_logits]).mean()
    return real, fake
