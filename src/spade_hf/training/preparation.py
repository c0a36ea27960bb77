"""What a run sets up before its first update: the accelerator, learning-rate schedules, compiled networks."""

import logging
import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs, ProjectConfiguration
from diffusers.optimization import get_scheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

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


def learning_rate_schedule(
    name: str, optimizer: Optimizer, *, num_steps: int, num_warmup_steps: int = 0, decay_start: float = 0.5
) -> LRScheduler:
    """Build a learning-rate schedule over a known number of updates.

    Args:
        name (`str`): `"constant_then_linear"`, the paper's: constant, then linearly to 0; or a name that
            `diffusers.optimization.get_scheduler` knows.
        optimizer (`Optimizer`): The optimizer.
        num_steps (`int`): Updates in the whole run.
        num_warmup_steps (`int`, defaults to 0): Updates of linear warm-up.
        decay_start (`float`, defaults to 0.5): Share of the run at which `"constant_then_linear"` begins to decay.
    """
    if name != "constant_then_linear":
        return get_scheduler(name, optimizer, num_warmup_steps=num_warmup_steps, num_training_steps=num_steps)

    def factor(step: int) -> float:  # the rate of update `step` (from 0), as a share of the optimizer's
        warmup = min(1.0, (step + 1) / (num_warmup_steps + 1))
        decay_steps = max(1.0, num_steps * (1 - decay_start))
        return warmup * min(1.0, max(0.0, (num_steps - step) / decay_steps))  # 0 one update after the last

    return LambdaLR(optimizer, factor)


def prepared_schedule(
    accelerator: Accelerator,
    name: str,
    optimizer: Optimizer,
    *,
    num_steps: int,
    num_warmup_steps: int = 0,
    decay_start: float = 0.5,
) -> LRScheduler:
    """Build and prepare a [`learning_rate_schedule`] of a prepared optimizer.

    It takes a step per update, whatever the number of processes, so that its state holds for another number, too.
    """
    schedule = learning_rate_schedule(
        name, optimizer, num_steps=num_steps, num_warmup_steps=num_warmup_steps, decay_start=decay_start
    )
    prepared = accelerator.prepare(schedule)
    prepared.split_batches = True  # otherwise it would take a step per process at every update
    return prepared


def compile_modules(modules: Iterable[nn.Module], *, device: torch.device, backend: str = "inductor") -> None:
    """Compile the discriminator, the style encoder and the perceptual loss, in place; each at its first call.

    Leave the generator out: a graph cannot depend on label values, so a compiled generator would use dense modulation
    and lose the savings of the sparse one.

    State-dict keys stay the same, and copies of a network are not compiled.

    Args:
        modules (`Iterable[nn.Module]`): Networks, before they are prepared for several processes.
        device (`torch.device`): Device of training.
        backend (`str`, defaults to `"inductor"`): One of `torch.compiler.list_backends()`.

    Raises:
        ValueError: If the backend is unknown, or cannot compile on this machine.
    """
    # Something trivial now, so that a missing compiler shows up before the first update
    try:
        torch.compile(torch.square, backend=backend)(torch.ones(2, device=device))
    except Exception as error:  # each backend raises its own classes
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`torch_compile_backend` {backend!r} cannot compile for {device.type}: {reason} This torch knows "
            f"{', '.join(torch.compiler.list_backends())}; inductor needs a C++ compiler on CPUs and Triton on GPUs. "
            "Install what is missing, choose another, or leave out `torch_compile`."
        ) from error
    for module in modules:
        module.compile(backend=backend)
