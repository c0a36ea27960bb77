"""Reads every pair of a data set, to find all its problems at once.

Legend: L label channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import datasets
import numpy as np
import torch

from .oddities import find_in_pair
from .pair_reader import PairReader


SHORT_SIDE = 256  # of the resolution, in pixels, if the photographs decide about it
FIRST_ROWS = 20  # of which one must be readable, for its proportions


@dataclass(frozen=True)
class CheckedPair:
    """Result of reading one row.

    Args:
        index (`int`): Index of the row.
        name (`str`): Its file name, or the row.
        problem (`str`, *optional*): Why it cannot be read.
        size (`tuple[int, int]`, *optional*): Width and height of its image, upright.
        counts (`np.ndarray`, *optional*): Pixels of each label, int64 `(L,)`, at the size used in training.
        kinds (`tuple[str, ...]`): What is suspicious about it; see `oddities.KINDS`.
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
        name = row.get("file_name") or (row[reader.image_column] or {}).get("path") or f"row {index}"
        try:
            _, label_map, _ = reader.read(row, f"Row {index}")
        except ValueError as error:
            return CheckedPair(index, name, problem=" ".join(str(error).split()))
        counts = torch.bincount(label_map.flatten(), minlength=reader.processor.label_set.num_channels)
        kinds = tuple(find_in_pair(row, reader))
        return CheckedPair(index, name, size=reader.last_size, counts=counts.numpy(), kinds=kinds)


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
        resolution = (max(1, round(height * scale)), max(1, round(width * scale)))
        reader.transform = replace(reader.transform, resolution=resolution)
        return
