"""Checkpoints on disk, written atomically and verified before they are used.

A checkpoint is written to a temporary folder beside its final path and renamed when it is complete. If a run is killed
while it saves, the previous checkpoint remains the latest. Each checkpoint contains checksums of its files. A run that
starts before existing checkpoints renames them, so that `latest` belongs to this run.
"""

import hashlib
import itertools
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from diffusers import ModelMixin
from safetensors.torch import load_file

from ..pipelines import SPADEPipeline
from .ema import ModelEMA
from .loop import TrainingState
from .summary import warn_of_changes


logger = logging.getLogger(__name__)
PREFIX, PARTIAL_SUFFIX, ABANDONED_SUFFIX, LIVE_SUFFIX = "checkpoint-", ".partial", ".abandoned", "_live"
STATE_FILE, ARGUMENTS_FILE, CHECKSUMS_FILE = "training_state.json", "arguments.json", "checksums.json"
WEIGHTS_FILE, CONFIG_FILE = "diffusion_pytorch_model.safetensors", "config.json"


class DamagedCheckpointError(ValueError):
    """Error for a checkpoint that cannot be used, because one of its files is missing or damaged."""


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
        total_limit (`int`, *optional*): Number of checkpoints to keep, 1 or more; older ones are deleted.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        output_dir: Path,
        *,
        networks: Mapping[str, ModelMixin],
        averages: Mapping[str, ModelEMA],
        arguments: Mapping[str, Any],
        total_limit: int | None = None,
    ) -> None:
        self.accelerator, self.output_dir = accelerator, output_dir
        self.networks, self.averages = networks, averages
        self.arguments, self.total_limit = arguments, total_limit
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
        """
        final = self.output_dir / f"{PREFIX}{state.global_step}"
        partial = final.with_name(final.name + PARTIAL_SUFFIX)
        if self.accelerator.is_main_process:
            for leftover in self.output_dir.glob(f"{PREFIX}*{PARTIAL_SUFFIX}"):  # left by a killed run
                shutil.rmtree(leftover)
            partial.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(partial))  # every process has random states to save
        if self.accelerator.is_main_process:
            if pipeline is not None:
                pipeline.save_pretrained(str(partial))
            for name, network in self._networks_on_disk():
                network.save_pretrained(partial / name)
            write_json(partial / ARGUMENTS_FILE, dict(self.arguments))
            write_json(partial / STATE_FILE, asdict(state))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json(partial / CHECKSUMS_FILE, _checksums(partial))
            for path in (*partial.rglob("*"), partial):
                _sync(path)
            # before the rename: if the run is killed in between, `latest` is the one it started from
            self._set_aside(beyond=min(self._step, state.global_step - 1))
            partial.rename(final)
            _sync(self.output_dir)  # the new name is on the disk before an old checkpoint is deleted
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
            return self.load(Path(name) if Path(name).is_dir() else self.output_dir / Path(name).name)
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
        for name, network in self._networks_on_disk():
            folder = checkpoint / name
            if not folder.is_dir():  # an older checkpoint, without the suffix
                folder = checkpoint / name.removesuffix(LIVE_SUFFIX)
            _check_config(folder / CONFIG_FILE, network)
            try:
                network.load_state_dict(load_file(folder / WEIGHTS_FILE))
            except Exception as error:  # safetensors raises its own error class, torch a RuntimeError
                raise _damaged(f"{folder / WEIGHTS_FILE} cannot be loaded", error) from error
        try:
            self.accelerator.load_state(str(checkpoint))
            values = json.loads((checkpoint / STATE_FILE).read_text())
            values.pop("ema_updates", None)  # in older checkpoints; always equal to the steps
            state = TrainingState(**values)
        except Exception as error:  # unpickling a truncated file can raise anything
            raise _damaged(f"The optimizers' states in {checkpoint} cannot be loaded", error) from error
        for average in self.averages.values():
            average.num_updates = state.global_step
        self._step = state.global_step
        logger.info("Resumed from %s", checkpoint)
        warn_of_changes(checkpoint / ARGUMENTS_FILE, self.arguments)
        return state

    def _networks_on_disk(self) -> list[tuple[str, ModelMixin]]:
        live: dict[str, Any] = {
            name + LIVE_SUFFIX * (name in self.averages): network for name, network in self.networks.items()
        }
        averages: dict[str, Any] = {f"{name}_ema": average.model for name, average in self.averages.items()}
        return [*live.items(), *averages.items()]

    def _set_aside(self, *, beyond: int) -> None:
        for old in list_checkpoints(self.output_dir):
            if _step_of(old) > beyond:
                kept = _unused(old.with_name(old.name + ABANDONED_SUFFIX))
                old.rename(kept)
                logger.warning("This run started before %s: renamed to %s; delete it if not needed", old, kept.name)

    def _prune(self) -> None:
        if self.total_limit is not None:
            for old in list_checkpoints(self.output_dir)[: -self.total_limit]:
                logger.info("Deleting %s: more than %d checkpoints", old, self.total_limit)
                _delete(old)


def verify_checkpoint(checkpoint: Path) -> None:
    """Read every file of a checkpoint and verify its checksum.

    Raises:
        DamagedCheckpointError: If a file is missing or damaged; the message names it.
    """
    expected = {}
    for file in (STATE_FILE, CHECKSUMS_FILE):
        try:
            expected = json.loads((checkpoint / file).read_text())
        except FileNotFoundError as error:
            if file == CHECKSUMS_FILE:  # an older checkpoint without checksums
                return
            raise DamagedCheckpointError(f"{checkpoint} is not a complete checkpoint: it has no {file}.") from error
        except ValueError as error:
            raise _damaged(f"{checkpoint / file} is damaged", error) from error
    for name, written in expected.items():
        file = checkpoint / name
        if not file.is_file():
            raise DamagedCheckpointError(f"{checkpoint} is damaged: it has no {name}.")
        if checksum(file) != written:
            raise DamagedCheckpointError(f"{file} is damaged: its checksum differs from the recorded one.")


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    complete = (path for path in output_dir.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit())
    return sorted(complete, key=_step_of)


def _unused(path: Path) -> Path:
    """Return this path or, if it exists, the first free one of `path-2`, `path-3`, ..."""
    others = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], others) if not name.exists())


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def _damaged(what: str, error: Exception) -> DamagedCheckpointError:
    return DamagedCheckpointError(f"{what}: {' '.join(str(error).split())}")  # torch writes lists over several lines


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Write a checkpoint's JSON file."""
    file.write_text(json.dumps(values, indent=2, default=str) + "\n")


def _delete(checkpoint: Path) -> None:
    """Delete a checkpoint; rename it first, so that a half-deleted folder does not count as one."""
    shutil.rmtree(checkpoint.rename(checkpoint.with_name(checkpoint.name + ".deleted" + PARTIAL_SUFFIX)))


def _checksums(folder: Path) -> dict[str, str]:
    """Compute the checksums of all files, by their path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): checksum(file) for file in files}


def checksum(file: Path) -> str:
    """Compute the SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk, so that they survive a machine failure."""
    if path.is_file():
        with path.open("r+b") as content:  # Windows cannot sync a file that is opened read-only
            os.fsync(content.fileno())
    elif os.name != "nt":  # Windows cannot open folders
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _check_config(file: Path, network: ModelMixin) -> None:
    """Raise a ValueError if a saved network's config differs from the run's; name the differences."""
    try:
        saved = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise _damaged(f"{file} cannot be read", error) from error
    ours = json.loads(network.to_json_string())
    differences = [
        f"{key}={saved.get(key)} (this run: {value})"
        for key, value in ours.items()
        if not key.startswith("_") and saved.get(key, value) != value
    ]
    if differences:
        raise ValueError(
            f"{file.parent} was trained with {', '.join(differences)}. Give the options "
            f"of {file.parents[1] / ARGUMENTS_FILE}, or another `output_dir`."
        )
