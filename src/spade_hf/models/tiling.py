"""The stages of a generator run in parts, with the same images as all at once (`SPADEGenerator.synthesize`).

Legend: N masks, S images of one mask, C channels, I image channels, h w height and width of an
activation, H W of the image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..layers import SemanticMask
from ..layers.resnet import upsample


MAX_BAND_BYTES = 2**24  # input of a band: fastest of 2**22 to 2**25, measured for 256x256 images in fp32 and bf16

Stage = tuple[int, Any]  # an upsampling factor, and the block that follows, such as `SPADEResnetBlock`


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


def synthesize_in_bands(
    x: Tensor,
    mask: SemanticMask,
    tiling: Tiling,
    *,
    stages: Sequence[Stage],
    to_image: Callable[[Tensor], Tensor],
    output_halo: int | None,
) -> Tensor:
    """Run figure 4 on a large batch image by image, and on a large image in bands of rows.

    Args:
        x (`Tensor`): `(N * S, C, h, w)`, the input of the first stage, before upsampling.
        mask (`SemanticMask`): The N masks.
        tiling (`Tiling`): The size of the parts.
        stages (`Sequence[Stage]`): The upsampling factors and blocks to run, at least one.
        to_image (`Callable`): Maps the last block's output, `(N * S, C, H / R, W / R)`, to images `(N * S, I, H, W)`,
            for any integer R.
        output_halo (`int` or `None`): Rows above and below that a row of `to_image` depends on; `None` if it must get
            the whole activation.

    Returns:
        `Tensor`: images `(N * S, I, H, W)`.
    """
    for position, (scale, block) in enumerate(stages):
        size = (scale * x.shape[2], scale * x.shape[3])  # of this block's activations
        num_bands = tiling.num_bands(x, scale)
        # A large batch: from here on, every image takes the remaining stages alone.
        if num_bands > 1 and len(x) > 1:
            rest: dict[str, Any] = {"stages": stages[position:], "to_image": to_image, "output_halo": output_halo}
            return torch.cat([synthesize_in_bands(image, one, tiling, **rest) for image, one in mask.one_by_one(x)])
        # A small activation, or a block that needs all of it.
        if num_bands == 1 or not block.is_local(mask, size):
            x = block(upsample(x, scale), mask)  # (N * S, C', scale * h, scale * w)
            continue
        # One large image: each band is computed with its halo, which is then dropped.
        bands = {"scale": scale, "num_bands": num_bands}
        is_last = position == len(stages) - 1
        if is_last and output_halo is not None:
            # with the output convolution: the activation between them would be the largest tensor of all
            def block_and_image(x: Tensor, rows: SemanticMask, block: Any = block) -> Tensor:
                return to_image(block(x, rows))

            return _in_bands(block_and_image, x, mask, **bands, halo=block.halo + output_halo)  # (1, I, H, W)
        x = _in_bands(block, x, mask, **bands, halo=block.halo)  # (1, C', scale * h, scale * w)
    if output_halo is None:
        return to_image(x)
    return map_bands(lambda x, _: to_image(x), x, num_bands=tiling.num_bands(x), halo=output_halo)


def _in_bands(
    block: Callable[[Tensor, SemanticMask], Tensor],
    x: Tensor,
    mask: SemanticMask,
    *,
    scale: int,
    num_bands: int,
    halo: int,
) -> Tensor:
    """Apply `block` to one upsampled image, `(1, C, h, w)`, in bands of rows: `(1, C', scale * h, scale * w)`."""
    size, mask = (scale * x.shape[2], scale * x.shape[3]), mask.keeping_modulations()

    def work(x: Tensor, rows: slice) -> Tensor:
        # rows of `x` in, `scale` times as many out; the mask is read at the block's resolution
        return block(upsample(x, scale), mask.rows(size, slice(scale * rows.start, scale * rows.stop)))

    return map_bands(work, x, num_bands=num_bands, halo=-(-halo // scale))  # the halo is of upsampled rows: round up


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
