"""The norms under a modulation: they standardize the activation and learn nothing themselves."""

from typing import Literal

from torch import nn


NormType = Literal["sync_batch", "batch", "instance"]


def parameter_free_norm(norm_type: NormType, num_channels: int) -> nn.Module:
    """Build the norm of equations 2 and 3: zero mean and unit deviation per channel, no learned scale and shift.

    Args:
        norm_type (`str`): `"sync_batch"` and `"batch"` take the statistics of a batch, or running ones in evaluation;
            `"instance"` takes those of each image.
        num_channels (`int`): C.

    Raises:
        ValueError: If `norm_type` is another one.
    """
    if norm_type in ("sync_batch", "batch"):  # multi-process training converts "sync_batch"
        return nn.BatchNorm2d(num_channels, affine=False)
    if norm_type == "instance":
        return nn.InstanceNorm2d(num_channels, affine=False)
    raise ValueError(f"`norm_type` is {norm_type!r}; allowed are 'sync_batch', 'batch' and 'instance'.")
