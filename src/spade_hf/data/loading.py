"""Batches and samples of a data set, stored or streamed."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from ..batch import Batch
from .datasets import PairedImageDataset, StreamedImageDataset
from .workers import bound_to_this_process


def build_loader(
    dataset: PairedImageDataset | StreamedImageDataset,
    batch_size: int,
    *,
    num_workers: int = 0,
    generator: torch.Generator | None = None,
) -> torch.utils.data.DataLoader:
    """Build a loader of shuffled batches; an epoch's last batch is dropped if it is incomplete.

    Args:
        dataset (`PairedImageDataset` or `StreamedImageDataset`): A stream shuffles itself.
        batch_size (`int`): Batch size per process.
        num_workers (`int`, defaults to 0): Reader processes.
        generator (`torch.Generator`, *optional*): Shuffles a stored data set.

    Raises:
        ValueError: If a stored data set has fewer rows than a batch.
    """
    workers: dict[str, Any] = {"num_workers": num_workers}
    if num_workers:
        workers["worker_init_fn"] = bound_to_this_process()
    if isinstance(dataset, StreamedImageDataset):
        samples = torch.utils.data.DataLoader(dataset, batch_size=None, **workers)  # read one by one, in workers
        return torch.utils.data.DataLoader(_SamplesOfWorkers(samples), batch_size, drop_last=True)
    if len(dataset) < batch_size:
        raise ValueError(f"The data set has {len(dataset)} rows, fewer than `batch_size={batch_size}`.")
    return torch.utils.data.DataLoader(
        dataset, batch_size, drop_last=True, shuffle=True, generator=generator, **workers
    )


class _SamplesOfWorkers(torch.utils.data.IterableDataset):
    """Samples of a stream's workers in turn, for batches of this process.

    If each worker made its own batches, each would drop an incomplete one, and all of a small stream could be lost.
    """

    def __init__(self, samples: torch.utils.data.DataLoader) -> None:
        self.samples = samples

    def __iter__(self) -> Iterator[Batch]:
        """Yield an epoch's samples."""
        return iter(self.samples)


def preview_samples(dataset: PairedImageDataset | StreamedImageDataset, count: int) -> list[Batch]:
    """Return up to `count` samples of the current epoch to look at: the first ones of a stream.

    In a stored data set they are evenly spread, because neighbors are often frames of one scene.
    """
    if isinstance(dataset, StreamedImageDataset):
        return list(itertools.islice(dataset, count))
    count = min(count, len(dataset))
    return [dataset[number * len(dataset) // count] for number in range(count)]
