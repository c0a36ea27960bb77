"""Training states on disk: complete or not there at all, and known to be undamaged before they are used.

A checkpoint is written to a temporary folder beside its place and renamed when everything is in it, so that a run
that is killed while it saves leaves the checkpoint before it as the latest. A list of checksums lies in it. A run
that starts from an older state than the newest one sets aside what lies beyond, so that `latest` is its own.
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
    """A checkpoint cannot be used, because a file of it is missing or not what was written."""


class CheckpointManager:
    """Saves and restores everything that a run needs to go on as if it had not been interrupted.

    A checkpoint is a pipeline of the averaged networks (`generator` and so on, ready to paint with). Beside it are the
    live networks (`generator_live`), the averages as training goes on with them (`generator_ema`) and the
    discriminator; optimizers, schedules and random states are saved by Accelerate.

    Args:
        accelerator (`Accelerator`): With networks, optimizers and schedules prepared.
        output_dir (`Path`): Where `checkpoint-{step}` folders go.
        networks (`Mapping[str, ModelMixin]`): The live networks, by folder name.
        averages (`Mapping[str, ModelEMA]`): Their averages, by folder name.
        arguments (`Mapping[str, Any]`): The resolved command line, kept with every checkpoint.
        total_limit (`int`, *optional*): How many checkpoints are kept, 1 or more; older ones are deleted.
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
        self._step = 0  # of what was restored or saved last
        # Accelerate would save the networks once more, under names of its own.
        accelerator.register_save_state_pre_hook(lambda models, weights, folder: weights.clear())
        accelerator.register_load_state_pre_hook(lambda models, folder: models.clear())

    def save(self, state: TrainingState, pipeline: SPADEPipeline | None = None) -> Path:
        """Write `checkpoint-{global_step}`; every process calls this.

        Checkpoints that this run did not come by, those of a longer run in the same folder, are renamed to
        `checkpoint-{step}.abandoned` and no longer count. None is deleted for them.

        Args:
            state (`TrainingState`): Where the run stands.
            pipeline (`SPADEPipeline`, *optional*): The exported averages, on the main process, so that the checkpoint
                can be painted from.
        """
        final = self.output_dir / f"{PREFIX}{state.global_step}"
        partial = final.with_name(final.name + PARTIAL_SUFFIX)
        if self.accelerator.is_main_process:
            for leftover in self.output_dir.glob(f"{PREFIX}*{PARTIAL_SUFFIX}"):  # of a run that was killed
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
            # before the rename: should the run be killed between, `latest` is what it started from
            self._set_aside(beyond=min(self._step, state.global_step - 1))
            partial.rename(final)
            _sync(self.output_dir)  # the new name is on the disk before an old checkpoint is deleted
            self._prune()
        self._step = state.global_step
        self.accelerator.wait_for_everyone()
        return final

    def resume(self, name: str) -> TrainingState:
        """Restore a checkpoint, and say where the run stood.

        Args:
            name (`str`): A path, a folder's name below the output folder, or `"latest"`: the newest checkpoint that is
                not damaged, or a fresh start if there is none yet.

        Raises:
            ValueError: If the checkpoint is not there, belongs to other options, or (a `DamagedCheckpointError`) a
                file of it is missing or damaged; the file is named.
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
                logger.warning("%s Trying the checkpoint before it.", error)
        logger.info("No checkpoint in %s yet: starting afresh", self.output_dir)
        return TrainingState()

    def load(self, checkpoint: Path) -> TrainingState:
        """Restore networks, averages, optimizers, schedules and random states; see [`CheckpointManager.resume`]."""
        if not checkpoint.is_dir():
            found = ", ".join(path.name for path in list_checkpoints(self.output_dir)) or "none"
            raise ValueError(f"The checkpoint {checkpoint} is not there; there are: {found}.")
        verify_checkpoint(checkpoint)
        for name, network in self._networks_on_disk():
            folder = checkpoint / name
            if not folder.is_dir():  # written before checkpoints held a pipeline, whose place the live networks had
                folder = checkpoint / name.removesuffix(LIVE_SUFFIX)
            _check_config(folder / CONFIG_FILE, network)
            try:
                network.load_state_dict(load_file(folder / WEIGHTS_FILE))
            except Exception as error:  # safetensors raises its own error class, torch a RuntimeError
                raise _damaged(f"{folder / WEIGHTS_FILE} cannot be loaded", error) from error
        try:
            self.accelerator.load_state(str(checkpoint))
            values = json.loads((checkpoint / STATE_FILE).read_text())
            values.pop("ema_updates", None)  # older checkpoints count the averages' updates apart: one a step
            state = TrainingState(**values)
        except Exception as error:  # whatever unpickling half a file raises
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
                logger.warning("This run started before %s: it is now %s; delete it if not needed", old, kept.name)

    def _prune(self) -> None:
        if self.total_limit is not None:
            for old in list_checkpoints(self.output_dir)[: -self.total_limit]:
                logger.info("Deleting %s: more than %d checkpoints", old, self.total_limit)
                _delete(old)


def verify_checkpoint(checkpoint: Path) -> None:
    """Read every file of a checkpoint and compare its checksum.

    Raises:
        DamagedCheckpointError: If a file is missing or not what was written; it is named.
    """
    expected = {}
    for file in (STATE_FILE, CHECKSUMS_FILE):
        try:
            expected = json.loads((checkpoint / file).read_text())
        except FileNotFoundError as error:
            if file == CHECKSUMS_FILE:  # written before there were checksums
                return
            raise DamagedCheckpointError(f"{checkpoint} is not a complete checkpoint: it has no {file}.") from error
        except ValueError as error:
            raise _damaged(f"{checkpoint / file} is damaged", error) from error
    for name, written in expected.items():
        file = checkpoint / name
        if not file.is_file():
            raise DamagedCheckpointError(f"{checkpoint} is damaged: it has no {name}.")
        if checksum(file) != written:
            raise DamagedCheckpointError(f"{file} is damaged: its checksum is not the one that was written.")


def list_checkpoints(output_dir: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    complete = (path for path in output_dir.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit())
    return sorted(complete, key=_step_of)


def _unused(path: Path) -> Path:
    """This path or, if there is such a file, the first of `path-2`, `path-3`, ... that is free."""
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
    """Delete a folder that must not be taken for a checkpoint when it is half gone."""
    shutil.rmtree(checkpoint.rename(checkpoint.with_name(checkpoint.name + ".deleted" + PARTIAL_SUFFIX)))


def _checksums(folder: Path) -> dict[str, str]:
    """Checksums of all files by their path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): checksum(file) for file in files}


def checksum(file: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk, should the machine fail."""
    if path.is_file():
        with path.open("r+b") as content:  # Windows syncs nothing that is open for reading only
            os.fsync(content.fileno())
    elif os.name != "nt":  # which opens no folder
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _check_config(file: Path, network: ModelMixin) -> None:
    """Raise a ValueError if a saved network is built otherwise than the run's; name what differs."""
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
