"""Palette images: whether their indices are ids, or their colors say which labels are meant.

Programs that save an image of few colors as a palette image can number the colors in any order.
"""

from dataclasses import dataclass

import numpy as np
import PIL.Image

from ..labels.colors import NEAR_COLOR, nearest_rows, voc_color
from ..labels.label_set import LabelSet


STRAY = 0.1  # colors decide from this many pixels on, per pixel whose color is no label's
OWN_NUMBERING = 0.9  # share of a palette's entries that follow a common numbering
NUMBERINGS = (
    np.array([voc_color(index) for index in range(256)], dtype=np.uint8),
    np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 3),  # grays
)


@dataclass(frozen=True)
class Disagreement:
    """Colors of a palette image that are those of other labels than its indices say.

    Args:
        index (`int`): The index of the most pixels among them.
        drawn_id (`int`): The id of the label that has its color.
    """

    index: int
    drawn_id: int


def find_disagreement(image: PIL.Image.Image, label_set: LabelSet) -> Disagreement | None:
    """Compare the colors of a `P` image with its indices; `None` if the indices are ids.

    Entries count by their pixels. An index whose color is another label's speaks for the colors; an index whose
    color is no label's speaks for the indices. Some entries say nothing: those with the color of their own id, black
    at index 0 if it is the unknown label's, and colors that occur at several indices, as in a palette left black.
    Where the whole palette has a common numbering, the VOC color map's or that of grays, its indices are ids.
    """
    colors = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)[:256]  # as many as are stored
    counts = np.bincount(np.array(image).ravel(), minlength=256)[: len(colors)]
    used = np.flatnonzero(counts)
    if len(used) == 0 or (len(colors) > 1 and len(np.unique(colors, axis=0)) == 1):
        return None
    channels, distances = nearest_rows(colors, label_set.palette)
    drawn = np.array(label_set.ids)[channels]  # (256,)
    is_label = distances <= NEAR_COLOR
    is_blank = (np.arange(len(colors)) == 0) & (drawn == label_set.unknown_id) & (colors.max(axis=1) == 0)
    first = colors[: used[-1] + 1]  # what follows is often padding
    _, inverse, times = np.unique(first, axis=0, return_inverse=True, return_counts=True)
    is_repeated = np.zeros(len(colors), dtype=bool)
    is_repeated[: len(first)] = times[inverse.ravel()] > 1
    follows = _numbered_entries(colors, last=int(used[-1]))
    speaks = ~is_blank & ~is_repeated
    disagrees = speaks & is_label & ~follows & (drawn != np.arange(len(colors)))
    is_strange = follows | (speaks & ~is_label)
    if counts[disagrees].sum() <= STRAY * counts[is_strange].sum():
        return None
    index = int(np.where(disagrees, counts, -1).argmax())
    return Disagreement(index, int(drawn[index]))


def _numbered_entries(colors: np.ndarray, last: int) -> np.ndarray:
    """Mark the entries that follow a numbering which nearly all of the palette follows: bool, one per entry."""
    stored = max(last + 1, int(np.flatnonzero(colors.any(axis=1)).max(initial=0)) + 1)  # without black padding
    for numbering in NUMBERINGS:
        follows = (colors == numbering[: len(colors)]).all(axis=1)
        if stored > 1 and follows[:stored].mean() >= OWN_NUMBERING:
            return follows
    return np.zeros(len(colors), dtype=bool)
