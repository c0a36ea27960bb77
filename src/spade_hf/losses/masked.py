"""L1 loss between features, limited to a mask.

Legend: N batch, C channels, H W height and width of the images, h w of the features.
"""

import torch.nn.functional as F
from torch import Tensor


def masked_l1_loss(fake: Tensor, real: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the mean absolute difference; features outside the mask count as equal.

    Args:
        fake, real (`Tensor`): `(N, C, h, w)`.
        mask (`Tensor`, *optional*): bool `(N, H, W)`, True where features are compared. A feature's weight is the
            share of its pixels that are True.
    """
    if mask is None:
        return F.l1_loss(fake, real)
    share = F.interpolate(mask[:, None].to(fake.dtype), fake.shape[-2:], mode="area")  # (N, 1, h, w)
    return (share * (fake - real).abs()).mean()
