"""Shapes of pictures that the page offers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


CANVAS_SIDE = 512  # pixels at least, so that a small model's canvas is not coarse to paint on
RATIOS = {"Square": 1.0, "3:2": 3 / 2, "16:9": 16 / 9}  # width to height
NEAR_RATIO = 0.03  # how far the sides that a model can paint may be from a ratio


@dataclass(frozen=True)
class Format:
    """A shape.

    Args:
        name (`str`): What the page calls it.
        size (`tuple[int, int]`): Height and width of the pictures.
        canvas_size (`tuple[int, int]`): Height and width of the canvas, the same multiple of both.
    """

    name: str
    size: tuple[int, int]
    canvas_size: tuple[int, int]


def formats_of(size: tuple[int, int], divisor: int) -> tuple[Format, ...]:
    """The formats of a model, its own first; wider ones only for a square model.

    Args:
        size (`tuple[int, int]`): Height and width that it was made for.
        divisor (`int`): Sides of its pictures are multiples of it.
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
    """The format whose ratio is nearest to that of `shape`, height and width."""
    ratio = math.log(shape[1] / shape[0])
    return min(formats, key=lambda one: abs(math.log(one.size[1] / one.size[0]) - ratio))
