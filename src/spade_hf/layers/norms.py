"""The norms that read the mask, by their names in a generator's config.

A mask norm is a module that a residual block calls like [`SPADE`]: `norm(x, mask, negative_slope=...)`. It lists the
names of its weights with one slice per semantic channel in `mask_weights`, for fine-tuning, and can define `is_local`,
for tiling.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from .spade import SPADE


@dataclass(frozen=True)
class MaskNorm:
    """A kind of mask norm.

    Args:
        kind (`type[nn.Module]`): Built from the channels of the activation, the channels of the mask, and `options`.
        options (`Mapping[str, str]`): Its keyword arguments, and the keys of the generator's config that set them.
    """

    kind: type[nn.Module]
    options: Mapping[str, str]


MASK_NORMS = {
    "spade": MaskNorm(
        SPADE,
        {"hidden_channels": "spade_hidden_channels", "kernel_size": "spade_kernel_size", "norm_type": "norm_type"},
    ),
}
