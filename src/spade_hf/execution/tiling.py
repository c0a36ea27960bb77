"""Inference on a CPU in parts that recycle their memory."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


# glibc reuses blocks below this size. Larger ones go back to the system and are faulted in again, page by page, on
# every call, which takes as long as the arithmetic. The largest block that was freed decides how much it keeps, so
# that smaller parts save little memory and cost 2 % of the time.
MAX_RECYCLED_BYTES = 2**25
MAX_BAND_BYTES = 2**24  # of what a band reads: measured fastest among 2**22 to 2**25, 256x256 images in fp32 and bf16


def is_cpu_inference(x: Tensor) -> bool:
    """Whether work on `x` may be cut into parts that recycle their memory: no gradient, no graph needs the whole."""
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


@dataclass(frozen=True)
class Tiling:
    """How large the parts are.

    Args:
        max_bytes (`int`): Largest activation, upsampled, that a block reads at once.
    """

    max_bytes: int = MAX_BAND_BYTES

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ValueError(
                f"`max_bytes` is {self.max_bytes}; it is at least 1. `disable_tiling()` turns tiling off."
            )

    def num_bands(self, x: Tensor, scale: int = 1) -> int:
        """Parts that work on `x`, upsampled, is cut into."""
        return -(-(scale**2) * x.nbytes // self.max_bytes)


def map_bands(work: Callable[[Tensor, slice], Tensor], x: Tensor, *, num_bands: int, halo: int) -> Tensor:
    """`work` on the rows of `(N, C, h, w)`, some at a time.

    Args:
        work (`Callable`): Maps some rows of `x`, and their slice, to the corresponding output rows, at any integer
            upsampling.
        x (`Tensor`): `(N, C, h, w)`.
        num_bands (`int`): Parts to cut it into.
        halo (`int`): Rows above and below that a row of the result depends on.

    Returns:
        `Tensor`: `(N, C', s * h, w')`.
    """
    height = x.shape[2]
    if num_bands == 1:
        return work(x, slice(0, height))
    step = -(-height // num_bands)
    out: Tensor | None = None
    for start in range(0, height, step):
        end = min(height, start + step)
        rows = slice(max(0, start - halo), min(height, end + halo))
        band = work(x[:, :, rows], rows)  # (N, C', s * rows, w')
        scale = band.shape[2] // (rows.stop - rows.start)
        if out is None:
            shape = (*band.shape[:2], scale * height, band.shape[3])
            out = torch.empty(shape, dtype=band.dtype, device=x.device, memory_format=torch.channels_last)
        out[:, :, scale * start : scale * end] = band[:, :, scale * (start - rows.start) :][
            :, :, : scale * (end - start)
        ]
    assert out is not None  # there is a row
    return out
