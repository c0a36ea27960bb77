"""Plain scenes of the model's own labels: the first mask of a page without examples, and a cleared canvas."""

import re
from collections.abc import Sequence

import numpy as np

from ..labels.label_set import LabelSet


# Words in the names of labels that fit above, on the left, on the right or below in the scene; the best ones first
PLACES = (
    "sky clouds cloud ceiling",
    "building house wall skyscraper mountain hill rock",
    "tree vegetation bush plant fence forest",
    "road street floor ground grass terrain earth field sand snow water sea",
)
# the same for above and below the horizon of a cleared canvas
HORIZON = (PLACES[0], "grass terrain ground field earth floor road street sand snow water sea")
NO_LABELS = {"unknown", "unlabelled", "unlabeled", "void", "background", "other", "ignore", "border", "ego", "roi"}


def first_mask(label_set: LabelSet, size: tuple[int, int]) -> tuple[np.ndarray, list[str]]:
    """Build a scene of up to four labels, chosen by name; a place that no name fits gets the next unused label.

    Args:
        label_set (`LabelSet`): Any label set.
        size (`tuple[int, int]`): Height and width in pixels.

    Returns:
        `tuple`: ids, int64 `(H, W)`, and the names of the labels in it, from top to bottom.
    """
    channels = _channels_that_fit(PLACES, label_set)
    y, x = np.mgrid[0 : 1 : size[0] * 1j, 0 : 1 : size[1] * 1j]  # (H, W) each
    above, left, right, below = (label_set.ids[channel] for channel in channels)
    label_map = np.full(size, above, dtype=np.int64)
    label_map[(x < 0.42) & (y > 0.1 + 0.7 * x)] = left  # two sides of a street or a valley
    label_map[(x > 0.6) & (y > 0.62 - 0.75 * (x - 0.6))] = right
    label_map[y > 0.58] = below
    return label_map, [label_set.names[channel] for channel in dict.fromkeys(channels)]


def horizon_channels(label_set: LabelSet) -> tuple[int, int]:
    """Return the channels above and below the horizon of a cleared canvas, chosen by name: sky and ground, if any."""
    above, below = _channels_that_fit(HORIZON, label_set)
    return above, below


def _channels_that_fit(places: Sequence[str], label_set: LabelSet) -> list[int]:
    words = [re.findall("[a-z]+", name.lower()) for name in label_set.names]
    usable = [
        channel
        for channel in range(label_set.num_channels)
        if channel != label_set.unknown_channel and not NO_LABELS & set(words[channel])
    ] or [channel for channel in range(label_set.num_channels) if channel != label_set.unknown_channel]
    fitting = [
        next((channel for word in place.split() for channel in usable if word in words[channel]), None)
        for place in places
    ]
    spare = [channel for channel in usable if channel not in fitting]
    spare += usable * len(places)  # if there are fewer labels than places
    return [channel if channel is not None else spare.pop(0) for channel in fitting]
