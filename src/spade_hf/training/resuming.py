"""How a checkpoint is read by the run that resumes from it, which can have other options, processes or data.

A checkpoint counts updates and samples, which do not depend on the number of processes. Checkpoints of earlier
versions count batches of one process, and their schedules count a step for each process.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import ModelMixin

from ..data import PairedImageDataset, StreamedImageDataset
from ..data.fingerprint import Fingerprint, fingerprint
from .integrity import ARGUMENTS_FILE, STATE_FILE, damaged
from .loop import TrainingState


AVERAGE_SUFFIX = "_ema"
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


def read_state(checkpoint: Path, arguments: Mapping[str, Any] | None) -> SavedState:
    """Read a checkpoint's progress, and convert that of an older one.

    Args:
        checkpoint (`Path`): Its folder.
        arguments (`Mapping[str, Any]`, *optional*): Its options.
    """
    values = json.loads((checkpoint / STATE_FILE).read_text())
    values.pop("ema_updates", None)  # in older checkpoints; always equal to the steps
    values.pop("total_limit", None)
    num_processes = values.pop("num_processes", None)
    is_old = num_processes is None
    if is_old:
        num_processes = max(1, len(list(checkpoint.glob("random_states_*.pkl"))))  # each process wrote one
        batch_size = (arguments or {}).get("train_batch_size", 1)
        values["samples_done"] = values.pop("batches_done") * num_processes * batch_size
    return SavedState(TrainingState(**values), num_processes, is_old)


def restore_rates(accelerator: Accelerator, saved: SavedState) -> None:
    """Set the learning rates to those of this run's schedules, which can have another length than the saved ones.

    Args:
        accelerator (`Accelerator`): Has loaded the optimizers' and schedules' states.
        saved (`SavedState`): The checkpoint's progress.
    """
    for prepared in accelerator._schedulers:
        schedule: torch.optim.lr_scheduler.LambdaLR = prepared.scheduler
        if saved.is_old:
            schedule.last_epoch //= saved.num_processes
            schedule._step_count = schedule.last_epoch + 1
        rates = [base * factor(schedule.last_epoch)
                 for base, factor in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]  # fmt: skip
        for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        schedule._last_lr = rates


def fingerprint_of(dataset: PairedImageDataset | StreamedImageDataset) -> Fingerprint:
    """Describe what a run trains on, by a sample of its rows."""
    is_stream = isinstance(dataset, StreamedImageDataset)
    reader = dataset.reader
    return fingerprint(
        dataset.unshuffled if is_stream else dataset.rows,
        [reader.image_column, reader.mask_column, reader.instance_column],
        label_set=reader.processor.label_set,
        color_tolerance=reader.color_tolerance,
        max_rows=STREAMED_ROWS if is_stream else STORED_ROWS,
    )


def check_networks(checkpoint: Path, averaged: Collection[str]) -> None:
    """Check that a checkpoint has the networks of the run's generator side.

    Args:
        checkpoint (`Path`): Its folder.
        averaged (`Collection[str]`): Names of the run's averaged networks.

    Raises:
        ValueError: If one has a network that the other has not; the message names it.
    """
    saved = {folder.name.removesuffix(AVERAGE_SUFFIX) for folder in checkpoint.glob(f"*{AVERAGE_SUFFIX}")}
    differences = [f"has no {name}" for name in averaged if name not in saved]
    differences += [f"has {name}, which this run has not" for name in sorted(saved - set(averaged))]
    if differences:
        raise ValueError(f"{checkpoint} {', '.join(differences)}. {_advice(checkpoint)}")


def check_config(folder: Path, network: ModelMixin) -> None:
    """Check that a saved network has the config of the run's.

    Raises:
        ValueError: If it is of another class or has another config; the message names the differences. A
            `DamagedCheckpointError` if the config cannot be read.
    """
    file = folder / "config.json"
    try:
        saved = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise damaged(f"{file} cannot be read", error) from error
    ours = json.loads(network.to_json_string())
    if saved.get("_class_name", ours["_class_name"]) != ours["_class_name"]:
        raise ValueError(
            f"{folder} is a {saved['_class_name']} (this run: {ours['_class_name']}). {_advice(folder.parent)}"
        )
    differences = [
        f"{key}={saved.get(key)} (this run: {value})"
        for key, value in ours.items()
        if not key.startswith("_") and saved.get(key, value) != value
    ]
    if differences:
        raise ValueError(f"{folder} was trained with {', '.join(differences)}. {_advice(folder.parent)}")


def _advice(checkpoint: Path) -> str:
    return f"Give the options of {checkpoint / ARGUMENTS_FILE}, or another `output_dir`."
