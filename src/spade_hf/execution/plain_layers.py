"""Layers that can be computed without a call, from their weights: nobody has changed what a call does.

Hooks, subclasses and adapters (LoRA) act only in a call, so whoever reads the weights instead must ask here first.
"""

from typing import Any

from torch import nn
from torch.nn.utils import parametrize


def has_hooks(module: nn.Module) -> bool:
    """Return whether a call of `module` runs hooks, or a `forward` that a hook library has set on the object."""
    return bool(  # torch 2.8 compiles no `vars(module)`
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in module.__dict__  # hooks of diffusers and accelerate
    )


def is_plain_conv(module: nn.Module) -> bool:
    """Return whether a call of `module` is a convolution with stride 1 and zeros around, and nothing else."""
    own_class = type(module).__base__ if parametrize.is_parametrized(module) else type(module)
    if own_class is not nn.Conv2d or has_hooks(module):
        return False
    conv: nn.Conv2d = module  # pyright: ignore[reportAssignmentType]
    padding = tuple(size // 2 for size in conv.kernel_size)
    is_same = (conv.stride, conv.dilation, conv.groups, conv.padding) == ((1, 1), (1, 1), 1, padding)
    return is_same and conv.padding_mode == "zeros"


def has_fixed_statistics(norm: Any) -> bool:
    """Return whether a norm is a fixed scale and shift per channel: a batch norm in evaluation mode, and no more."""
    is_known = type(norm) in (nn.BatchNorm2d, nn.SyncBatchNorm) and not has_hooks(norm)
    return is_known and norm.track_running_stats and not norm.affine and not norm.training
