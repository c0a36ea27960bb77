"""Several processes that share the work of a program."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env


T = TypeVar("T")
# Processes wait for each other at the end, and one can take much longer than the others.
PATIENCE = timedelta(days=7)


def join_processes(device: str | None) -> PartialState:
    """Join the other processes of `accelerate launch` or `torchrun`, or run as a single process without a launcher.

    Args:
        device (`str`, *optional*): The option's value; default: a GPU if there is one. On CPUs the processes find
            each other only if `PartialState` is told to use the CPU, for which Accelerate's launcher sets a variable.
    """
    is_cpu = device == "cpu"
    if device is None:
        is_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=is_cpu, timeout=PATIENCE)


def from_main_process(state: PartialState, make: Callable[[], T]) -> T:
    """Make a value on the main process, and give it to all; every process must call this."""
    shared: list[Any] = [make() if state.is_main_process else None]
    broadcast_object_list(shared)
    return shared[0]
