"""`torch.compile` for the networks of a training run whose computation does not depend on the labels."""

from collections.abc import Iterable

import torch
from torch import nn


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
    _check_backend(backend, device)
    for module in modules:
        module.compile(backend=backend)


def _check_backend(backend: str, device: torch.device) -> None:
    """Compile something trivial now, so that a missing compiler shows up before the first update."""
    try:
        torch.compile(torch.square, backend=backend)(torch.ones(2, device=device))
    except Exception as error:  # each backend raises its own classes
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`torch_compile_backend` {backend!r} cannot compile for {device.type}: {reason} This torch knows "
            f"{', '.join(torch.compiler.list_backends())}; inductor needs a C++ compiler on CPUs and Triton on GPUs. "
            "Install what is missing, choose another, or leave out `torch_compile`."
        ) from error
