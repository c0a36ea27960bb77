"""Batches and samples of a data set, stored or streamed."""

import atexit
import functools
import itertools
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

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
        raise ValueError(f"The data set has {len(dataset)} rows, fewer than `batch_size={batch_size}`.")
    order = {} if is_stream else {"shuffle": True, "generator": generator}
    init = None
    if num_workers:
        is_exiting = multiprocessing.RawValue("b", False)
        atexit.register(setattr, is_exiting, "value", True)  # runs before multiprocessing's own function at exit
        init = functools.partial(_live_as_long_as_the_parent, os.getpid(), is_exiting)
    return torch.utils.data.DataLoader(
        dataset, batch_size, drop_last=True, num_workers=num_workers, worker_init_fn=init, **order
    )


def _live_as_long_as_the_parent(parent: int, is_exiting: Any, _: int) -> None:
    """Let a worker outlive the signals that stop a job, but not its parent.

    When a job's processes get SIGTERM or Ctrl-C together, the main one still needs its batches. Workers end when their
    loader does; when their parent exits, as multiprocessing then sends SIGTERM and waits for them; and when it is
    killed, also in the moment of their start, which torch's own watch misses.
    """

    def end_at_exit(*_: Any) -> None:
        if is_exiting.value:
            os._exit(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end_at_exit)
    threading.Thread(target=watch, daemon=True).start()


def preview_samples(dataset: PairedImageDataset | StreamedImageDataset, count: int) -> list[dict[str, Tensor]]:
    """Samples of the current epoch to look at, or all if there are fewer: a stream's first ones.

    Of a stored data set they are spread evenly: neighbours are often frames of one scene.
    """
    if isinstance(dataset, StreamedImageDataset):
        return list(itertools.islice(dataset, count))
    count = min(count, len(dataset))
    return [dataset[number * len(dataset) // count] for number in range(count)]
