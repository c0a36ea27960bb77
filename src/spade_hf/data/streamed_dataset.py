"""Pairs of images and label maps from a stream of rows, which are not stored."""

import logging
from collections.abc import Iterator

import datasets
import torch

from ..batch import Batch
from ..seeding import derive_seed
from .pair_reader import PairReader


logger = logging.getLogger(__name__)


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
        self.rows.set_epoch(self.epoch)
        for position, row in enumerate(self.rows):
            try:
                pair = self.reader.read(row, f"Row {position} of the shuffled stream (worker {worker_id})")
            except ValueError as error:
                if not self.skip_broken:
                    raise
                logger.warning("Left out: %s", error)
                continue
            yield self.reader.sample(pair, derive_seed(self.seed, self.epoch, worker_id, position))
