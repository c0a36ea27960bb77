"""Checkpoints from which a run continues as if it had not been interrupted.

A checkpoint is written to a temporary folder beside its final path and renamed when it is complete. If a run is killed
while it saves, the previous checkpoint remains the latest. Each checkpoint contains checksums of its files. A run that
starts before existing checkpoints renames them, so that `latest` belongs to this run.

The run that resumes can have other options, processes or data. A checkpoint therefore counts updates and samples,
which do not depend on the number of processes. Checkpoints of earlier versions count batches of one process, and their
schedules count a step for each process.
"""

import itertools
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import ModelMixin
from diffusers.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from torch import nn

from ..data import PairedImageDataset, StreamedImageDataset
from ..data.fingerprint import Fingerprint, fingerprint, first_difference
from ..pipelines import SPADEPipeline
from .averages import ModelEMA
from .integrity import (
    ARGUMENTS_FILE,
    CHECKSUMS_FILE,
    STATE_FILE,
    DamagedCheckpointError,
    checksums,
    damaged,
    read_json,
    sync,
    verify_checkpoint,
    write_json,
    writing,
)
from .loop import TrainingState
from .output_folder import (
    ABANDONED_SUFFIX,
    CHECKPOINT_PREFIX,
    PARTIAL_SUFFIX,
    delete,
    delete_leftovers,
    list_checkpoints,
    step_of,
)


logger = logging.getLogger(__name__)
LIVE_SUFFIX, AVERAGE_SUFFIX = "_live", "_ema"  # of the networks' folders
DATA_FILE = "data.json"  # the fingerprint of the data
STORED_ROWS, STREAMED_ROWS = 256, 16  # for the fingerprint; those of a stream can have to be downloaded


@dataclass(frozen=True)
class SavedState:
    """Contents of a checkpoint's `training_state.json`.

    Args:
        state (`TrainingState`): Progress of the run.
        num_processes (`int`): Processes that wrote the checkpoint.
        is_old (`bool`): Whether it is of a version that counted by process.
    """

    state: TrainingState
    num_processes: int
    is_old: bool


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

    def save(self, state: TrainingState, pipeline: SPADEPipeline | ModelMixin | None = None) -> Path:
        """Write `checkpoint-{global_step}`; every process calls this.

        Checkpoints beyond the step that this run last saved or restored belong to another run. They are renamed to
        `checkpoint-{step}.abandoned`, and do not count toward `total_limit`.

        Args:
            state (`TrainingState`): Progress of the run.
            pipeline (`SPADEPipeline` or `ModelMixin`, *optional*): The exported averages, on the main process, so
                that the checkpoint can be used for inference: a pipeline, or an outline model alone.

        Raises:
            FloatingPointError: If a network has a value that is not finite; nothing is written or deleted then.
            OSError: If the disk is full, or the checkpoint cannot be written for another reason.
        """
        for name, network in self._networks_on_disk().items():
            if (bad := _first_not_finite(network)) is not None:
                raise FloatingPointError(
                    f"Training diverged: {name.removesuffix(LIVE_SUFFIX)} has values that are not finite ({bad}) "
                    f"after update {state.global_step}, so no checkpoint is written. Lower the learning rates, and go "
                    "on from the checkpoint before with `resume_from_checkpoint=latest`."
                )

        # Write it beside its place
        final = self.output_dir / f"{CHECKPOINT_PREFIX}{state.global_step}"
        partial = final.with_name(final.name + PARTIAL_SUFFIX)
        if self.accelerator.is_main_process:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            delete_leftovers(self.output_dir)
        self.accelerator.wait_for_everyone()
        try:
            with writing(final.name, self.output_dir, advice=self._advice()):
                self._write(partial, state, pipeline)
        except OSError:
            if self.accelerator.is_main_process:
                shutil.rmtree(partial, ignore_errors=True)  # otherwise the disk stays full
            raise

        # Put it in its place, after others' checkpoints have left theirs; only then delete old ones
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

        # Networks and averages
        saved_averages = {folder.name.removesuffix(AVERAGE_SUFFIX) for folder in checkpoint.glob(f"*{AVERAGE_SUFFIX}")}
        differences = [f"has no {name}" for name in self.averages if name not in saved_averages]
        differences += [f"has {name}, which this run has not" for name in sorted(saved_averages - set(self.averages))]
        if differences:
            raise ValueError(f"{checkpoint} {', '.join(differences)}. {_other_options(checkpoint)}")
        for name, network in self._networks_on_disk().items():
            folder = checkpoint / name
            if not folder.is_dir():  # an older checkpoint, without the suffix
                folder = checkpoint / name.removesuffix(LIVE_SUFFIX)
            _check_config(folder, network)
            try:
                network.load_state_dict(load_file(folder / SAFETENSORS_WEIGHTS_NAME))
            except Exception as error:  # safetensors raises its own error class, torch a RuntimeError
                raise damaged(f"{folder / SAFETENSORS_WEIGHTS_NAME} cannot be loaded", error) from error
            if (bad := _first_not_finite(network)) is not None:
                raise DamagedCheckpointError(
                    f"{folder / SAFETENSORS_WEIGHTS_NAME} has values that are not finite in {bad}."
                )

        # Optimizers, schedules and random states
        arguments = read_json(checkpoint / ARGUMENTS_FILE) or {}
        try:
            self.accelerator.load_state(str(checkpoint))
            saved = _read_state(checkpoint, arguments)
            _restore_rates(self.accelerator, saved)
        except Exception as error:  # unpickling a truncated file can raise anything
            raise damaged(f"The optimizers' states in {checkpoint} cannot be loaded", error) from error

        # Progress
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
                self.on_resume(arguments, saved)
        return state

    def _networks_on_disk(self) -> dict[str, Any]:
        """Return the live networks and the averages, by the names of their folders in a checkpoint."""
        live = {name + LIVE_SUFFIX * (name in self.averages): network for name, network in self.networks.items()}
        return live | {name + AVERAGE_SUFFIX: average.model for name, average in self.averages.items()}

    def _write(self, folder: Path, state: TrainingState, pipeline: SPADEPipeline | ModelMixin | None) -> None:
        """Write a checkpoint's files, and flush them to the disk."""
        if self.accelerator.is_main_process:
            folder.mkdir()
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(folder))  # every process has random states to save
        if self.accelerator.is_main_process:
            if pipeline is not None:
                pipeline.save_pretrained(str(folder))
            for name, network in self._networks_on_disk().items():
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
        """Warn that the next save renames checkpoints of this folder, if there are newer ones than the restored."""
        newer = [path for path in list_checkpoints(self.output_dir) if step_of(path) > self._step]
        if newer and self.accelerator.is_main_process:
            logger.warning(
                "This run goes on from %s, although %s is newer. It will be renamed to %s.",
                checkpoint,
                newer[-1],
                newer[-1].name + ABANDONED_SUFFIX,
            )

    def _set_aside(self, *, beyond: int) -> None:
        """Rename the checkpoints beyond a step to `checkpoint-{step}.abandoned`, or `.abandoned-2` and so on."""
        for old in list_checkpoints(self.output_dir):
            if step_of(old) > beyond:
                first = old.name + ABANDONED_SUFFIX
                names = itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))
                kept = next(path for path in map(old.with_name, names) if not path.exists())
                old.rename(kept)
                logger.warning("This run started before %s: renamed to %s; delete it if not needed", old, kept.name)

    def _prune(self) -> None:
        """Delete the oldest checkpoints beyond the limit, except those of a run that had none."""
        if self.total_limit is None:
            return
        for old in list_checkpoints(self.output_dir)[: -self.total_limit]:
            state, older = (read_json(old / file) or {} for file in (STATE_FILE, ARGUMENTS_FILE))
            if state.get("total_limit", older.get("checkpoints_total_limit")):
                logger.info("Deleting %s: more than %d checkpoints", old, self.total_limit)
                # renamed first: a half-deleted folder does not count as a checkpoint
                delete(old.rename(old.with_name(f"{old.name}.deleted{PARTIAL_SUFFIX}")))


def fingerprint_of(dataset: PairedImageDataset | StreamedImageDataset) -> Fingerprint:
    """Describe what a run trains on, by a sample of its rows."""
    is_stream = isinstance(dataset, StreamedImageDataset)
    reader = dataset.reader
    return fingerprint(
        dataset.unshuffled if is_stream else dataset.rows,
        reader.columns,
        label_set=reader.processor.label_set_or_none,
        color_tolerance=reader.color_tolerance,
        ids_in_red=getattr(reader, "ids_in_red", False),
        max_rows=STREAMED_ROWS if is_stream else STORED_ROWS,
    )


def _read_state(checkpoint: Path, arguments: Mapping[str, Any]) -> SavedState:
    """Read a checkpoint's progress, and convert that of an older one, which `arguments`, its options, help to read."""
    values = json.loads((checkpoint / STATE_FILE).read_text())
    values.pop("ema_updates", None)  # in older checkpoints; always equal to the steps
    values.pop("total_limit", None)
    num_processes = values.pop("num_processes", None)
    is_old = num_processes is None
    if is_old:
        num_processes = max(1, len(list(checkpoint.glob("random_states_*.pkl"))))  # each process wrote one
        batch_size = arguments.get("train_batch_size", 1)
        values["samples_done"] = values.pop("batches_done") * num_processes * batch_size
    return SavedState(TrainingState(**values), num_processes, is_old)


def _restore_rates(accelerator: Accelerator, saved: SavedState) -> None:
    """Set the learning rates to those of this run's schedules, which can have another length than the saved ones."""
    for prepared in accelerator._schedulers:
        schedule: torch.optim.lr_scheduler.LambdaLR = prepared.scheduler
        if saved.is_old:  # its steps are updates times processes
            schedule.last_epoch //= saved.num_processes
            schedule._step_count = schedule.last_epoch + 1
        bases = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
        rates = [base * factor(schedule.last_epoch) for base, factor in bases]
        for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        schedule._last_lr = rates


def _check_config(folder: Path, network: ModelMixin) -> None:
    """Raise a ValueError that names the differences if a saved network has another config than the run's."""
    file = folder / CONFIG_NAME
    try:
        saved = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise damaged(f"{file} cannot be read", error) from error
    ours = json.loads(network.to_json_string())
    if saved.get("_class_name", ours["_class_name"]) != ours["_class_name"]:
        raise ValueError(
            f"{folder} is a {saved['_class_name']} (this run: {ours['_class_name']}). {_other_options(folder.parent)}"
        )
    differences = [
        f"{key}={saved.get(key)} (this run: {value})"
        for key, value in ours.items()
        if not key.startswith("_") and saved.get(key, value) != value
    ]
    if differences:
        raise ValueError(f"{folder} was trained with {', '.join(differences)}. {_other_options(folder.parent)}")


def _other_options(checkpoint: Path) -> str:
    """Return what to do if a checkpoint is of a run with other networks."""
    return f"Give the options of {checkpoint / ARGUMENTS_FILE}, or another `output_dir`."


def _first_not_finite(network: nn.Module) -> str | None:
    """Return the name of the first parameter or buffer with a value that is not finite."""
    tensors = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in tensors.values()]).tolist()  # waits for the device once
    return next((name for name, ok in zip(tensors, finite, strict=True) if not ok), None)
