"""Layer initialization by SPADE's recipe: weights, biases and, on request, spectral normalization."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from .spectral_norm import SpectralNorm


XAVIER_GAIN = 0.02  # SPADE's recipe: xavier normal with this gain, biases 0
LEAKY_SLOPE = 0.2  # of every LeakyReLU in the networks


def initialize(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, *, outputs: int = 1) -> None:
    """Set Xavier-normal weights and zero bias, in place.

    Args:
        layer: The layer to initialize. It must not be parametrized yet: values written to a parametrized weight are
            lost.
        outputs (`int`, defaults to 1): Number of equally wide layers that are fused along the output axis; each part
            gets the variance that it would have as a separate layer.
    """
    for part in layer.weight.chunk(outputs):
        nn.init.xavier_normal_(part, gain=XAVIER_GAIN)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
    bias: bool = True,
    use_spectral_norm: bool = False,
) -> nn.Conv2d:
    """Build an initialized convolution, wrapped in spectral normalization if requested."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
    initialize(conv)
    if use_spectral_norm:
        parametrize.register_parametrization(conv, "weight", SpectralNorm(conv.weight))
    return conv


@torch.no_grad()
def subpixel_conv2d(
    in_channels: int, out_channels: int, kernel_size: int, *, upsampling: int, padding: int = 0
) -> nn.Conv2d:
    """Build an initialized convolution whose planes `pixel_shuffle` interleaves to `out_channels` larger ones.

    Planes that become neighboring pixels begin with the same weights, so that these pixels begin equal, without a
    checkerboard (ICNR, Aitken et al. 2017, https://arxiv.org/abs/1707.02937).

    Args:
        in_channels, out_channels, kernel_size, padding: As in [`conv2d`].
        upsampling (`int`): The factor of `pixel_shuffle`; with 1, this is [`conv2d`].
    """
    conv = conv2d(in_channels, out_channels, kernel_size, padding=padding)
    if upsampling == 1:
        return conv
    wide = conv2d(in_channels, out_channels * upsampling**2, kernel_size, padding=padding)
    wide.weight.copy_(conv.weight.repeat_interleave(upsampling**2, dim=0))  # the order of `pixel_shuffle`
    return wide


def linear(in_features: int, out_features: int) -> nn.Linear:
    """Build an initialized linear layer."""
    layer = nn.Linear(in_features, out_features)
    initialize(layer)
    return layer
