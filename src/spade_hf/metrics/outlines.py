"""How natural the outlines of label maps are, and what refined maps keep of those that they were made from.

Counts of several maps are added up before they become figures, so that any process can count any of the maps. A part
is a 4-connected component of one label, see pipelines/parts.py; it is large if it has at least 64 pixels in a map of
256x256.

Legend: L labels, H W height and width. Label maps are int `(H, W)` in 0..L; L is a pixel without label.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..labels.label_set import LabelSet
from ..pipelines.parts import find_parts, num_pieces
from .figures import Figures


COARSE = 4  # pixels: side of the blocks that are a pixel at the second scale
KEPT_SHARE = 0.6  # of a painted part's pixels, with which its label counts as kept
MIN_PARTS = 20  # large parts of a label in the exact maps; fewer say little
# Of a label: its perimeter over its area, in maps and in their coarse versions; large and small parts per map
STATISTICS = ("perimeter", "coarse_perimeter", "parts", "small_parts")


def count_outlines(label_map: np.ndarray, num_labels: int) -> np.ndarray:
    """Count a map's outlines by label.

    Args:
        label_map (`np.ndarray`): `(H, W)`.
        num_labels (`int`): L.

    Returns:
        `np.ndarray`: int64 `(6, L)`: perimeter and area in pixels, the same in blocks of 4x4 pixels, which have their
            most frequent label, and the numbers of large and small parts. The image's edge is no outline.
    """
    parts, coarse_parts = find_parts(label_map), find_parts(_most_frequent(label_map, COARSE))
    is_large = np.isin(np.arange(len(parts.labels)), parts.large())
    rows = [
        np.bincount(scale.labels, values, minlength=num_labels + 1)
        for scale in (parts, coarse_parts)
        for values in (scale.perimeters, scale.areas)
    ]
    rows += [np.bincount(parts.labels[kind], minlength=num_labels + 1) for kind in (is_large, ~is_large)]
    return np.stack(rows).astype(np.int64)[:, :num_labels]


def count_kept_parts(painted: np.ndarray, natural: np.ndarray, num_labels: int) -> np.ndarray:
    """Count the large parts of a painted map, and those that a natural one keeps.

    Args:
        painted, natural (`np.ndarray`): `(H, W)`.
        num_labels (`int`): L.

    Returns:
        `np.ndarray`: int64 `(4, L)`, by label: parts, those that keep it in at least 60 % of their pixels, thin parts,
            and those of which the label's pixels are in one piece.
    """
    parts = find_parts(painted)
    counts = np.zeros((4, num_labels + 1), dtype=np.int64)
    for number in parts.large():
        label, inside = parts.labels[number], parts.numbers == number
        same = natural == label  # (H, W)
        is_kept, is_thin = same[inside].mean() >= KEPT_SHARE, parts.is_thin(number)
        counts[:, label] += (1, is_kept, is_thin, is_thin and num_pieces(same, inside) == 1)
    return counts[:, :num_labels]


def count_changes(exact: np.ndarray, refined: np.ndarray, num_labels: int) -> np.ndarray:
    """Count a map's pixels with a label, and those that have another one in its refined map: int64 `(2,)`."""
    is_labeled = exact < num_labels
    return np.array([is_labeled.sum(), (is_labeled & (exact != refined)).sum()])


def score_outlines(
    figures: Mapping[str, Figures], counts: Sequence[Mapping[str, np.ndarray]], label_set: LabelSet, num_maps: int
) -> None:
    """Add `outlines` to the figures `"exact"`, `"painted"` and `"refined"`, and to the first of them `exact_changed`.

    Args:
        figures (`Mapping[str, Figures]`): The three, by these names.
        counts (`Sequence`): Of each batch, sums of its maps' counts: [`count_outlines`] under the three names,
            [`count_kept_parts`] of the refined maps under `"kept"`, and [`count_changes`] of the exact maps, refined,
            under `"changes"`.
        label_set (`LabelSet`): The masks' labels.
        num_maps (`int`): Number of maps in all batches.
    """
    sums = {name: np.sum([batch[name] for batch in counts], axis=0) for name in counts[0]}
    names = [label_set.names[channel] for channel in label_set.class_channels]
    for kind in ("exact", "painted", "refined"):
        figures[kind].outlines = describe_outlines(sums[kind], sums["exact"], num_maps, names)
    figures["refined"].outlines |= describe_kept_parts(sums["kept"], names)
    labeled, changed = sums["changes"].tolist()
    figures["exact"].put("exact_changed", changed / labeled if labeled else None, "no pixel of the masks has a label")


def describe_outlines(counts: np.ndarray, exact: np.ndarray, num_maps: int, names: Sequence[str]) -> dict[str, Any]:
    """Compare the outlines of maps with those of the exact maps.

    Args:
        counts, exact (`np.ndarray`): Sums of [`count_outlines`], `(6, L)`.
        num_maps (`int`): Number of maps in each sum.
        names (`Sequence[str]`): L names of labels.

    Returns:
        `dict`: Of the labels with at least 20 large parts in the exact maps, `"labels"`: name -> name of one of
            `STATISTICS` -> its value; `"deviations"`: the same relative to the exact maps' value; and
            `"largest_deviation"`: statistic -> the largest absolute one, or `None` without labels. A value is `None`
            where it would be a division by 0.
    """
    ours, theirs = _statistics(counts, num_maps), _statistics(exact, num_maps)  # (4, L) each
    with np.errstate(divide="ignore", invalid="ignore"):
        deviations = ours / theirs - 1
    labels: list[int] = np.flatnonzero(exact[4] >= MIN_PARTS).tolist()  # the fifth row counts large parts

    def by_name(values: np.ndarray) -> dict[str, dict[str, float | None]]:
        return {names[label]: dict(zip(STATISTICS, map(_number, values[:, label]), strict=True)) for label in labels}

    deviations_by_name = by_name(deviations)
    largest = {
        name: max(
            (abs(value) for row in deviations_by_name.values() if (value := row[name]) is not None), default=None
        )
        for name in STATISTICS
    }
    return {"labels": by_name(ours), "deviations": deviations_by_name, "largest_deviation": largest}


def describe_kept_parts(counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Describe what refined maps keep, from the sum of [`count_kept_parts`], `(4, L)`.

    Returns:
        `dict`: `"painted_parts"` and `"thin_parts"`, their numbers; `"kept_parts"` and `"whole_thin_parts"`, shares of
            these, `None` if there are none; and `"whole_thin_parts_by_label"`, for labels that have any.
    """
    parts, kept, thin, whole = counts.sum(axis=1).tolist()
    return {
        "painted_parts": parts,
        "kept_parts": kept / parts if parts else None,
        "thin_parts": thin,
        "whole_thin_parts": whole / thin if thin else None,
        "whole_thin_parts_by_label": {
            names[label]: float(counts[3, label] / counts[2, label]) for label in np.flatnonzero(counts[2]).tolist()
        },
    }


def _statistics(counts: np.ndarray, num_maps: int) -> np.ndarray:
    """Compute `STATISTICS` from counts `(6, L)`: `(4, L)`, NaN for the perimeter of a label that does not occur."""
    perimeters, areas, coarse_perimeters, coarse_areas, large, small = counts
    with np.errstate(invalid="ignore"):
        ratios = perimeters / areas, coarse_perimeters / coarse_areas
    return np.stack([*ratios, large / num_maps, small / num_maps])


def _most_frequent(label_map: np.ndarray, side: int) -> np.ndarray:
    """Reduce a map `(H, W)` to the most frequent label of each block, `(H // side, W // side)`."""
    height, width = (length // side for length in label_map.shape)
    blocks = label_map[: height * side, : width * side].reshape(height, side, width, side)
    labels = np.unique(label_map)  # only those that occur: a label set can have hundreds
    return labels[np.argmax([(blocks == label).sum(axis=(1, 3)) for label in labels], axis=0)]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
