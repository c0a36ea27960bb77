"""CPU inference in parts that reuse memory."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


# glibc reuses blocks below this size. Larger ones go back to the system and are faulted in again, page by page, on
# every call, which takes as long as the arithmetic. The largest freed block determines how much memory glibc keeps, so
# smaller parts save little memory and cost 2 % of the time.
MAX_RECYCLED_BYTES = 2**25
MAX_BAND_BYTES = 2**24  # input of a band: fastest of 2**22 to 2**25, measured for 256x256 images in fp32 and bf16


def is_cpu_inference(x: Tensor) -> bool:
    """Return whether `x` can be processed in parts that reuse memory: on a CPU, without gradients or compilation."""
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


@dataclass(frozen=True)
class Tiling:
    """The size of the parts.

    Args:
        max_bytes (`int`): Bytes of the largest upsampled activation that a block reads at once.
    """

    max_bytes: int = MAX_BAND_BYTES

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ValueError(
                f"`max_bytes` is {self.max_bytes}; it must be at least 1. `disable_tiling()` turns tiling off."
            )

    def num_bands(self, x: Tensor, scale: int = 1) -> int:
        """Compute the number of row bands for processing `x`, upsampled by `scale`."""
        return -(-(scale**2) * x.nbytes // self.max_bytes)


def map_bands(work: Callable[[Tensor, slice], Tensor], x: Tensor, *, num_bands: int, halo: int) -> Tensor:
    """Apply `work` to the rows of `(N, C, h, w)` in bands.

    Args:
        work (`Callable`): Maps some rows of `x`, and their slice, to the corresponding output rows, at any integer
            upsampling.
        x (`Tensor`): `(N, C, h, w)`.
        num_bands (`int`): Number of bands.
        halo (`int`): Rows of `x` above and below that an output row depends on.

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
    assert out is not None  # `x` has rows
    return out
