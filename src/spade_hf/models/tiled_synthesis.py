"""Synthesis of large images and batches in parts, with the same images as `SPADEGenerator.synthesize`.

Legend: N masks, S images of one mask, C channels, h w height and width of an activation, H W of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..execution.plain_layers import is_plain_conv
from ..execution.tiling import map_bands
from ..layers import SemanticMask
from ..layers.upsampling import upsample


if TYPE_CHECKING:
    from .generator import SPADEGenerator


def synthesize_in_bands(generator: SPADEGenerator, x: Tensor, mask: SemanticMask, first: int = 0) -> Tensor:
    """Run figure 4 on a large batch image by image, and on a large image in bands of rows.

    Args:
        generator (`SPADEGenerator`): In inference, with tiling enabled.
        x (`Tensor`): `(N * S, C, h, w)`, the input of block `first`, before upsampling.
        mask (`SemanticMask`): The N masks.
        first (`int`, defaults to 0): Index of the first block to run.

    Returns:
        `Tensor`: images `(N * S, 3, H, W)`.
    """
    tiling, last = generator.tiling, len(generator.blocks) - 1
    assert tiling is not None
    is_output_local = is_plain_conv(generator.conv_out)
    for position in range(first, len(generator.blocks)):
        block: Any = generator.blocks[position]  # a `SPADEResnetBlock`
        scale = generator.upsampling[position]
        num_bands = tiling.num_bands(x, scale)
        if num_bands > 1 and len(x) > 1:
            images = [synthesize_in_bands(generator, image, one, position) for image, one in mask.one_by_one(x)]
            return torch.cat(images)
        if num_bands == 1 or not block.is_local(mask, (scale * x.shape[2], scale * x.shape[3])):
            x = block(upsample(x, scale), mask)
        elif position < last or not is_output_local:
            x = _in_bands(block, x, mask, scale=scale, num_bands=num_bands, halo=block.halo)
        else:  # with the output convolution: the activation between them would be the largest tensor of all

            def to_image(x: Tensor, rows: SemanticMask) -> Tensor:
                return generator.to_image(generator.blocks[last](x, rows))

            return _in_bands(to_image, x, mask, scale=scale, num_bands=num_bands, halo=block.halo + 1)
    num_bands = tiling.num_bands(x) if is_output_local else 1
    return map_bands(lambda x, _: generator.to_image(x), x, num_bands=num_bands, halo=1)


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
        return block(upsample(x, scale), mask.rows(size, slice(scale * rows.start, scale * rows.stop)))

    return map_bands(work, x, num_bands=num_bands, halo=-(-halo // scale))
