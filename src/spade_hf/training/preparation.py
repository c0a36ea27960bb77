"""Sets up the accelerator so that a run can be resumed exactly."""

import logging
import os
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs, ProjectConfiguration

from .monitoring import check_tracker


logger = logging.getLogger(__name__)

# How long a process waits for another one. Only the main process makes sample images and pipelines, which can take
# longer than NCCL's default of 10 minutes. If a process dies, torchrun stops the others sooner.
PROCESSES_WAIT = timedelta(hours=2)


def build_accelerator(
    output_dir: str,
    *,
    mixed_precision: str | None = None,
    gradient_accumulation_steps: int = 1,
    report_to: str = "none",
    logging_dir: str = "logs",
) -> Accelerator:
    """Build an accelerator whose sample order and gradient accumulation continue exactly from a checkpoint.

    Args:
        output_dir (`str`): The run's output folder.
        mixed_precision (`str`, *optional*): `"no"`, `"fp16"` or `"bf16"`; `None` leaves it to accelerate's config.
        gradient_accumulation_steps (`int`, defaults to 1): Batches per update.
        report_to (`str`, defaults to `"none"`): A tracker that accelerate supports.
        logging_dir (`str`, defaults to `"logs"`): The tracker's folder, below `output_dir`.

    Raises:
        ValueError: If the tracker is unknown or not installed.
    """
    check_tracker(report_to)
    accelerator = Accelerator(
        mixed_precision=mixed_precision,
        # an epoch's incomplete last accumulation continues in the next epoch: all updates see equally many samples
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=gradient_accumulation_steps, sync_with_dataloader=False
        ),
        log_with=None if report_to == "none" else report_to,
        project_config=ProjectConfiguration(output_dir, str(Path(output_dir, logging_dir))),
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PROCESSES_WAIT)],
    )
    if accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16" and not has_bf16_instructions():
        logger.warning(
            "`mixed_precision` is 'bf16', but this CPU has no bf16 instructions: training in bf16 takes many times "
            "as long as float32. Leave it out."
        )
    if accelerator.device.type == "cpu" and accelerator.is_main_process:
        warn_of_a_busy_machine()
    return accelerator


def warn_of_a_busy_machine() -> None:
    """Warn if other programs run on the cores on which torch's threads wait for each other, by spinning."""
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows has none
    is_passive = os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"
    if threads > 1 and load + threads > 2 * cores and not is_passive:
        logger.warning(
            "Other programs use this machine (load %.0f on %d cores), and torch's %d threads spin while they wait for "
            "each other: training can take ten times as long. Set OMP_WAIT_POLICY=PASSIVE or OMP_NUM_THREADS=1 in the "
            "environment.",
            load,
            cores,
            threads,
        )


def has_bf16_instructions() -> bool:
    """Return whether oneDNN computes in bf16 on this CPU; `True` if this torch version cannot tell."""
    is_supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return True if is_supported is None else bool(is_supported())
