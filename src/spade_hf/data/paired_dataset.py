"""Pairs of images and label maps from the rows of a `datasets` data set."""

import logging

import datasets
import torch
from torch import Tensor

from .pair_reader import PairReader
from .seeding import derive_seed


logger = logging.getLogger(__name__)


class PairedImageDataset(torch.utils.data.Dataset):
    """Training samples. What a sample looks like depends on (seed, epoch, index) alone, so that runs can be resumed.

    Args:
        rows (`datasets.Dataset`): Rows with the columns that the reader reads.
        reader (`PairReader`): Reads, checks and augments them.
        seed (`int`): The run's seed.
        skip_broken (`bool`, defaults to `False`): Warn about a row that cannot be read, and give the next one that can
            in its place, so that an epoch stays as long as it was. `is_broken`, bool `(len(rows),)`, marks the broken
            ones that this process and its loaders' workers have met.

    Raises:
        ValueError: If a column is missing or holds no images, or, when the sample is asked for, if a row cannot be
            read (with `skip_broken`: if none can); the message names the row, the column and, where there is one, the
            file.
    """

    def __init__(
        self,
        rows: datasets.Dataset,
        reader: PairReader,
        *,
        seed: int,
        skip_broken: bool = False,
    ) -> None:
        self.reader, self.processor = reader, reader.processor
        self.rows = reader.prepare(rows)
        self.seed, self.skip_broken = seed, skip_broken
        self.epoch = 0
        # in shared memory: the workers of a loader find them, and the process that owns the workers counts them
        self.is_broken = torch.zeros(len(rows), dtype=torch.bool).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose augmentation the next samples get."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sample; see [`PairReader.sample`]."""
        pair = self._read_or_skip(index) if self.skip_broken else self._read(index)
        return self.reader.sample(pair, derive_seed(self.seed, self.epoch, index))

    def _read_or_skip(self, index: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """The row, or the first one after it that is not broken; the first comes after the last."""
        for offset in range(len(self)):
            row = (index + offset) % len(self)
            if self.is_broken[row]:
                continue
            try:
                return self._read(row)
            except ValueError as error:
                self.is_broken[row] = True
                logger.warning("Left out: %s", error)
        raise ValueError(f"Each of the data set's {len(self)} rows is broken; the warnings name what is wrong.")

    def _read(self, index: int) -> tuple[Tensor, Tensor, Tensor | None]:
        return self.reader.read(self.rows[index], f"Row {index} of the data set")
