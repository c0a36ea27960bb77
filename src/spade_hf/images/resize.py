"""Resizing of label maps and images, and image sizes in a mask's proportions.

Each pixel of a resized label map takes the label under its center, as in Pillow. Images are also resized by pixel
centers, so that a photograph and its mask stay aligned. Torch's `mode="nearest"` takes the label under a pixel's
corner, half a pixel off. The networks use this mode for their masks, as published weights expect: `layers/mask.py`.
"""

import itertools
import math
from numbers import Integral
from typing import TypeVar

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F


ASPECT_TOLERANCE = 0.02  # images can differ in size if they show the same frame; their aspect ratios by this share
Labels = TypeVar("Labels", PIL.Image.Image, np.ndarray, torch.Tensor)


def resize_labels(labels: Labels, size: tuple[int, int]) -> Labels:
    """Resize ids, their colors or soft masks by nearest neighbor, which creates no new values.

    Args:
        labels (`PIL.Image.Image`, `np.ndarray` or `torch.Tensor`): An image of any mode, or `(..., H, W)` of any type.
        size (`tuple[int, int]`): Height and width.

    Returns:
        The same kind of object at that size; the same pixels are picked from every kind.
    """
    if isinstance(labels, PIL.Image.Image):
        return labels.resize((size[1], size[0]), PIL.Image.Resampling.NEAREST)
    rows, columns = map(_nearest_positions, labels.shape[-2:], size)  # (height,), (width,)
    if isinstance(labels, torch.Tensor):
        rows, columns = (torch.from_numpy(indices).to(labels.device) for indices in (rows, columns))
    return labels[..., rows[:, None], columns]


def resize_photo(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize an image `(I, H, W)` in [0, 1] to a height and width, bilinear with antialiasing."""
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def stack_labels(label_maps: list[torch.Tensor], height: int | None, width: int | None, argument: str) -> torch.Tensor:
    """Resize labels `(..., H, W)` to one size, `None` for their own, and stack them: `(N, ..., height, width)`."""
    return _stack([resize_labels(one, _size(one, height, width)) for one in label_maps], argument)


def stack_photos(images: list[torch.Tensor], height: int | None, width: int | None, argument: str) -> torch.Tensor:
    """Resize images `(I, H, W)` to one size, `None` for their own, and stack them: `(N, I, height, width)`."""
    return _stack([resize_photo(one, _size(one, height, width)) for one in images], argument)


def have_equal_proportions(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether images of two sizes (width, height), or two (height, width), can show the same frame."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= ASPECT_TOLERANCE  # the ratio of two aspect ratios


def size_of(image: torch.Tensor) -> str:
    """Format height and width of `(..., H, W)` for messages."""
    return f"{image.shape[-2]}x{image.shape[-1]}"


def size_in_proportion(
    mask_size: tuple[int, int], *, area: int, divisor: int, height: int | None = None, width: int | None = None
) -> tuple[int, int]:
    """Choose an image size that keeps the mask's proportions as closely as multiples of `divisor` allow.

    Args:
        mask_size (`tuple[int, int]`): Height and width of the mask.
        area (`int`): Approximate number of pixels of the image if neither side is given.
        divisor (`int`): A chosen side is one of the two multiples of it next to the exact side.
        height, width (`int`, *optional*): Given sides; a missing side is chosen.
    """
    # The exact sides: from one that is given, or from the area.
    proportions = mask_size[0] / mask_size[1]
    exact_height = height or (width or math.sqrt(area / proportions)) * proportions
    exact_width = width or exact_height / proportions

    def multiples(exact: float) -> list[int]:
        return [max(1, around(exact / divisor)) * divisor for around in (math.floor, math.ceil)]

    # Of the multiples next to them: first the proportions count, then the area, each as a ratio.
    return min(
        itertools.product(
            [height] if height else multiples(exact_height), [width] if width else multiples(exact_width)
        ),
        key=lambda size: (
            abs(math.log(size[0] / size[1] / proportions)),
            abs(math.log(size[0] * size[1] / area)),
        ),
    )


def _size(image: torch.Tensor, height: int | None, width: int | None) -> tuple[int, int]:
    for name, value in (("height", height), ("width", width)):
        if value is not None and (not isinstance(value, Integral) or value < 1):
            raise ValueError(f"`{name}` is {value!r}; it is a number of pixels, 1 or more.")
    return int(height or image.shape[-2]), int(width or image.shape[-1])


def _stack(images: list[torch.Tensor], argument: str) -> torch.Tensor:
    if len({image.shape[-2:] for image in images}) > 1:
        sizes = ", ".join(dict.fromkeys(map(size_of, images)))
        raise ValueError(f"`{argument}` holds sizes {sizes} (height x width); make them equal or give one size.")
    return torch.stack(images)


def _nearest_positions(source: int, target: int) -> np.ndarray:
    """Return the source positions that Pillow picks, int64 `(target,)`; Pillow computes them, so rounding matches."""
    positions = PIL.Image.fromarray(np.arange(source, dtype=np.int32)[None])  # (1, source)
    return np.array(positions.resize((target, 1), PIL.Image.Resampling.NEAREST))[0].astype(np.int64)
