"""Batches and samples of a data set, stored or streamed."""

import itertools
import signal

import torch
from torch import Tensor

from .paired_dataset import PairedImageDataset
from .streamed_dataset import StreamedImageDataset


def build_loader(
    dataset: PairedImageDataset | StreamedImageDataset,
    batch_size: int,
    *,
    num_workers: int = 0,
    generator: torch.Generator | None = None,
) -> torch.utils.data.DataLoader:
    """Shuffled batches; the last, incomplete one of an epoch is dropped.

    Args:
        dataset (`PairedImageDataset` or `StreamedImageDataset`): The latter shuffles itself.
        batch_size (`int`): Of one process.
        num_workers (`int`, defaults to 0): Processes that read.
        generator (`torch.Generator`, *optional*): Of the order of a stored data set.

    Raises:
        ValueError: If a stored data set has fewer rows than a batch.
    """
    is_stream = isinstance(dataset, StreamedImageDataset)
    if not is_stream and len(dataset) < batch_size:
        raise ValueError(f"The data set has {len(dataset)} rows, fewer than --train_batch_size {batch_size}.")
    order = {} if is_stream else {"shuffle": True, "generator": generator}
    return torch.utils.data.DataLoader(
        dataset, batch_size, drop_last=True, num_workers=num_workers, worker_init_fn=_ignore_stop_signals, **order
    )


def _ignore_stop_signals(_: int) -> None:
    """Let a worker live on when a job's processes get SIGTERM or Ctrl-C together: the main one needs its batches.

    Workers end when their loader does, or when they find their parent gone.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def preview_samples(dataset: PairedImageDataset | StreamedImageDataset, count: int) -> list[dict[str, Tensor]]:
    """Samples of the current epoch to look at, or all if there are fewer: a stream's first ones.

    Of a stored data set they are spread evenly: neighbours are often frames of one scene.
    """
    if isinstance(dataset, StreamedImageDataset):
        return list(itertools.islice(dataset, count))
    count = min(count, len(dataset))
    return [dataset[number * len(dataset) // count] for number in range(count)]
