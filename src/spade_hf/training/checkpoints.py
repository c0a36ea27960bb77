"""Checkpoints on disk, written atomically and verified before they are used.

A checkpoint is written to a temporary folder beside its final path and renamed when it is complete. If a run is killed
while it saves, the previous checkpoint remains the latest. Each checkpoint contains checksums of its files. A run that
starts before existing checkpoints renames them, so that `latest` belongs to this run.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import ModelMixin
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from torch import nn

from ..data.fingerprint import Fingerprint, first_difference
from ..pipelines import SPADEPipeline
from .averages import ModelEMA
from .integrity import (
    ABANDONED_SUFFIX,
    ARGUMENTS_FILE,
    CHECKSUMS_FILE,
    DATA_FILE,
    LEFTOVER,
    PARTIAL_SUFFIX,
    PREFIX,
    STATE_FILE,
    DamagedCheckpointError,
    checksums,
    damaged,
    list_checkpoints,
    read_json,
    remove,
    remove_checkpoint,
    step_of,
    sync,
    unused,
    verify_checkpoint,
    was_limited,
    write_json,
)
from .loop import TrainingState
from .resuming import AVERAGE_SUFFIX, SavedState, check_config, check_networks, read_state, restore_rates
from .writing import writing


logger = logging.getLogger(__name__)
LIVE_SUFFIX = "_live"


class CheckpointManager:
    """Writer and reader of checkpoints from which a run continues as if it had not been interrupted.

    A checkpoint is a pipeline of the averaged networks (`generator` and so on, ready for inference). It also holds the
    live networks (`generator_live`), the averages that training continues with (`generator_ema`) and the
    discriminator. Accelerate saves optimizers, schedules and random states.

    Args:
        accelerator (`Accelerator`): Has prepared the networks, optimizers and schedules.
        output_dir (`Path`): Folder for the `checkpoint-{step}` folders.
        networks (`Mapping[str, ModelMixin]`): The live networks, by folder name.
        averages (`Mapping[str, ModelEMA]`): Their averages, by folder name.
        arguments (`Mapping[str, Any]`): The resolved command line, saved with every checkpoint.
        data (`dict`, *optional*): The data's [`fingerprint`], saved with every checkpoint.
        total_limit (`int`, *optional*): Number of checkpoints to keep, 1 or more; older ones are deleted, except those
            that were written without a limit.
        on_resume (`Callable`, *optional*): `(arguments, saved) -> None`, called on the main process with the options
            and the [`SavedState`] of a checkpoint that was restored, to say what differs.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        output_dir: Path,
        *,
        networks: Mapping[str, ModelMixin],
        averages: Mapping[str, ModelEMA],
        arguments: Mapping[str, Any],
        data: Fingerprint | None = None,
        total_limit: int | None = None,
        on_resume: Callable[[Mapping[str, Any], SavedState], None] | None = None,
    ) -> None:
        self.accelerator, self.output_dir = accelerator, output_dir
        self.networks, self.averages = networks, averages
        self.arguments, self.data, self.total_limit = arguments, data, total_limit
        self.on_resume = on_resume
        self._step = 0  # of the checkpoint that was restored or saved last
        # Otherwise Accelerate would save the networks a second time, under its own names.
        accelerator.register_save_state_pre_hook(lambda models, weights, folder: weights.clear())
        accelerator.register_load_state_pre_hook(lambda models, folder: models.clear())

    def save(self, state: TrainingState, pipeline: SPADEPipeline | None = None) -> Path:
        """Write `checkpoint-{global_step}`; every process calls this.

        Checkpoints beyond the step that this run last saved or restored belong to another run. They are renamed to
        `checkpoint-{step}.abandoned`, and do not count towards `total_limit`.

        Args:
            state (`TrainingState`): Progress of the run.
            pipeline (`SPADEPipeline`, *optional*): The exported averages, on the main process, so that the checkpoint
                can be used for inference.

        Raises:
            FloatingPointError: If a network has a value that is not finite; nothing is written or deleted then.
            OSError: If the disk is full, or the checkpoint cannot be written for another reason.
        """
        for name, network in self._networks_on_disk():
            if (bad := _first_not_finite(network)) is not None:
                raise FloatingPointError(
                    f"Training diverged: {name.removesuffix(LIVE_SUFFIX)} has values that are not finite ({bad}) "
                    f"after update {state.global_step}, so no checkpoint is written. Lower the learning rates, and go "
                    "on from the checkpoint before with `resume_from_checkpoint=latest`."
                )
        final = self.output_dir / f"{PREFIX}{state.global_step}"
        partial = final.with_name(final.name + PARTIAL_SUFFIX)
        if self.accelerator.is_main_process:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            for leftover in self.output_dir.glob(f"{PREFIX}*{PARTIAL_SUFFIX}"):
                if LEFTOVER.fullmatch(leftover.name):
                    remove(leftover)
        self.accelerator.wait_for_everyone()
        try:
            with writing(final.name, self.output_dir, advice=self._advice()):
                self._write(partial, state, pipeline)
        except OSError:
            if self.accelerator.is_main_process:
                shutil.rmtree(partial, ignore_errors=True)  # otherwise the disk stays full
            raise
        if self.accelerator.is_main_process:
            # before the rename: if the run is killed in between, `latest` is the one it started from
            self._set_aside(beyond=min(self._step, state.global_step - 1))
            partial.rename(final)
            sync(self.output_dir)  # the new name is on the disk before an old checkpoint is deleted
            self._prune()
        self._step = state.global_step
        self.accelerator.wait_for_everyone()
        return final

    def resume(self, name: str) -> TrainingState:
        """Restore a checkpoint, and return the run's progress.

        Args:
            name (`str`): A path, a folder's name below the output folder, or `"latest"`: the newest checkpoint that is
                not damaged, or a fresh start if there is none yet.

        Raises:
            ValueError: If the checkpoint does not exist or was trained with other options, or (a
                `DamagedCheckpointError`) if one of its files is missing or damaged; the message names the file.
        """
        if name != "latest":
            below = self.output_dir / name
            is_name = len(Path(name).parts) == 1  # a path is never replaced by a folder of the same name
            checkpoint = below if is_name and (below.is_dir() or not Path(name).is_dir()) else Path(name)
            state = self.load(checkpoint)
            self._warn_of_newer(checkpoint)
            return state
        checkpoints = list_checkpoints(self.output_dir)
        for checkpoint in reversed(checkpoints):
            try:
                return self.load(checkpoint)
            except DamagedCheckpointError as error:
                if checkpoint == checkpoints[0]:
                    raise
                logger.warning("%s Trying the previous checkpoint.", error)
        logger.info("No checkpoint in %s yet: starting a new run", self.output_dir)
        return TrainingState()

    def load(self, checkpoint: Path) -> TrainingState:
        """Restore networks, averages, optimizers, schedules and random states; see [`CheckpointManager.resume`]."""
        if not checkpoint.is_dir():
            found = ", ".join(path.name for path in list_checkpoints(self.output_dir)) or "none"
            raise ValueError(f"The checkpoint {checkpoint} does not exist; available are: {found}.")
        verify_checkpoint(checkpoint)
        check_networks(checkpoint, self.averages)
        for name, network in self._networks_on_disk():
            folder = checkpoint / name
            if not folder.is_dir():  # an older checkpoint, without the suffix
                folder = checkpoint / name.removesuffix(LIVE_SUFFIX)
            check_config(folder, network)
            try:
                network.load_state_dict(load_file(folder / SAFETENSORS_WEIGHTS_NAME))
            except Exception as error:  # safetensors raises its own error class, torch a RuntimeError
                raise damaged(f"{folder / SAFETENSORS_WEIGHTS_NAME} cannot be loaded", error) from error
            if (bad := _first_not_finite(network)) is not None:
                raise DamagedCheckpointError(
                    f"{folder / SAFETENSORS_WEIGHTS_NAME} has values that are not finite in {bad}."
                )
        arguments = read_json(checkpoint / ARGUMENTS_FILE)
        try:
            self.accelerator.load_state(str(checkpoint))
            saved = read_state(checkpoint, arguments)
            restore_rates(self.accelerator, saved)
        except Exception as error:  # unpickling a truncated file can raise anything
            raise damaged(f"The optimizers' states in {checkpoint} cannot be loaded", error) from error
        state = saved.state
        self.accelerator.step = 0  # batches accumulated so far: none, as checkpoints are written after an update
        for average in self.averages.values():
            average.num_updates = state.global_step
        self._step = state.global_step
        if self._other_data(checkpoint):
            state.broken_rows = []
        if self.accelerator.is_main_process:
            logger.info("Resumed from %s", checkpoint)
            if self.on_resume is not None:
                self.on_resume(arguments or {}, saved)
        return state

    def _networks_on_disk(self) -> list[tuple[str, ModelMixin]]:
        live: dict[str, Any] = {
            name + LIVE_SUFFIX * (name in self.averages): network for name, network in self.networks.items()
        }
        averages: dict[str, Any] = {name + AVERAGE_SUFFIX: average.model for name, average in self.averages.items()}
        return [*live.items(), *averages.items()]

    def _write(self, folder: Path, state: TrainingState, pipeline: SPADEPipeline | None) -> None:
        """Write a checkpoint's files, and flush them to the disk."""
        if self.accelerator.is_main_process:
            folder.mkdir()
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(folder))  # every process has random states to save
        if self.accelerator.is_main_process:
            if pipeline is not None:
                pipeline.save_pretrained(str(folder))
            for name, network in self._networks_on_disk():
                network.save_pretrained(folder / name)
            write_json(folder / ARGUMENTS_FILE, dict(self.arguments))
            if self.data is not None:
                write_json(folder / DATA_FILE, self.data)
            more = {"num_processes": self.accelerator.num_processes, "total_limit": self.total_limit}
            write_json(folder / STATE_FILE, {**asdict(state), **more})
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json(folder / CHECKSUMS_FILE, checksums(folder))
            for path in (*folder.rglob("*"), folder):
                sync(path)

    def _advice(self) -> str:
        """Return what to do if the next checkpoint cannot be written."""
        complete = list_checkpoints(self.output_dir)
        kept = f"{complete[-1].name} is complete. " if complete else ""
        then = "repeat the command with `resume_from_checkpoint=latest`."
        return f"{kept}Free space, or give `checkpoints_total_limit=1`, for which two must fit; then {then}"

    def _other_data(self, checkpoint: Path) -> bool:
        """Return whether the run's data differ from a checkpoint's; the main process warns."""
        if self.data is None:
            return False
        before = read_json(checkpoint / DATA_FILE)
        difference = None if before is None else first_difference(before, self.data)
        if self.accelerator.is_main_process and before is None:
            logger.warning(
                "%s has no fingerprint of its data, as it is of an earlier version: other data would not be noticed.",
                checkpoint.name,
            )
        elif self.accelerator.is_main_process and difference is not None:
            logger.warning(
                "Other data than the checkpoint's, so this does not repeat an uninterrupted run: %s.", difference
            )
        return difference is not None

    def _warn_of_newer(self, checkpoint: Path) -> None:
        newer = [path for path in list_checkpoints(self.output_dir) if step_of(path) > self._step]
        if newer and self.accelerator.is_main_process:
            logger.warning(
                "This run goes on from %s, although %s is newer. It will be renamed to %s.",
                checkpoint,
                newer[-1],
                newer[-1].name + ABANDONED_SUFFIX,
            )

    def _set_aside(self, *, beyond: int) -> None:
        for old in list_checkpoints(self.output_dir):
            if step_of(old) > beyond:
                kept = unused(old.with_name(old.name + ABANDONED_SUFFIX))
                old.rename(kept)
                logger.warning("This run started before %s: renamed to %s; delete it if not needed", old, kept.name)

    def _prune(self) -> None:
        if self.total_limit is not None:
            for old in filter(was_limited, list_checkpoints(self.output_dir)[: -self.total_limit]):
                logger.info("Deleting %s: more than %d checkpoints", old, self.total_limit)
                remove_checkpoint(old)


def _first_not_finite(network: nn.Module) -> str | None:
    """Return the name of the first parameter or buffer with a value that is not finite."""
    tensors = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in tensors.values()]).tolist()  # waits for the device once
    return next((name for name, ok in zip(tensors, finite, strict=True) if not ok), None)
