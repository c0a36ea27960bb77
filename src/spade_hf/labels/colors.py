"""Colors of label maps: the PASCAL VOC color map, and the conversion of colors to rows of a palette.

The VOC map (Everingham et al. 2010) spreads the bits of an index over the high bits of R, G and B. SPADE draws
COCO-Stuff in this map. It gives distinct colors to any number of labels below 2**24.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from math import ceil
from numbers import Integral
from typing import Any

import numpy as np


Color = tuple[int, int, int]
COLORS_IN_MESSAGE = 5
MANY_COLORS = 20
LINE = 1.5  # pixels of a line, per side of an image
MAX_COLOR_TOLERANCE = 442  # accepts every color: the distance from black to white is 441.7

# A mask that was saved as JPEG, even at quality 30, has at most a quarter of its pixels farther than this from every
# label's color. A photograph has at least two thirds of them, with any of the built-in label sets.
NEAR_COLOR = 10.0
PHOTO_SHARE = 0.4
PHOTO_COLORS = 256  # a mask in the colors of another label set has fewer, however far they are


def voc_colors() -> Iterator[Color]:
    """Iterate over the colors of the PASCAL VOC map, all distinct, without the first one, which is black."""
    return map(voc_color, count(1))


def voc_color(index: int) -> Color:
    """Return the color of an index, 0 or more, in the PASCAL VOC map."""
    red = green = blue = 0
    for bit in range(8):  # three bits of the index per round; the lowest three become the highest bits of R, G, B
        three_bits = index >> (3 * bit)
        red |= (three_bits & 1) << (7 - bit)
        green |= (three_bits >> 1 & 1) << (7 - bit)
        blue |= (three_bits >> 2 & 1) << (7 - bit)
    return red, green, blue


def checked_color(color: Any, label_set_name: str) -> Color:
    """Return the color as a tuple; ValueError if it is not three integers in 0..255."""
    values = tuple(color) if isinstance(color, Iterable) else (color,)
    if len(values) != 3 or not all(isinstance(v, Integral) and 0 <= int(v) <= 255 for v in values):
        raise ValueError(
            f"label set '{label_set_name}' has the color {list(values)}; a color is three integers in 0..255."
        )
    red, green, blue = map(int, values)  # numpy integers cannot be written to JSON
    return red, green, blue


def pack_colors(image: np.ndarray) -> np.ndarray:
    """Pack uint8 `(..., 3)` into int32 `(...)`, one 24-bit number per color."""
    red, green, blue = (image[..., i].astype(np.int32) for i in range(3))
    return (red << 16) | (green << 8) | blue


def unpack_colors(packed: np.ndarray) -> np.ndarray:
    """Undo `pack_colors`: `(...)` -> uint8 `(..., 3)`."""
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8)


def rows_of_colors(
    image: np.ndarray, palette: np.ndarray, *, color_tolerance: float | None, argument: str, palette_name: str
) -> np.ndarray:
    """Find each pixel's row in a palette of distinct colors.

    Args:
        image (`np.ndarray`): uint8 `(..., 3)`.
        palette (`np.ndarray`): uint8 `(L, 3)`, distinct rows.
        color_tolerance (`float`, *optional*): Largest Euclidean distance at which the nearest row is taken; `None`: 0.
        argument, palette_name (`str`): Names of the image and the palette in error messages.

    Returns:
        `np.ndarray`: int64 `(...)`, values in `0..L - 1`.
    """
    if image.dtype != np.uint8 or image.shape[-1:] != (3,):
        raise ValueError(f"{argument} is {image.dtype} {image.shape}; a map in colors is uint8 (..., 3).")
    if color_tolerance is not None and not color_tolerance >= 0:  # also catches NaN
        raise ValueError(f"`color_tolerance` is {color_tolerance}; it is a distance in RGB, 0 or more.")

    packed = pack_colors(image)  # (...)
    packed_palette = pack_colors(palette)  # (L,)
    order = np.argsort(packed_palette)
    ascending = packed_palette[order]
    place = np.searchsorted(ascending, packed).clip(max=len(ascending) - 1)  # (...)
    rows = order[place]
    off_palette = ascending[place] != packed
    if not off_palette.any():
        return rows

    strange, inverse, counts = np.unique(packed[off_palette], return_inverse=True, return_counts=True)
    nearest, distances = nearest_rows(unpack_colors(strange), palette)
    too_far = distances > (color_tolerance or 0.0)
    if too_far.any():
        far = counts[distances > NEAR_COLOR]
        far_share = far.sum() / packed.size
        if color_tolerance is None and len(strange) > PHOTO_COLORS and far_share > PHOTO_SHARE:
            raise ValueError(
                f"{argument} is not a mask: {far_share:.0%} of its pixels have no color of label set "
                f"'{palette_name}'. Is it a photograph? Give its mask instead, or the label set of these colors."
            )
        helps = _has_soft_edges(far, packed.size) or _are_clear(unpack_colors(strange), palette)
        raise ValueError(
            _off_palette_message(
                strange[too_far],
                counts[too_far],
                color_tolerance,
                ceil(distances.max()) if helps else None,
                argument,
                palette_name,
            )
        )
    rows[off_palette] = nearest[inverse]
    return rows


def nearest_rows(colors: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest row of `palette` `(L, 3)` for each of `colors` `(C, 3)`, and its distance, both `(C,)`."""
    rows, distances = [], []
    for chunk in np.array_split(colors.astype(np.int32), len(colors) // 4096 + 1):  # a photo has 10**5 colors
        squared = ((chunk[:, None] - palette[None].astype(np.int32)) ** 2).sum(axis=-1)  # (chunk, L)
        rows.append(squared.argmin(axis=1))
        distances.append(np.sqrt(squared.min(axis=1)))
    return np.concatenate(rows), np.concatenate(distances)


def _has_soft_edges(far: np.ndarray, num_pixels: int) -> bool:
    """Return whether a drawing seems to have soft edges, by the pixels of each color that is far from every label's.

    A class that the palette lacks has one color on an area; edges have many colors, or colors on lines.
    """
    most, total = far.max(initial=0), far.sum()
    is_mixed = len(far) >= MANY_COLORS and most <= total / 2
    return total <= num_pixels / 2 and (is_mixed or most <= LINE * num_pixels**0.5)


def _are_clear(colors: np.ndarray, palette: np.ndarray) -> bool:
    """Return whether each of `colors` `(C, 3)` is at least twice as near to a row of `palette` as to any other row."""
    if len(palette) == 1:
        return True
    rows, distances = nearest_rows(colors, palette)
    for row in np.unique(rows):
        _, others = nearest_rows(colors[rows == row], np.delete(palette, row, axis=0))
        if (distances[rows == row] > others / 2).any():
            return False
    return True


def _off_palette_message(
    packed: np.ndarray,
    counts: np.ndarray,
    color_tolerance: float | None,
    enough: int | None,
    argument: str,
    palette_name: str,
) -> str:
    """Write the error message; `enough` is a tolerance for all of the map's colors, `None` if it would mix labels."""
    most_first = np.argsort(-counts, kind="stable")[:COLORS_IN_MESSAGE]
    shown = ", ".join(
        f"{tuple(color)} on {number} pixel{'s' if number > 1 else ''}"
        for color, number in zip(unpack_colors(packed[most_first]).tolist(), counts[most_first].tolist(), strict=True)
    )
    more = f" and {len(packed) - COLORS_IN_MESSAGE} more" if len(packed) > COLORS_IN_MESSAGE else ""
    if color_tolerance is None:
        problem = f"off the palette of label set '{palette_name}'"
        remedies = ["Draw with its colors, without JPEG or blending", "add labels of these colors to it"]
    else:
        problem = f"farther than `color_tolerance={color_tolerance}` from the palette of label set '{palette_name}'"
        remedies = ["Draw with its colors"]
    if enough is not None:
        remedies.append(f"pass `color_tolerance={enough}` to take the nearest label for all of them")
    else:  # the nearest labels would be arbitrary
        remedies.append("use the label set in whose colors it is drawn")
    remedy = f"{', '.join(remedies[:-1])}, or {remedies[-1]}."
    return f"{argument} has {len(packed)} color{'s' if len(packed) > 1 else ''} {problem}: {shown}{more}. {remedy}"
