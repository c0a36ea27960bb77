"""Feature matching in the discriminator (Wang et al. 2018, pix2pixHD, equation 4).

Legend: N batch, C channels, S scales, H W height and width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .masked import masked_l1_loss


def feature_matching_loss(
    fake_features: Sequence[Sequence[Tensor]],
    real_features: Sequence[Sequence[Tensor]],
    mask: Tensor | None = None,
) -> Tensor:
    """Compute each layer's mean absolute difference, summed over layers and averaged over scales; a scalar.

    Args:
        fake_features (`Sequence[Sequence[Tensor]]`): For each of S scales, the layers' outputs `(N, C, H, W)`.
        real_features (`Sequence[Sequence[Tensor]]`): The same for the real images; no gradient flows into them.
        mask (`Tensor`, *optional*): bool `(N, H, W)`, True where the images should match.
    """
    total = torch.zeros((), device=fake_features[0][0].device)
    for fake_layers, real_layers in zip(fake_features, real_features, strict=True):
        for fake, real in zip(fake_layers, real_layers, strict=True):
            total = total + masked_l1_loss(fake, real.detach(), mask)
    return total / len(fake_features)
