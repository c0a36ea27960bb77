"""Reads every pair of a data set, to find all its problems at once.

Legend: L label channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import datasets
import numpy as np
import torch
from PIL import Image

from .pair_reader import PairReader


@dataclass(frozen=True)
class CheckedPair:
    """Result of reading one row.

    Args:
        index (`int`): Index of the row.
        problem (`str`, *optional*): Why it cannot be read.
        size (`tuple[int, int]`, *optional*): Width and height of its image, as stored.
        counts (`np.ndarray`, *optional*): Pixels of each label, int64 `(L,)`, at the size used in training.
    """

    index: int
    problem: str | None = None
    size: tuple[int, int] | None = None
    counts: np.ndarray | None = None


class _Checks(torch.utils.data.Dataset):
    def __init__(self, rows: datasets.Dataset, reader: PairReader) -> None:
        self.rows, self.reader = reader.prepare(rows), reader

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> CheckedPair:
        try:
            _, label_map, _ = self.reader.read(self.rows[index], f"Row {index}")
        except ValueError as error:
            return CheckedPair(index, problem=" ".join(str(error).split()))
        counts = torch.bincount(label_map.flatten(), minlength=self.reader.processor.label_set.num_channels)
        return CheckedPair(index, size=self.reader.last_size, counts=counts.numpy())


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


def overlay_sheet(rows: datasets.Dataset, reader: PairReader, indices: list[int], *, columns: int = 4) -> Image.Image:
    """Draw pairs: each image, and the image under its half-transparent mask, to show shifted or swapped masks.

    Args:
        rows (`datasets.Dataset`): The data set.
        reader (`PairReader`): Reads its rows.
        indices (`list[int]`): Indices of readable rows, at least one.
        columns (`int`, defaults to 4): Pairs side by side.
    """
    rows, tiles = reader.prepare(rows), []
    height, width = reader.transform.resolution
    for index in indices:
        image, label_map, _ = reader.read(rows[index], f"Row {index}")
        picture = ((image.movedim(0, -1).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
        label_set = reader.processor.label_set
        colors = label_set.colorize(label_set.channels_to_ids(label_map.numpy()))
        mixed = ((picture.astype(int) + colors) // 2).astype(np.uint8)
        pair = Image.fromarray(np.concatenate([picture, mixed], axis=1))
        tiles.append(pair.resize((2 * width, height)))
    columns = min(columns, len(tiles))
    sheet = Image.new("RGB", (columns * 2 * width, -(-len(tiles) // columns) * height), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * 2 * width, number // columns * height))
    return sheet
