"""gamma and beta of SPADE for each distinct label neighbourhood, and their application to the activations.

Legend: N batch, C activation channels, D hidden channels, H W height and width, P = N * H * W positions, K label codes,
T taps of a kernel, A distinct patches, B distinct neighbourhoods.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .label_neighborhoods import LabelNeighborhoods
from .row_gather import RowGather


def neighborhood_modulation(
    neighborhoods: LabelNeighborhoods, conv_mask: nn.Conv2d, conv_gamma_beta: nn.Conv2d, *, has_edges: bool
) -> Tensor:
    """gamma and beta of every distinct neighbourhood, `(B, 2C)`: what the two convolutions of the one-hot mask give."""
    hidden = neighborhoods.labels_of_patches(_label_table(conv_mask.weight, has_edges))  # (A, D)
    hidden = F.relu(hidden + conv_mask.bias).masked_fill(neighborhoods.patch_is_outside[:, None], 0)
    weight = conv_gamma_beta.weight  # (2C, D, k, k)
    outputs, hidden_channels = weight.shape[:2]
    taps = weight[0, 0].numel()
    num_patches, num_neighborhoods = len(hidden), len(neighborhoods.patches)
    if num_patches * hidden_channels + 30 * num_neighborhoods < num_neighborhoods * hidden_channels:
        products = F.linear(hidden, weight.permute(2, 3, 0, 1).reshape(-1, hidden_channels))  # (A, T * 2C)
        return neighborhoods.products_of_neighborhoods(products.view(-1, outputs)) + conv_gamma_beta.bias  # (B, 2C)
    gathered = neighborhoods.patches_of_neighborhoods(hidden).view(-1, taps * hidden_channels)  # (B, T * D)
    return F.linear(gathered, weight.permute(0, 2, 3, 1).reshape(outputs, -1), conv_gamma_beta.bias)  # (B, 2C)


def _label_table(weight: Tensor, has_edges: bool) -> Tensor:
    """The first convolution's weights as a row for each code and tap; the last code lies outside the image."""
    table = weight.permute(1, 2, 3, 0).flatten(1, 2)  # (L, T, D)
    if has_edges:
        labels, edge = table[:-1], table[-1:]
        table = torch.cat([labels, labels + edge])  # (K, T, D)
    return torch.cat([table, torch.zeros_like(table[:1])]).flatten(0, 1)  # ((K+1) * T, D)


def modulate(
    x: Tensor, scale: Tensor, shift: Tensor, neighborhoods: LabelNeighborhoods, negative_slope: float = 1.0
) -> Tensor:
    """`x * scale + shift` with the `(B, C)` rows of every position's neighbourhood, then LeakyReLU: `(N, C, H, W)`."""
    return _Modulate.apply(x, scale, shift, neighborhoods.positions, negative_slope)


class _Modulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, scale: Tensor, shift: Tensor, positions: RowGather, negative_slope: float) -> Tensor:
        rows = _rows(x)
        out = torch.addcmul(positions.forward_sum(shift), rows, positions.forward_sum(scale))
        if negative_slope != 1:
            F.leaky_relu_(out, negative_slope)
        ctx.positions, ctx.negative_slope = positions, negative_slope
        ctx.save_for_backward(x, scale, out)
        return _image(out, x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, out = ctx.saved_tensors
        grad_rows = _rows(grad)
        if ctx.negative_slope != 1:  # a positive slope keeps the sign, so the output tells it
            grad_rows = torch.ops.aten.leaky_relu_backward(grad_rows, out, ctx.negative_slope, True)
        grad_shift = ctx.positions.transposed_sum(grad_rows)
        grad_scale = ctx.positions.transposed_sum(grad_rows * _rows(x))
        grad_x = _image(grad_rows * ctx.positions.forward_sum(scale), x)
        return grad_x, grad_scale, grad_shift, None, None


def _rows(x: Tensor) -> Tensor:
    """`(N, C, H, W)` to `(P, C)`, without a copy where `x` is channels last in memory."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _image(rows: Tensor, like: Tensor) -> Tensor:
    """`(P, C)` to `(N, C, H, W)` as `like`, channels last in memory."""
    n, c, h, w = like.shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2)
