"""The mechanics around the losses: batches that continue where a run stopped, and one network's update."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ..data import PairedImageDataset, StreamedImageDataset
from .checkpoints import TrainingState
from .steps import Batch


def resumable_batches(
    accelerator: Accelerator,
    loader: torch.utils.data.DataLoader,
    dataset: PairedImageDataset | StreamedImageDataset,
    state: TrainingState,
    num_steps: int,
) -> Iterator[Batch]:
    """Batches from where `state` stands until `num_steps` updates are done; advances `state.epoch`.

    Args:
        accelerator (`Accelerator`): What prepared the loader, with a seedable sampler.
        loader (`DataLoader`): Its order of an epoch follows from the epoch alone.
        dataset (`PairedImageDataset` or `StreamedImageDataset`): What the loader reads.
        state (`TrainingState`): The caller counts its `batches_done` and `global_step`.
        num_steps (`int`): Updates in the whole run.

    Raises:
        ValueError: If an epoch has no batch: a stream may have fewer rows than a batch.
    """
    while state.global_step < num_steps:
        dataset.set_epoch(state.epoch)
        loader.set_epoch(state.epoch)  # pyright: ignore[reportAttributeAccessIssue]  # accelerate's loader has it
        is_empty = state.batches_done == 0
        batches: Any = accelerator.skip_first_batches(loader, state.batches_done) if state.batches_done else loader
        for batch in batches:
            is_empty = False
            yield batch
            if state.global_step >= num_steps:
                return
        if is_empty:
            raise ValueError("The data have fewer rows than a batch. Give a smaller --train_batch_size, or more rows.")
        state.epoch, state.batches_done = state.epoch + 1, 0


def backward_and_step(
    accelerator: Accelerator,
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    networks: Sequence[nn.Module],
    *,
    max_grad_norm: float | None = None,
) -> None:
    """Backward and, when enough batches have been accumulated, one step of one optimizer and its schedule.

    Args:
        accelerator (`Accelerator`): In whose `accumulate` block this is called.
        loss (`Tensor`): Scalar.
        optimizer, schedule: Prepared by the accelerator.
        networks (`Sequence[nn.Module]`): What the optimizer trains.
        max_grad_norm (`float`, *optional*): Largest norm of their gradients together.
    """
    accelerator.backward(loss)
    if accelerator.sync_gradients and max_grad_norm is not None:
        # not `accelerator.clip_grad_norm_`, which would unscale the other optimizer's gradients, too
        accelerator.unscale_gradients(optimizer)
        parameters = itertools.chain.from_iterable(network.parameters() for network in networks)
        torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
