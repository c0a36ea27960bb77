"""Reads every pair of a data set, to find all its problems at once.

A problem makes a pair unreadable. An oddity is suspicious: often a mistake, but not always.

Legend: N pairs, L label channels.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np
import PIL.Image
import torch

from ..batch import hard_labels
from ..images.inputs import is_lossy, share_of_range
from ..images.palettes import find_disagreement
from ..labels.label_set import LabelSet
from .image_files import ARRAYS, is_turned, stored_image
from .pair_reader import PairReader


SHORT_SIDE = 256  # of the resolution, in pixels, if the photographs decide about it
FIRST_ROWS = 20  # of which one must be readable, for its proportions
SMALL_SHARE = 0.3  # of 16 bits: 12 bits use 0.06 of them, 14 bits 0.25
FEW_PAIRS = 10  # among fewer, ids that occur once say nothing
OTHER_SIZE = 4  # times the area of the median image, or less than one such part


@dataclass(frozen=True)
class CheckedPair:
    """Result of reading one row.

    Args:
        index (`int`): Index of the row.
        name (`str`): Its file name, or the row.
        problem (`str`, *optional*): Why it cannot be read.
        size (`tuple[int, int]`, *optional*): Width and height of its image, upright.
        counts (`np.ndarray`, *optional*): Pixels of each label, int64 `(L,)`, at the size used in training; of a soft
            mask, where it has the largest weight. `None` without labels.
        kinds (`tuple[str, ...]`): What is suspicious about it; see `KINDS`.
    """

    index: int
    name: str
    problem: str | None = None
    size: tuple[int, int] | None = None
    counts: np.ndarray | None = None
    kinds: tuple[str, ...] = ()


class _Checks(torch.utils.data.Dataset):
    def __init__(self, rows: datasets.Dataset, reader: PairReader) -> None:
        self.rows, self.reader = reader.prepare(rows), reader

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> CheckedPair:
        row, reader = self.rows[index], self.reader
        stored = row[reader.image_column]
        name = row.get("file_name") or (stored.get("path") if isinstance(stored, dict) else None) or f"row {index}"
        try:
            label_map = reader.read(row, f"Row {index}").label_map
        except ValueError as error:
            return CheckedPair(index, name, problem=" ".join(str(error).split()))
        counts = None
        if label_map is not None:
            labels = hard_labels(label_map).flatten()
            counts = torch.bincount(labels, minlength=reader.processor.label_set.num_channels).numpy()
        kinds = tuple(find_in_pair(row, reader))
        return CheckedPair(index, name, size=reader.last_size, counts=counts, kinds=kinds)


def check_pairs(rows: datasets.Dataset, reader: PairReader, *, num_workers: int = 0) -> Iterator[CheckedPair]:
    """Read each pair as training reads it.

    Args:
        rows (`datasets.Dataset`): The data set.
        reader (`PairReader`): Reads its rows.
        num_workers (`int`, defaults to 0): Reader processes.

    Returns:
        `Iterator[CheckedPair]`: In row order. Raises a ValueError if a column is missing or holds no images.
    """
    yield from torch.utils.data.DataLoader(_Checks(rows, reader), batch_size=None, num_workers=num_workers)


def take_proportions(rows: datasets.Dataset, reader: PairReader) -> None:
    """Give the reader's resolution the proportions of the first image that can be read."""
    rows = reader.prepare(rows)
    for index in range(min(len(rows), FIRST_ROWS)):
        try:
            reader.read(rows[index], f"Row {index}")
        except ValueError:
            continue
        assert reader.last_size is not None
        width, height = reader.last_size
        scale = SHORT_SIDE / min(width, height)
        # (height, width), with the image's aspect ratio: nothing is cropped
        resolution = (max(1, round(height * scale)), max(1, round(width * scale)))
        reader.transform = replace(reader.transform, resolution=resolution)
        return


@dataclass(frozen=True)
class Oddity:
    """Pairs with something suspicious of one kind.

    Args:
        kind (`str`): A key of `KINDS`.
        count (`int`): Number of pairs, or of ids for `rare_id`.
        files (`list[str]`): Names of the pairs.
        indices (`list[int]`): Their rows.
    """

    kind: str
    count: int
    files: list[str]
    indices: list[int]


KINDS = {
    "exif": "images are turned by their EXIF tag, which annotation tools can ignore: look whether their masks fit",
    "lossy_mask": "masks are in a lossy format, whose pixels along the borders are guesses: export PNG",
    "range_16bit": "16-bit images use a small part of the range and are nearly black: save them with 8 bits",
    "alpha": "masks have transparent pixels, which are read as unknown",
    "palette": "palette masks are read by their colors, as their indices are other labels' ids",
    "size": f"images have more than {OTHER_SIZE} times the pixels of the others, or fewer than 1 / {OTHER_SIZE}",
    "rare_id": "labels occur in a single pair: often a stray color or a wrong number in one mask",
}


def find_in_pair(row: dict[str, Any], reader: PairReader) -> list[str]:
    """Return the kinds of suspicious things that one row's files show."""
    image = _stored(row, reader, reader.image_column)  # `None` if Pillow cannot read it
    mask = None if reader.mask_column is None else _stored(row, reader, reader.mask_column)
    share = None if image is None or reader.processor.value_range is not None else share_of_range(image)
    found = {
        "exif": image is not None and mask is not None and is_turned(image) != is_turned(mask),
        "range_16bit": share is not None and share < SMALL_SHARE,
    }
    if mask is not None:
        found |= {
            "lossy_mask": is_lossy(mask),
            "alpha": _is_transparent(mask),
            "palette": mask.mode == "P" and find_disagreement(mask, reader.processor.label_set) is not None,
        }
    return [kind for kind in KINDS if found.get(kind)]


def _stored(row: dict[str, Any], reader: PairReader, column: str) -> PIL.Image.Image | None:
    image_type = reader.image_types[column]
    try:
        return None if isinstance(image_type, ARRAYS) else stored_image(row[column], image_type)
    except PIL.UnidentifiedImageError:
        return None


def _is_transparent(image: PIL.Image.Image) -> bool:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return False
    return bool((np.array(image.convert("RGBA").getchannel("A")) < 255).any())


def find_among_pairs(pairs: Sequence[Any], label_set: LabelSet | None) -> list[Oddity]:
    """Collect what is suspicious, by kind.

    Args:
        pairs (`Sequence[CheckedPair]`): Pairs that were read without a problem.
        label_set (`LabelSet`, *optional*): The labels, if there are any.
    """
    by_kind = {kind: [pair for pair in pairs if kind in pair.kinds] for kind in KINDS}
    areas = np.array([pair.size[0] * pair.size[1] for pair in pairs])  # (N,) in pixels
    ratios = areas / np.median(areas)  # the median does not follow the few that are odd
    is_other = (ratios > OTHER_SIZE) | (ratios < 1 / OTHER_SIZE)
    by_kind["size"] = [pair for pair, other in zip(pairs, is_other, strict=True) if other]
    counts = {kind: len(found) for kind, found in by_kind.items()}
    if len(pairs) >= FEW_PAIRS and label_set is not None:
        has_label = np.stack([pair.counts > 0 for pair in pairs])  # (N, L)
        rare = np.flatnonzero(has_label.sum(axis=0) == 1)  # channels
        first = Counter(int(has_label[:, channel].argmax()) for channel in rare)
        by_kind["rare_id"], counts["rare_id"] = [pairs[number] for number in sorted(first)], len(rare)
    return [
        Oddity(kind, counts[kind], [pair.name for pair in found], [pair.index for pair in found])
        for kind, found in by_kind.items()
        if found
    ]
