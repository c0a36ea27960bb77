"""Pairs of images and label maps: samples of stored rows, or of a stream of rows."""

import logging
from collections.abc import Iterator

import datasets
import torch

from ..batch import Batch
from ..seeding import derive_seed
from .pair_reader import Pair, PairReader


logger = logging.getLogger(__name__)


class PairedImageDataset(torch.utils.data.Dataset):
    """Training samples. A sample depends only on (seed, epoch, index), so that runs can be resumed.

    Args:
        rows (`datasets.Dataset`): Rows with the columns that the reader reads.
        reader (`PairReader` or `OutlineReader`): Reads, checks and augments them.
        seed (`int`): The run's seed.
        skip_broken (`bool`, defaults to `False`): Warn about a row that cannot be read, and use the next readable row
            instead, so that an epoch keeps its length. `is_broken`, bool `(len(rows),)`, marks the broken rows that
            this process and its loaders' workers have found.

    Raises:
        ValueError: If a column is missing or holds no images; when a sample is read, if its row cannot be read (with
            `skip_broken`: if no row can). The message names the row, the column and the file, if there is one.
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
        # in shared memory: set by a loader's workers, and counted by the process that owns them
        self.is_broken = torch.zeros(len(rows), dtype=torch.bool).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the augmentation of the next samples."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        """Return one sample; see [`PairReader.sample`]."""
        pair = self._read_or_skip(index) if self.skip_broken else self._read(index)
        # by the index that was asked for: a replacement is augmented otherwise than in its own place
        return self.reader.sample(pair, derive_seed(self.seed, self.epoch, index))

    def _read_or_skip(self, index: int) -> Pair:
        """Read the row, or the next one that is not broken; the first row follows the last."""
        for offset in range(len(self)):
            row = (index + offset) % len(self)
            if self.is_broken[row]:
                continue
            try:
                return self._read(row)
            except ValueError as error:
                self.is_broken[row] = True
                logger.warning("Left out: %s", error)
        raise ValueError(f"All {len(self)} rows of the data set are broken; the warnings name the problems.")

    def _read(self, index: int) -> Pair:
        return self.reader.read(self.rows[index], f"Row {index} of the data set")


class StreamedImageDataset(torch.utils.data.IterableDataset):
    """Streamed training samples, whose order and augmentation depend only on (seed, epoch).

    A run resumes by reading an epoch's first rows again, which is exact but takes time; the states of `datasets` lose
    the rows in the shuffle buffer. It is not exact with another number of workers, or if the rows change.

    Args:
        rows (`datasets.IterableDataset`): The stream.
        reader (`PairReader`): Reads its rows.
        seed (`int`): The run's seed.
        shuffle_buffer_size (`int`): Rows that each sample is drawn from; the shards are also shuffled.
        skip_broken (`bool`, defaults to `False`): Skip rows that cannot be read, with a warning each time.

    Raises:
        ValueError: As in [`PairedImageDataset`].
    """

    def __init__(
        self,
        rows: datasets.IterableDataset,
        reader: PairReader,
        *,
        seed: int,
        shuffle_buffer_size: int,
        skip_broken: bool = False,
    ) -> None:
        self.reader, self.processor = reader, reader.processor
        self.unshuffled = reader.prepare(rows)
        self.rows = self.unshuffled.shuffle(seed=seed, buffer_size=shuffle_buffer_size)
        self.seed, self.skip_broken = seed, skip_broken
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order and augmentation of the next samples."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        """Yield an epoch's samples; see [`PairReader.sample`]. Each worker of a loader reads its own shards."""
        worker = torch.utils.data.get_worker_info()
        worker_id = 0 if worker is None else worker.id
        self.rows.set_epoch(self.epoch)  # gives this epoch's order
        for position, row in enumerate(self.rows):
            try:
                pair = self.reader.read(row, f"Row {position} of the shuffled stream (worker {worker_id})")
            except ValueError as error:
                if not self.skip_broken:
                    raise
                logger.warning("Left out: %s", error)
                continue
            # a stream has no index of a row: its place in this worker's share of the epoch stands for it
            yield self.reader.sample(pair, derive_seed(self.seed, self.epoch, worker_id, position))
