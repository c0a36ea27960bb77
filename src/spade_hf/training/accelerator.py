"""The accelerator, set up so that a run can be resumed exactly."""

import logging
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs, ProjectConfiguration

from .monitoring import check_tracker


logger = logging.getLogger(__name__)

# How long a process waits for another one. The main one makes sample images and models alone, in which time NCCL's
# default of 10 minutes may pass; of a process that died, torchrun tells the others sooner.
PROCESSES_WAIT = timedelta(hours=2)


def build_accelerator(
    output_dir: str,
    *,
    mixed_precision: str | None = None,
    gradient_accumulation_steps: int = 1,
    report_to: str = "none",
    logging_dir: str = "logs",
) -> Accelerator:
    """An accelerator whose order of samples, and whose accumulation, continue where a checkpoint was written.

    Args:
        output_dir (`str`): Of the run.
        mixed_precision (`str`, *optional*): `"no"`, `"fp16"` or `"bf16"`; `None` leaves it to accelerate's config.
        gradient_accumulation_steps (`int`, defaults to 1): Batches an update.
        report_to (`str`, defaults to `"none"`): A tracker that accelerate knows.
        logging_dir (`str`, defaults to `"logs"`): Of the tracker, below `output_dir`.

    Raises:
        ValueError: If the tracker is unknown or not installed.
    """
    check_tracker(report_to)
    accelerator = Accelerator(
        mixed_precision=mixed_precision,
        # an epoch's last, incomplete accumulation goes on in the next epoch: every update sees as many samples
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
            "`mixed_precision` is 'bf16', but this CPU has no instructions for it: it takes many times as long as "
            "float32. Leave it out."
        )
    return accelerator


def has_bf16_instructions() -> bool:
    """Whether oneDNN computes in bf16 on this CPU; `True` where torch does not say."""
    is_supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return True if is_supported is None else bool(is_supported())
