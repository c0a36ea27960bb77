"""The progress of a run, and its remaining batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator

from ..batch import Batch
from ..data import PairedImageDataset, StreamedImageDataset


@dataclass
class TrainingState:
    """Progress of a run, in units that do not depend on the number of processes.

    Args:
        global_step (`int`): Finished updates.
        epoch (`int`): Epoch of the next batch.
        samples_done (`int`): Finished samples of that epoch, of all processes.
        broken_rows (`list[int]`): Rows of a stored data set that were left out so far.
    """

    global_step: int = 0
    epoch: int = 0
    samples_done: int = 0
    broken_rows: list[int] = field(default_factory=list)

    def advance_batch(self, num_samples: int) -> None:
        """Count a batch of all processes."""
        self.samples_done += num_samples

    def advance_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch, self.samples_done = self.epoch + 1, 0

    def advance_update(self) -> None:
        """Count an update."""
        self.global_step += 1


def resumable_batches(
    accelerator: Accelerator,
    loader: torch.utils.data.DataLoader,
    dataset: PairedImageDataset | StreamedImageDataset,
    state: TrainingState,
    num_steps: int,
    *,
    samples_per_batch: int,
) -> Iterator[Batch]:
    """Yield batches from `state` until `num_steps` updates are done; counts samples and epochs in the state.

    Args:
        accelerator (`Accelerator`): Has prepared the loader, with a seedable sampler.
        loader (`DataLoader`): Its order in an epoch depends only on the epoch.
        dataset (`PairedImageDataset` or `StreamedImageDataset`): The loader's data set.
        state (`TrainingState`): The caller counts updates in it.
        num_steps (`int`): Updates in the whole run.
        samples_per_batch (`int`): Samples of all processes in a batch. If the state is in the middle of one, as after
            a change of the batch size, the rest of it is skipped.

    Raises:
        ValueError: If an epoch has no batch: a stream can have fewer rows than a batch.
    """
    while state.global_step < num_steps:
        dataset.set_epoch(state.epoch)
        loader.set_epoch(state.epoch)  # pyright: ignore[reportAttributeAccessIssue]  # accelerate's loader has it
        num_skipped = -(-state.samples_done // samples_per_batch)
        state.samples_done = num_skipped * samples_per_batch
        is_empty = num_skipped == 0
        batches: Any = accelerator.skip_first_batches(loader, num_skipped) if num_skipped else loader
        for batch in batches:
            is_empty = False
            state.advance_batch(samples_per_batch)
            yield batch
            if state.global_step >= num_steps:
                return
        if is_empty:
            raise ValueError("The data have fewer rows than a batch. Give a smaller `batch_size`, or more rows.")
        state.advance_epoch()


def find_broken_rows(accelerator: Accelerator, dataset: PairedImageDataset) -> list[int]:
    """Return the rows that any process has left out; every process calls this, because each knows only its own."""
    is_broken = accelerator.reduce(dataset.is_broken.int().to(accelerator.device))
    return is_broken.nonzero().flatten().tolist()  # pyright: ignore[reportAttributeAccessIssue]  # a tensor in, a tensor out
