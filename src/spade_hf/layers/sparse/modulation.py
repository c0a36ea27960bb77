"""SPADE's gamma and beta for each distinct label neighborhood, and their application to the activations.

Legend: N masks, S images of one mask, C activation channels, D hidden channels, L semantic channels, H W height and
width, U label codes that occur, T taps of a kernel, A distinct patches, B distinct neighborhoods.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ...execution.cpu_products import MAX_RECYCLED_BYTES, linear_of_rows
from .neighborhoods import LabelNeighborhoods
from .row_gather import RowGather


# Bytes of activations that are modulated at once: on a CPU, few enough to fit into the cache with their scale and
# shift; elsewhere, enough to keep the device busy. Scale and shift are never stored for the whole image: they would be
# the network's largest tensor, and on a CPU, allocating new memory costs more than the arithmetic.
CHUNK_BYTES_CPU, CHUNK_BYTES = 2**20, 2**26


def neighborhood_modulation(
    neighborhoods: LabelNeighborhoods, conv_mask: nn.Conv2d, conv_gamma_beta: nn.Conv2d, *, has_edges: bool
) -> Tensor:
    """Compute gamma and beta of every distinct neighborhood, `(B, 2C)`, equal to convolving the one-hot mask."""
    weight, bias = conv_gamma_beta.weight, conv_gamma_beta.bias  # (2C, D, k, k), (2C,)
    assert bias is not None and conv_mask.bias is not None
    hidden = neighborhoods.labels_of_patches(_label_table(conv_mask.weight, neighborhoods.codes, has_edges))  # (A, D)
    hidden = F.relu(hidden + conv_mask.bias).masked_fill(neighborhoods.patch_is_outside[:, None], 0)
    # The second convolution: either multiply every patch by every tap of the kernel, then sum T products for each
    # neighborhood; or gather the T patches of every neighborhood, then do one product. The sums cost about 40 % of
    # the latter product (2 CPU cores, D = 128, C = 64..1024, fp32 and bf16).
    if 5 * neighborhoods.num_patches < 3 * neighborhoods.num_neighborhoods:
        return _sums_of_products(hidden, weight, neighborhoods) + bias  # (B, 2C)
    patches = neighborhoods.patches_of_neighborhoods(hidden).view(neighborhoods.num_neighborhoods, -1)  # (B, T * D)
    return linear_of_rows(patches, weight.permute(0, 2, 3, 1).reshape(len(weight), -1), bias)  # (B, 2C)


def modulate(x: Tensor, scale_shift: Tensor, neighborhoods: LabelNeighborhoods, negative_slope: float = 1.0) -> Tensor:
    """Scale and shift every position by the row of its neighborhood, then apply LeakyReLU.

    Args:
        x (`Tensor`): `(N * S, C, H, W)`; the S images of a mask are consecutive.
        scale_shift (`Tensor`): `(B, 2C)`, one row per distinct neighborhood: C scales, then C shifts.
        neighborhoods (`LabelNeighborhoods`): Neighborhoods of the N masks at `(H, W)`.
        negative_slope (`float`, defaults to 1): Slope of the LeakyReLU, above 0; 1 means no LeakyReLU.
    """
    return _Modulate.apply(x, scale_shift, neighborhoods.positions, neighborhoods.num_masks, negative_slope)


class _Modulate(torch.autograd.Function):
    """Modulation that saves the input, a small table, and the output, which the next convolution saves anyway."""

    @staticmethod
    def forward(
        ctx, x: Tensor, scale_shift: Tensor, positions: RowGather, num_masks: int, negative_slope: float
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        out = torch.empty_like(x)
        table = scale_shift.to(x.dtype)
        for x_part, out_part, index in _chunks(x, out, num_masks, positions.index):
            scale, shift = table.index_select(0, index).chunk(2, dim=1)  # (R, C) each
            torch.addcmul(shift, x_part, scale, out=out_part)
            if negative_slope != 1:
                F.leaky_relu_(out_part, negative_slope)
        ctx.positions, ctx.num_masks, ctx.negative_slope = positions, num_masks, negative_slope
        ctx.save_for_backward(x, scale_shift, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale_shift, out = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        if ctx.negative_slope != 1:  # a positive slope keeps the sign, so the output is enough
            grad = torch.ops.aten.leaky_relu_backward(grad, out, ctx.negative_slope, True)
        shape = (ctx.num_masks, -1, x[0, 0].numel(), x.shape[1])  # (N, S, H * W, C)
        grad_scale, grad_shift = (
            ctx.positions.transposed_sum(_sum_of_images(_pixel_rows(grads).view(shape))) for grads in (grad * x, grad)
        )
        grad_x = torch.empty_like(x)
        scale = scale_shift[:, : x.shape[1]].to(x.dtype).contiguous()
        for grad_part, grad_x_part, index in _chunks(grad, grad_x, ctx.num_masks, ctx.positions.index):
            torch.mul(grad_part, scale.index_select(0, index), out=grad_x_part)
        return grad_x, torch.cat([grad_scale, grad_shift], dim=1), None, None, None


def _chunks(source: Tensor, target: Tensor, num_masks: int, index: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield matching parts `(S, R, C)` of two channels-last `(N * S, C, H, W)`, and of `index` `(N * H * W,)`."""
    images = len(source) // num_masks
    if images == 1:
        num_masks = 1  # images share no positions: treat all masks as one long row of positions
    shape = (num_masks, images, -1, source.shape[1])
    sources, targets = _pixel_rows(source).view(shape), _pixel_rows(target).view(shape)  # (N, S, H * W, C)
    num_bytes = CHUNK_BYTES_CPU if source.device.type == "cpu" else CHUNK_BYTES
    size = max(1, num_bytes // (images * source.shape[1] * source.element_size()))
    for mask, positions in enumerate(index.view(num_masks, -1)):
        yield from zip(
            sources[mask].split(size, dim=1), targets[mask].split(size, dim=1), positions.split(size), strict=True
        )


def _sum_of_images(rows: Tensor) -> Tensor:
    """Sum over the images of each mask: `(N, S, H * W, C)` to `(N * H * W, C)`."""
    # with one image per mask, `sum` would only copy, and for bf16 on a CPU at a tenth of a copy's speed
    return (rows[:, 0] if rows.shape[1] == 1 else rows.sum(1)).flatten(0, 1)


def _pixel_rows(x: Tensor) -> Tensor:
    """View channels-last `(N, C, H, W)` as `(N * H * W, C)`."""
    return x.permute(0, 2, 3, 1).view(-1, x.shape[1])


def _sums_of_products(hidden: Tensor, weight: Tensor, neighborhoods: LabelNeighborhoods) -> Tensor:
    """Map patches `(A, D)` and weights `(2C, D, k, k)` to `(B, 2C)`; on a CPU in parts, which reuse memory."""
    num_bytes = len(hidden) * weight[:, 0].numel() * weight.element_size()  # of all products
    num_parts = -(-num_bytes // MAX_RECYCLED_BYTES) if weight.device.type == "cpu" else 1
    sums = []
    for part in weight.permute(2, 3, 0, 1).chunk(num_parts, dim=2):  # (k, k, 2C / parts, D)
        products = linear_of_rows(hidden, part.reshape(-1, part.shape[3]))  # (A, T * 2C / parts)
        sums.append(neighborhoods.products_of_neighborhoods(products.view(-1, part.shape[2])))
    return torch.cat(sums, dim=1)


def _label_table(weight: Tensor, codes: Tensor, has_edges: bool) -> Tensor:
    """Return the first convolution's weights, one row per code and tap: `(U * T, D)`."""
    num_labels, codes = weight.shape[1] - has_edges, codes[:-1]
    weight = weight.permute(1, 2, 3, 0)  # (L, k, k, D)
    table = weight.index_select(0, codes % num_labels)  # (U - 1, k, k, D)
    if has_edges:
        table = table + weight[-1] * (codes >= num_labels)[:, None, None, None]
    return F.pad(table, (0,) * 7 + (1,)).flatten(0, 2)  # zeros for the last code, outside the image
