"""Pairs of images and label maps from a stream of rows, which is read as it comes and never stored."""

import logging
from collections.abc import Iterator

import datasets
import torch
from torch import Tensor

from .pair_reader import PairReader
from .seeding import derive_seed


logger = logging.getLogger(__name__)


class StreamedImageDataset(torch.utils.data.IterableDataset):
    """Training samples in an order that follows from (seed, epoch) alone, as does what they look like.

    A run resumes by reading an epoch's first rows once more, which is exact and takes their time; `datasets`' own
    states lose the rows in the shuffle buffer. It is not exact with another number of workers, or if the rows change.

    Args:
        rows (`datasets.IterableDataset`): The stream.
        reader (`PairReader`): Reads its rows.
        seed (`int`): The run's seed.
        shuffle_buffer_size (`int`): Each sample is drawn from as many rows; the shards are also shuffled.
        skip_broken (`bool`, defaults to `False`): Leave out rows that cannot be read, with a warning each time.

    Raises:
        ValueError: As [`PairedImageDataset`].
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
        self.rows = reader.prepare(rows).shuffle(seed=seed, buffer_size=shuffle_buffer_size)
        self.seed, self.skip_broken = seed, skip_broken
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation the next samples get."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """An epoch's samples; see [`PairReader.sample`]. Each worker of a loader reads shards of its own."""
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
