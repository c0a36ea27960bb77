"""Adam and its learning rates, for both sides of the game."""

from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import nn

from .schedule import learning_rate_schedule


def build_optimizers(
    networks: Mapping[str, nn.Module],
    *,
    learning_rate: float,
    discriminator_learning_rate: float,
    betas: tuple[float, float],
    eps: float,
    fused: bool,
) -> list[torch.optim.Optimizer]:
    """Adam of all other networks, and Adam of `"discriminator"`.

    Args:
        networks (`Mapping[str, nn.Module]`): By name.
        learning_rate, discriminator_learning_rate (`float`): Of the two.
        betas (`tuple[float, float]`): Decays of the gradient's mean and of its square.
        eps (`float`): Added to the denominator.
        fused (`bool`): One pass over all parameters; for networks that are to be trained on a CPU or on CUDA.
    """
    sides: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, network in networks.items():
        sides[name == "discriminator"].extend(network.parameters())
    rates = (learning_rate, discriminator_learning_rate)
    return [
        torch.optim.Adam(parameters, rate, betas=betas, eps=eps, fused=fused or None)
        for parameters, rate in zip(sides, rates, strict=True)
    ]


def build_schedules(
    accelerator: Accelerator,
    optimizers: Sequence[torch.optim.Optimizer],
    kind: str,
    *,
    num_steps: int,
    num_warmup_steps: int,
    decay_start: float,
) -> list[torch.optim.lr_scheduler.LRScheduler]:
    """Prepared [`learning_rate_schedule`]s of prepared optimizers; steps are updates of all processes together."""
    processes = accelerator.num_processes  # an accelerated schedule takes one step for each of them at every update
    return [
        accelerator.prepare(
            learning_rate_schedule(
                kind,
                optimizer,
                num_steps=num_steps * processes,
                num_warmup_steps=num_warmup_steps * processes,
                decay_start=decay_start,
            )
        )
        for optimizer in optimizers
    ]
