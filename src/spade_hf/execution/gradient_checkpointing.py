"""Gradient checkpointing that does not change a network's statistics.

Recomputing a block for the backward pass would otherwise update batch-norm statistics a second time, and run one more
power iteration, so that the gradients would belong to other weights than those of the forward pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_block(block: nn.Module, *args: Any) -> Any:
    """Call `block(*args)`, recomputed in the backward pass instead of saved, with the same results."""
    return checkpoint(block, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), frozen_statistics(block)))


@contextmanager
def frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Normalize by batch statistics, as in training, without updating running statistics or singular vectors."""
    norms = [module for module in block.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    saved = [(norm, norm.momentum, norm.get_buffer("num_batches_tracked").clone()) for norm in norms]
    power_iterations = [module for module in block.modules() if isinstance(module, _SpectralNorm) and module.training]
    try:
        for norm in norms:
            norm.momentum = 0.0
        for module in power_iterations:
            module.training = False
        yield
    finally:
        for norm, momentum, num_batches_tracked in saved:
            norm.momentum = momentum
            norm.get_buffer("num_batches_tracked").copy_(num_batches_tracked)
        for module in power_iterations:
            module.training = True
