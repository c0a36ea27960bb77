"""The loop of a run: its progress, the order of its samples, its remaining batches, and its stop.

A run that is resumed continues with the sample after the last finished one: [`TrainingState`] says which, and
[`SampleOrder`] has accelerate shuffle every epoch in the order of the uninterrupted run.
"""

import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import SeedableRandomSampler

from ..batch import Batch
from ..data import PairedImageDataset, StreamedImageDataset
from ..seeding import derive_seed


logger = logging.getLogger(__name__)
ORDER_FILE = "sample_order.json"  # in a checkpoint


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


class SampleOrder:
    """The order of a run's samples, which differs from seed to seed in every epoch: the seed of a prepared sampler.

    In epoch e, accelerate's sampler shuffles by its seed + e. With the run's own seed, epoch 1 of seed 0 would be
    epoch 0 of seed 1, as it was in earlier versions. Their checkpoints have no `sample_order.json`, and keep their
    order. A stream has an order of its own.

    Args:
        accelerator (`Accelerator`): Has prepared the loader.
        loader (`DataLoader`): The run's loader.
        seed (`int`): The run's seed.

    Attributes:
        is_former (`bool`): Whether the run continues one of an earlier version.
    """

    def __init__(self, accelerator: Accelerator, loader: Any, seed: int) -> None:
        batches = loader.batch_sampler
        batches = getattr(batches, "batch_sampler", batches)  # with several processes, the first is a part of it
        sampler = getattr(batches, "sampler", None)
        self.sampler = sampler if isinstance(sampler, SeedableRandomSampler) else None
        self.accelerator, self.seed = accelerator, seed
        self._use(is_former=False)
        accelerator.register_save_state_pre_hook(self._save)
        accelerator.register_load_state_pre_hook(self._load)

    def _use(self, *, is_former: bool) -> None:
        self.is_former = is_former
        if self.sampler is not None:
            # accelerate adds the epoch to it; hashes of seeds are billions apart, not 1
            self.sampler.initial_seed = self.seed if is_former else derive_seed(self.seed)

    def _save(self, models: Any, weights: Any, folder: str) -> None:
        if self.accelerator.is_main_process and not self.is_former:
            Path(folder, ORDER_FILE).write_text(json.dumps({"seed": derive_seed(self.seed)}) + "\n")

    def _load(self, models: Any, folder: str) -> None:
        self._use(is_former=not Path(folder, ORDER_FILE).is_file())
        if self.is_former and self.sampler is not None and self.accelerator.is_main_process:
            logger.info("%s is of an earlier version: the order of samples stays that of its run", folder)


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
        # Finished batches of this epoch; one that is partly done, by another batch size, counts as finished
        num_skipped = -(-state.samples_done // samples_per_batch)  # rounded up
        state.samples_done = num_skipped * samples_per_batch
        batches: Any = accelerator.skip_first_batches(loader, num_skipped) if num_skipped else loader

        # The rest of the epoch
        is_empty = num_skipped == 0
        for batch in batches:
            is_empty = False
            state.advance_batch(samples_per_batch)  # now: a checkpoint after its update has it as done
            yield batch
            if state.global_step >= num_steps:
                return
        if is_empty:
            raise ValueError("The data have fewer rows than a batch. Give a smaller `batch_size`, or more rows.")
        state.advance_epoch()


def find_broken_rows(accelerator: Accelerator, dataset: PairedImageDataset) -> list[int]:
    """Return the rows that any process has left out; every process calls this, because each knows only its own."""
    is_broken = accelerator.reduce(dataset.is_broken.int().to(accelerator.device))  # (rows,): a sum over processes
    return is_broken.nonzero().flatten().tolist()  # pyright: ignore[reportAttributeAccessIssue]  # a tensor in, a tensor out


class TimeLimit:
    """Wall time after which a run ends, on all processes after the same update.

    Args:
        accelerator (`Accelerator`): Tells the other processes.
        seconds (`float`, *optional*): From now on; `None` for no limit.
    """

    def __init__(self, accelerator: Accelerator, seconds: float | None) -> None:
        self.accelerator = accelerator
        self.is_reached = False
        self._end = None if seconds is None else time.monotonic() + seconds

    def check(self) -> bool:
        """Return whether the time is over for any process; every process calls this after each update."""
        if self._end is not None:
            is_over: Any = torch.tensor(float(time.monotonic() >= self._end), device=self.accelerator.device)
            is_over = self.accelerator.reduce(is_over, reduction="sum")
            self.is_reached = bool(is_over > 0)
        return self.is_reached


class StopOnSignal:
    """Context in which Ctrl-C and SIGTERM request a stop after the current update, on all processes.

    Job schedulers send SIGTERM before they take a machine away, which leaves time for a checkpoint. A second Ctrl-C
    ends the process at once.

    Args:
        accelerator (`Accelerator`): Sends the request to the other processes.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.is_requested = False
        self._signal = signal.SIGTERM  # of processes that did not get the signal themselves

    def __enter__(self) -> "StopOnSignal":
        self._before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> bool:
        """Return whether any process was asked to stop; every process calls this after each update."""
        self.is_requested = self.accelerator.check_trigger()
        return self.is_requested

    @property
    def name(self) -> str:
        """The signal's name: `"SIGINT"` for Ctrl-C, or `"SIGTERM"`."""
        return self._signal.name

    @property
    def exit_status(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, as shells report it."""
        return 128 + self._signal

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        self.accelerator.set_trigger()  # read by `check` in all processes
        again = b""
        if number == signal.SIGINT:  # the next one ends the process, as if there were no handler
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            again = b" Ctrl-C again quits at once."
        if self.accelerator.is_main_process:  # not by `print`, whose lock the interrupted code can hold
            os.write(2, b"\n%s: finishing the update and saving.%s\n" % (self.name.encode(), again))
