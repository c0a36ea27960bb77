"""Colour loss: compares blurred images, so that only light and colours count (Ignatov et al. 2017, arXiv 1704.02470).

Legend: N batch, H W height and width.
"""

import torch.nn.functional as F
from torch import Tensor

from .masked import masked_l1_loss


CELL = 16  # pixels; the cells' means are the blurred image


def color_loss(fake_images: Tensor, real_images: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the mean absolute difference of the images' means over cells of 16x16 pixels; a scalar.

    Args:
        fake_images, real_images (`Tensor`): `(N, 3, H, W)` in [-1, 1].
        mask (`Tensor`, *optional*): bool `(N, H, W)`, True where the images should match.
    """
    fake, real = (F.avg_pool2d(images, CELL, ceil_mode=True) for images in (fake_images, real_images))
    return masked_l1_loss(fake, real, mask)
