"""Augmentation for a segmenter, which should know a label in any size, place and light.

Legend: I image channels, H W height and width of the pair, h w those of the sample.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.resize import resize_labels
from .photometric import distort
from .transforms import PairedTransform


ASPECT = 4 / 3  # the largest factor by which a crop is stretched


@dataclass(frozen=True)
class SegmentationTransform(PairedTransform):
    """Crops a part of random size, resizes it to the resolution, flips it, and changes its light.

    Args:
        resize_ratio (`float`, defaults to 4 / 3): The largest crop covers this multiple of the resolution.
        min_crop_share (`float`, defaults to 0.4): The smallest crop's share of the area of the largest.
        random_light (`bool`, defaults to `True`): Change the images' light, colors and sharpness; see [`distort`].
    """

    resize_ratio: float = 4 / 3
    min_crop_share: float = 0.4
    random_light: bool = True

    def __call__(
        self,
        image: Tensor,
        label_map: Tensor | None,
        edges: Tensor | None,
        condition: Tensor | None = None,
        *,
        num_labels: int,
        rng: torch.Generator,
    ) -> dict[str, Tensor]:
        """Transform a pair that has been resized to `resized_shape`.

        Args:
            image (`Tensor`): `(I, H, W)` in [-1, 1].
            label_map (`Tensor`): int64 `(H, W)` of label channels.
            edges, condition: `None`; a segmenter reads images alone.
            num_labels (`int`): Number of channels.
            rng (`torch.Generator`): The only source of randomness.

        Returns:
            `dict[str, Tensor]`: `real_images` `(I, h, w)` in [-1, 1] and `label_map` `(h, w)`.

        Raises:
            ValueError: If the mask is soft.
        """
        if label_map is None or label_map.is_floating_point():
            raise ValueError("A mask is soft; a segmenter learns from hard ones (ids, colors).")
        share, stretch, top, left, flip = torch.rand(5, generator=rng).tolist()
        scale = self.resize_ratio * math.sqrt(self.min_crop_share + (1 - self.min_crop_share) * share)
        aspect = ASPECT ** (stretch - 0.5)
        shape = (image.shape[-2], image.shape[-1])
        factors = (scale * aspect, scale / aspect)
        height, width = (
            max(1, min(size, round(side * factor)))
            for size, side, factor in zip(shape, self.resolution, factors, strict=True)
        )
        top, left = int(top * (shape[0] - height + 1)), int(left * (shape[1] - width + 1))
        crop = (..., slice(top, top + height), slice(left, left + width))
        pixels = F.interpolate(image[crop][None], self.resolution, mode="bilinear", antialias=True)[0].clamp(-1, 1)
        labels = resize_labels(label_map[crop], self.resolution)
        if self.random_flip and flip < 0.5:
            pixels, labels = pixels.flip(-1), labels.flip(-1)
        return {"real_images": distort(pixels, rng) if self.random_light else pixels, "label_map": labels}
