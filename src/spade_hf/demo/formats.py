"""Formats of images that the page offers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


CANVAS_SIDE = 512  # pixels; a smaller canvas is enlarged by an integer factor up to this, so that it is not coarse
RATIOS = {"Square": 1.0, "3:2": 3 / 2, "16:9": 16 / 9}  # width to height
NEAR_RATIO = 0.03  # largest relative deviation from a ratio


@dataclass(frozen=True)
class Format:
    """A format of images.

    Args:
        name (`str`): Its name on the page.
        size (`tuple[int, int]`): Height and width of the images.
        canvas_size (`tuple[int, int]`): Height and width of the canvas, an integer multiple of `size`.
    """

    name: str
    size: tuple[int, int]
    canvas_size: tuple[int, int]


def formats_of(size: tuple[int, int], divisor: int) -> tuple[Format, ...]:
    """List the formats of a model, its own first; wider ones only for a square model.

    Args:
        size (`tuple[int, int]`): Height and width that the model was made for.
        divisor (`int`): Sides of its images are multiples of it.
    """
    height, width = size
    sizes = {f"{width}:{height}": size}
    if height == width:
        widths = {name: round(height * ratio / divisor) * divisor for name, ratio in RATIOS.items()}
        sizes = {
            name: (height, wide) for name, wide in widths.items() if abs(wide / height / RATIOS[name] - 1) < NEAR_RATIO
        }
    factor = max(1, CANVAS_SIDE // max(size))
    return tuple(Format(name, size, (size[0] * factor, size[1] * factor)) for name, size in sizes.items())


def nearest_format(shape: Sequence[int], formats: Sequence[Format]) -> Format:
    """Find the format whose ratio is nearest to that of `shape`, height and width."""
    ratio = math.log(shape[1] / shape[0])
    return min(formats, key=lambda one: abs(math.log(one.size[1] / one.size[0]) - ratio))


def reframed(label_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Put ids `(H, W)` in a frame of another size around the same center.

    What is outside the frame is cut off; what is missing is continued by the ids at the border.
    """
    rows, columns = (
        np.clip(np.arange(new) - (new - old) // 2, 0, old - 1) for new, old in zip(size, label_map.shape, strict=True)
    )
    return label_map[np.ix_(rows, columns)]
