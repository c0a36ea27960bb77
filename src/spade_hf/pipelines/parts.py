"""Parts of label maps, and what a natural map keeps of the painted one's.

A part is a 4-connected component of one label. Sizes are given for a map of 256x256 pixels, and grow with the map.

Legend: L labels, H W height and width, P parts, R runs of one label in a row.
"""

from dataclasses import dataclass

import numpy as np


MIN_AREA = 64  # pixels; smaller parts may change as they like
# Thin parts, such as paths and rivers, stay in one piece: those below a mean width in pixels, and from an elongation:
# length over width, where a square has 4, a disc 5, a bar of 1x4 6.25. Wider ones must be longer: rivers, not clouds.
THIN = ((12, 6), (24, 12))
KEPT_SHARE = 0.65  # of a part's pixels keep its label; of a part that is not thin, as of any other
SIDE = 256  # of the map for which the sizes are given


@dataclass(frozen=True)
class Parts:
    """The parts of a map.

    Args:
        numbers (`np.ndarray`): `(H, W)`, the part of each pixel, in 0..P - 1.
        labels, areas, perimeters (`np.ndarray`): `(P,)`; the perimeter counts the pixels' sides that have another part
            behind them.
    """

    numbers: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    perimeters: np.ndarray

    @property
    def widths(self) -> np.ndarray:
        """Return the mean width of each part in pixels, `(P,)`: twice the area over the perimeter."""
        return 2 * self.areas / np.maximum(self.perimeters, 1)

    def large(self) -> np.ndarray:
        """Return the numbers of the parts that are not small, int `(parts,)`."""
        return np.flatnonzero(self.areas >= MIN_AREA * self._scale() ** 2)

    def is_thin(self, number: int) -> bool:
        """Return whether a part is a line rather than an area."""
        width, area = self.widths[number], self.areas[number]
        return any(width < limit * self._scale() and area / width >= elongation * width for limit, elongation in THIN)

    def _scale(self) -> float:
        return (self.numbers.size**0.5) / SIDE


def find_parts(label_map: np.ndarray) -> Parts:
    """Find the parts of a label map `(H, W)` of integers."""
    numbers = _number_parts(label_map)
    _, first, areas = np.unique(numbers, return_index=True, return_counts=True)
    # each side of a pixel that has another part behind it; the image's edge is no border
    sides = np.zeros(len(areas), dtype=np.int64)
    for one, other in ((numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])):
        is_border = one != other
        for side in (one[is_border], other[is_border]):
            sides += np.bincount(side, minlength=len(areas))
    return Parts(numbers, label_map.ravel()[first], areas, sides)


def keep_parts(painted: np.ndarray, natural: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Give large painted parts their label back where a natural map has lost too much of it.

    Args:
        painted (`np.ndarray`): `(H, W)` in 0..L; L is not painted.
        natural (`np.ndarray`): `(H, W)` in 0..L - 1.
        scores (`np.ndarray`): `(L, H, W)`, how well each label suits a pixel, such as logits.

    Returns:
        `np.ndarray`: `(H, W)` in 0..L - 1, where each part of at least 64 pixels keeps its label in at least 65 % of
            them, at those pixels that it suits best, and where each thin one is in one piece.
    """
    parts, kept = find_parts(painted), natural.copy()
    for number in parts.large():
        label = parts.labels[number]
        if label == len(scores):
            continue
        inside = parts.numbers == number  # (H, W)
        missing = int(np.ceil(KEPT_SHARE * parts.areas[number])) - int((kept[inside] == label).sum())
        if missing > 0:
            others = np.delete(scores[:, inside], label, axis=0).max(axis=0, initial=-np.inf)  # (area,)
            margins = np.where(kept[inside] == label, -np.inf, scores[label, inside] - others)
            rows, columns = np.nonzero(inside)
            best = np.argsort(-margins, kind="stable")[:missing]
            kept[rows[best], columns[best]] = label
        if parts.is_thin(number) and num_pieces(kept == label, inside) > 1:
            kept[inside] = label
    return kept


def num_pieces(selected: np.ndarray, inside: np.ndarray) -> int:
    """Count the 4-connected pieces of `selected` that reach into `inside`, bool `(H, W)` each."""
    return len(np.unique(_number_parts(selected)[selected & inside]))


def _number_parts(label_map: np.ndarray) -> np.ndarray:
    """Number the 4-connected components of equal values, `(H, W)` to `(H, W)` in 0..P - 1."""
    # Runs of a label in a row are connected; two runs are if they meet in neighboring rows
    starts = np.ones(label_map.shape, dtype=bool)
    starts[:, 1:] = label_map[:, 1:] != label_map[:, :-1]
    runs = starts.cumsum().reshape(label_map.shape) - 1  # (H, W) in 0..R - 1
    count = runs[-1, -1] + 1  # R
    meets = label_map[1:] == label_map[:-1]
    one, other = np.divmod(np.unique(runs[1:][meets] * count + runs[:-1][meets]), count)  # (pairs,) each
    # Each run points to the least run that it is known to be connected to, until nothing changes
    least = np.arange(count)
    while True:
        lower = np.minimum(least[one], least[other])
        before = least.copy()
        np.minimum.at(least, before[one], lower)
        np.minimum.at(least, before[other], lower)
        least = least[least]
        if (least == before).all():
            return np.unique(least, return_inverse=True)[1][runs]
