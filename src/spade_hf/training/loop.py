"""The progress of a run, and its remaining batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator

from ..data import PairedImageDataset, StreamedImageDataset
from .synthesis import Batch


@dataclass
class TrainingState:
    """Progress of a run.

    Args:
        global_step (`int`): Finished updates.
        epoch (`int`): Epoch of the next batch.
        batches_done (`int`): Finished batches of that epoch.
    """

    global_step: int = 0
    epoch: int = 0
    batches_done: int = 0

    def advance_batch(self) -> None:
        """Count a batch."""
        self.batches_done += 1

    def advance_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch, self.batches_done = self.epoch + 1, 0

    def advance_update(self) -> None:
        """Count an update."""
        self.global_step += 1


def resumable_batches(
    accelerator: Accelerator,
    loader: torch.utils.data.DataLoader,
    dataset: PairedImageDataset | StreamedImageDataset,
    state: TrainingState,
    num_steps: int,
) -> Iterator[Batch]:
    """Yield batches from `state` until `num_steps` updates are done; counts batches and epochs in the state.

    Args:
        accelerator (`Accelerator`): Has prepared the loader, with a seedable sampler.
        loader (`DataLoader`): Its order in an epoch depends only on the epoch.
        dataset (`PairedImageDataset` or `StreamedImageDataset`): The loader's data set.
        state (`TrainingState`): The caller counts updates in it.
        num_steps (`int`): Updates in the whole run.

    Raises:
        ValueError: If an epoch has no batch: a stream can have fewer rows than a batch.
    """
    while state.global_step < num_steps:
        dataset.set_epoch(state.epoch)
        loader.set_epoch(state.epoch)  # pyright: ignore[reportAttributeAccessIssue]  # accelerate's loader has it
        is_empty = state.batches_done == 0
        batches: Any = accelerator.skip_first_batches(loader, state.batches_done) if state.batches_done else loader
        for batch in batches:
            is_empty = False
            state.advance_batch()
            yield batch
            if state.global_step >= num_steps:
                return
        if is_empty:
            raise ValueError("The data have fewer rows than a batch. Give a smaller `batch_size`, or more rows.")
        state.advance_epoch()
