"""Training states on disk: complete or not there at all.

A checkpoint is written to a temporary folder beside its place and renamed when everything is in it, so that a run
that is killed while it saves leaves the checkpoint before it as the latest.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from diffusers import ModelMixin
from safetensors.torch import load_file

from .ema import ModelEMA


logger = logging.getLogger(__name__)
PREFIX, PARTIAL_SUFFIX = "checkpoint-", ".partial"
STATE_FILE, ARGUMENTS_FILE, WEIGHTS_FILE = (
    "training_state.json",
    "arguments.json",
    "diffusion_pytorch_model.safetensors",
)


@dataclass
class TrainingState:
    """Where a run stands.

    Args:
        global_step (`int`): Finished updates.
        epoch (`int`): Epoch of the next batch.
        batches_done (`int`): Batches of that epoch that are finished.
        ema_updates (`int`): Updates of the averages.
    """

    global_step: int = 0
    epoch: int = 0
    batches_done: int = 0
    ema_updates: int = 0


class CheckpointManager:
    """Saves and restores everything that a run needs to go on as if it had not been interrupted.

    Networks are saved as folders that `from_pretrained` reads; optimizers, schedules and random states by Accelerate.

    Args:
        accelerator (`Accelerator`): With networks, optimizers and schedules prepared.
        output_dir (`Path`): Where `checkpoint-{step}` folders go.
        networks (`Mapping[str, ModelMixin]`): The live networks, by folder name.
        averages (`Mapping[str, ModelEMA]`): Their averages, by folder name.
        arguments (`Mapping[str, Any]`): The resolved command line, kept with every checkpoint.
        total_limit (`int`, *optional*): How many checkpoints are kept; older ones are deleted.
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
        # Accelerate would save the networks once more, under names of its own.
        accelerator.register_save_state_pre_hook(lambda models, weights, folder: weights.clear())
        accelerator.register_load_state_pre_hook(lambda models, folder: models.clear())

    def save(self, state: TrainingState) -> Path:
        """Write `checkpoint-{global_step}`; every process calls this."""
        final = self.output_dir / f"{PREFIX}{state.global_step}"
        partial = final.with_name(final.name + PARTIAL_SUFFIX)
        if self.accelerator.is_main_process:
            for leftover in (final, partial):  # of an interrupted save, or of a run that went on from an older state
                shutil.rmtree(leftover, ignore_errors=True)
            partial.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(partial))  # every process has random states to save
        if self.accelerator.is_main_process:
            for name, network in self._networks_on_disk():
                network.save_pretrained(partial / name)
            (partial / ARGUMENTS_FILE).write_text(json.dumps(dict(self.arguments), indent=2, default=str) + "\n")
            (partial / STATE_FILE).write_text(json.dumps(asdict(state), indent=2) + "\n")
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            partial.rename(final)
            self._prune()
        return final

    def load(self, checkpoint: Path) -> TrainingState:
        """Restore networks, averages, optimizers, schedules and random states, and say where the run stood.

        Raises:
            ValueError: If the checkpoint is not there, or a file in it is missing or damaged; the file is named.
        """
        if not (checkpoint / STATE_FILE).is_file():
            found = ", ".join(path.name for path in list_checkpoints(self.output_dir)) or "none"
            raise ValueError(f"`--resume_from_checkpoint`: {checkpoint} is no complete checkpoint; found: {found}.")
        for name, network in self._networks_on_disk():
            file = checkpoint / name / WEIGHTS_FILE
            try:
                network.load_state_dict(load_file(file))
            except Exception as error:  # safetensors raises its own error class, torch a RuntimeError
                raise ValueError(f"{file} cannot be loaded: {error}. Resume from an earlier checkpoint.") from error
        self.accelerator.load_state(str(checkpoint))
        state = TrainingState(**json.loads((checkpoint / STATE_FILE).read_text()))
        for average in self.averages.values():
            average.num_updates = state.ema_updates
        return state

    def _networks_on_disk(self) -> list[tuple[str, ModelMixin]]:
        averages = [(f"{name}_ema", average.model) for name, average in self.averages.items()]
        return [*self.networks.items(), *averages]

    def _prune(self) -> None:
        if self.total_limit is not None:
            for old in list_checkpoints(self.output_dir)[: -self.total_limit]:
                logger.info("Deleting %s: more than %d checkpoints", old, self.total_limit)
                shutil.rmtree(old)


def list_checkpoints(output_dir: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    steps = {
        int(path.name.removeprefix(PREFIX)): path
        for path in output_dir.glob(f"{PREFIX}*")
        if path.name.removeprefix(PREFIX).isdigit()
    }
    return [steps[step] for step in sorted(steps)]


def find_checkpoint(output_dir: Path, name: str) -> Path | None:
    """The checkpoint that `--resume_from_checkpoint` names: a path, a folder's name, or `"latest"`.

    Returns:
        `Path` or `None`: `None` if `"latest"` was asked for and there is none yet.
    """
    if name == "latest":
        return next(reversed(list_checkpoints(output_dir)), None)
    return Path(name) if Path(name).is_dir() else output_dir / Path(name).name
