"""How a generator works on large images and batches: the same images as `SPADEGenerator.synthesize` makes.

Legend: N masks, S images of one mask, C channels, h w height and width of an activation, H W of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..execution.tiling import map_bands
from ..layers import SemanticMask
from ..layers.upsampling import upsample


if TYPE_CHECKING:
    from .generator import SPADEGenerator


def synthesize_in_bands(generator: SPADEGenerator, x: Tensor, mask: SemanticMask, first: int = 0) -> Tensor:
    """Figure 4, a large batch image by image, a large image some rows at a time.

    Args:
        generator (`SPADEGenerator`): In inference, with its `tiling`.
        x (`Tensor`): `(N * S, C, h, w)`, what the first block reads, before it is upsampled.
        mask (`SemanticMask`): The N masks.
        first (`int`, defaults to 0): The block to begin with.

    Returns:
        `Tensor`: images `(N * S, 3, H, W)`.
    """
    tiling, last = generator.tiling, len(generator.blocks) - 1
    assert tiling is not None
    for position in range(first, len(generator.blocks)):
        block: Any = generator.blocks[position]  # a `SPADEResnetBlock`
        scale = generator.upsampling[position]
        num_bands = tiling.num_bands(x, scale)
        if num_bands > 1 and len(x) > 1:
            images = [synthesize_in_bands(generator, image, one, position) for image, one in mask.one_by_one(x)]
            return torch.cat(images)
        if num_bands == 1 or not block.is_local(mask, (scale * x.shape[2], scale * x.shape[3])):
            x = block(upsample(x, scale), mask)
        elif position < last:
            x = _in_bands(block, x, mask, scale=scale, num_bands=num_bands, halo=block.halo)
        else:  # to the image at once: what lies between them would be the largest tensor of all

            def to_image(x: Tensor, rows: SemanticMask) -> Tensor:
                return generator.to_image(generator.blocks[last](x, rows))

            return _in_bands(to_image, x, mask, scale=scale, num_bands=num_bands, halo=block.halo + 1)
    return map_bands(lambda x, _: generator.to_image(x), x, num_bands=tiling.num_bands(x), halo=1)


def _in_bands(
    block: Callable[[Tensor, SemanticMask], Tensor],
    x: Tensor,
    mask: SemanticMask,
    *,
    scale: int,
    num_bands: int,
    halo: int,
) -> Tensor:
    """`block` of one image, `(1, C, h, w)`, upsampled, some rows at a time: `(1, C', scale * h, scale * w)`."""
    size, mask = (scale * x.shape[2], scale * x.shape[3]), mask.keeping_modulations()

    def work(x: Tensor, rows: slice) -> Tensor:
        return block(upsample(x, scale), mask.rows(size, slice(scale * rows.start, scale * rows.stop)))

    return map_bands(work, x, num_bands=num_bands, halo=-(-halo // scale))
