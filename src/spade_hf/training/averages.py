"""Exponential moving average of a network, buffers included.

With batch norm and spectral norm, averaged parameters with the initial buffers are a broken network. The buffers are
therefore copied at every update, and the batch statistics are re-estimated for every saved pipeline.
"""

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class ModelEMA:
    """A running average of a model.

    Args:
        model (`nn.Module`): The live model; it is copied.
        decay (`float`): Weight of the old average in each update, in [0, 1). Early updates use a smaller one,
            `(1 + n) / (10 + n)`, so that the random initialization is forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` is {decay}; it must be in [0, 1).")
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.num_updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards `model`; copy its buffers."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        for average, live in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(live, 1 - decay)
        for average, live in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(live)


@torch.no_grad()
def estimate_statistics(generator: nn.Module, calls: Iterable[Mapping[str, Tensor | None]]) -> None:
    """Replace a generator's batch-norm statistics by their mean over forward passes, in place.

    The copied statistics belong to the live weights, not to the averaged ones.

    Args:
        generator (`nn.Module`): The averaged generator with spectral norm fused, so that nothing else changes.
        calls: Keyword arguments of each forward pass.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:  # instance norm has no statistics
        return
    momenta = [norm.momentum for norm in norms]
    was_training = generator.training
    generator.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the passes
        norm.train()
    for arguments in calls:
        generator(**arguments)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.train(was_training)
