"""Joint augmentation of an image, its label map and its instance edges.

Legend: I image channels, L label channels, P condition channels, H W height and width, h w the crop's.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .simplification import simplify_label_map


@dataclass(frozen=True)
class PairedTransform:
    """Resizes, crops and flips an image and its maps alike, and simplifies some label maps.

    Args:
        resolution (`tuple[int, int]`): (height, width) of the result in pixels.
        resize_ratio (`float`, defaults to 286 / 256): The image is resized to cover this multiple of the resolution
            before the crop. Its aspect ratio is kept.
        center_crop (`bool`, defaults to `False`): Crop the middle instead of a random place.
        random_flip (`bool`, defaults to `True`): Mirror half of the samples.
        simplify_probability (`float`, defaults to 0): Share of samples whose label map is redrawn as if by hand; see
            [`simplify_label_map`]. From exact maps only, a model learns nothing about drawn ones.
    """

    resolution: tuple[int, int]
    resize_ratio: float = 286 / 256
    center_crop: bool = False
    random_flip: bool = True
    simplify_probability: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.resize_ratio < math.inf:  # also refuses NaN
            raise ValueError(f"`resize_ratio` is {self.resize_ratio}; it must be 1 or more, to cover the crop.")

    def resized_shape(self, height: int, width: int) -> tuple[int, int]:
        """Return the size at which an image covers `resize_ratio` x `resolution`, with its aspect ratio kept."""
        scale = self.resize_ratio * max(self.resolution[0] / height, self.resolution[1] / width)
        resized_height, resized_width = (
            max(math.floor(side * scale + 0.5), target)
            for side, target in zip((height, width), self.resolution, strict=True)
        )
        return resized_height, resized_width

    def shown_share(self, height: int, width: int) -> float:
        """Return the share of an image's area that is left after the crop, in (0, 1]."""
        return math.prod(self.resolution) / math.prod(self.resized_shape(height, width))

    def placement(self, shape: Sequence[int], shares: Tensor) -> Callable[[Tensor], Tensor]:
        """Choose the crop of an image, and whether it is mirrored.

        Args:
            shape (`Sequence[int]`): H and W.
            shares (`Tensor`): `(3,)` in [0, 1): where the crop is between top and bottom, and between left and right;
                the image is mirrored if the last is below one half.

        Returns:
            `Callable`: `(..., H, W)` to `(..., h, w)`.
        """
        *offset_shares, flip = shares.tolist()
        if self.center_crop:
            offset_shares = [0.5, 0.5]
        top, left = (
            int(one * (size - target + 1))  # uniform in 0..size - target, as the share is below 1
            for one, size, target in zip(offset_shares, shape, self.resolution, strict=True)
        )
        height, width = self.resolution

        def place(one: Tensor) -> Tensor:
            one = one[..., top : top + height, left : left + width]
            return one.flip(-1) if self.random_flip and flip < 0.5 else one

        return place

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
        """Transform one sample that has been resized to `resized_shape`.

        Args:
            image (`Tensor`): `(I, H, W)`.
            label_map (`Tensor`, *optional*): int64 `(H, W)` of label channels.
            edges (`Tensor`, *optional*): bool `(H, W)`.
            condition (`Tensor`, *optional*): `(P, H, W)`.
            num_labels (`int`): L.
            rng (`torch.Generator`): The only source of randomness.

        Returns:
            `dict[str, Tensor]`: A sample of a [`Batch`] of size `(h, w)`, without `seed`; with what is given of
                `label_map`, `instance_edges` and `condition`, and with `agreement` if maps can be simplified.
        """
        # all draws of a sample at once, in [0, 1), so that no option shifts those of another
        placing, simplify = torch.rand(4, generator=rng).split([3, 1])
        place = self.placement(image.shape[-2:], placing)
        given = {"label_map": label_map, "instance_edges": edges, "condition": condition}
        sample = {"real_images": place(image)} | {name: place(one) for name, one in given.items() if one is not None}
        if self.simplify_probability > 0:
            exact = sample["label_map"]  # (h, w)
            if simplify.item() < self.simplify_probability:
                sample["label_map"] = simplify_label_map(exact, num_labels, rng)
            sample["agreement"] = sample["label_map"] == exact  # (h, w): elsewhere the image shows another label
        return sample
