"""Matrix products and convolutions, each in the way that is fastest on a CPU.

oneDNN rearranges the second operand of a product, the "weight", in every call. If the weight is much larger than the
first operand, as in the convolution of a small image, this takes longer than the arithmetic.

Legend: R rows, I inputs, O outputs, k kernel size, H W height and width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .plain_layers import is_plain_conv


# glibc reuses blocks below this size. Larger ones go back to the system and are faulted in again, page by page, on
# every call, which takes as long as the arithmetic. The largest freed block determines how much memory glibc keeps, so
# smaller parts save little memory and cost 2 % of the time.
MAX_RECYCLED_BYTES = 2**25


def is_cpu_inference(x: Tensor) -> bool:
    """Return whether `x` can be processed in parts that reuse memory: on a CPU, without gradients or compilation."""
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


def linear_of_rows(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute `F.linear` of `(R, I)` and `(O, I)`; in float32 on a CPU as a 1x1 convolution, up to three times faster.

    PyTorch dispatches `F.linear` to MKL, which is poorly tuned for non-Intel CPUs, and 1x1 convolutions to oneDNN.
    """
    if rows.device.type != "cpu" or rows.dtype != torch.float32:
        return F.linear(rows, weight, bias)
    if 4 * len(rows) > min(weight.shape):
        return _pointwise(rows, weight, bias)
    out = _pointwise(weight, rows).T.contiguous()  # few rows: swap the operands, and transpose a small result
    return out if bias is None else out + bias


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Compute `conv(x)`, `(N, I, H, W)` to `(N, O, H, W)`.

    If the image is small relative to the weights, it is one product of all windows. Other large weights are split.
    Layers that do more than a plain convolution are called.
    """
    if not is_cpu_inference(x) or torch.is_autocast_enabled("cpu"):  # the layer itself follows autocast
        return conv(x)
    if not is_plain_conv(conv) or conv.bias is None:
        return conv(x)
    weight, bias = conv.weight, conv.bias  # read once: under spectral norm each read is a computation
    if weight.dtype != x.dtype or weight.is_meta:  # a hook can cast or load the weight
        return conv(x)
    num_positions = x.numel() // x.shape[1]
    if 4 * num_positions <= len(weight) and weight.is_contiguous(memory_format=torch.channels_last):
        # (N * H * W, k * k * I) times (O, k * k * I) transposed: (N * H * W, O)
        out = linear_of_rows(_windows(x, conv), weight.permute(0, 2, 3, 1).reshape(len(weight), -1), bias)
        return out.view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)
    num_parts = -(-weight.nbytes // MAX_RECYCLED_BYTES)  # oneDNN allocates a rearranged copy
    if num_parts == 1:
        return F.conv2d(x, weight, bias, padding=conv.padding)
    parts = zip(weight.chunk(num_parts), bias.chunk(num_parts), strict=True)
    return torch.cat([F.conv2d(x, w, b, padding=conv.padding) for w, b in parts], dim=1)


def _pointwise(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    image = rows.view(1, len(rows), 1, -1).permute(0, 3, 1, 2)  # (1, I, R, 1), channels last in memory
    return F.conv2d(image, weight[:, :, None, None], bias).permute(0, 2, 3, 1).contiguous().view(len(rows), -1)


def _windows(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Return the input window of `conv` at each position, `(N * H * W, k * k * I)`."""
    rows, columns = conv.kernel_size[0] // 2, conv.kernel_size[1] // 2
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, columns, columns, rows, rows))  # (N, H + 2r, W + 2r, I)
    windows = x.unfold(1, conv.kernel_size[0], 1).unfold(2, conv.kernel_size[1], 1)  # (N, H, W, I, k, k)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)
