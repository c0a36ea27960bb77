"""Weight initialization and spectral normalization (Miyato et al. 2018, https://arxiv.org/abs/1802.05957)."""

from torch import nn
from torch.nn.utils import parametrizations, parametrize


XAVIER_GAIN = 0.02  # SPADE's recipe: xavier normal with this gain, biases 0


def initialize(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, *, outputs: int = 1) -> None:
    """Xavier-normal weights and zero bias, in place.

    Args:
        layer: The layer to initialize. Not parametrized yet: what is written to a parametrized weight is lost.
        outputs (`int`, defaults to 1): How many layers of equal width are fused along the output axis; each part gets
            the variance that it would have on its own.
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
    """An initialized convolution, then wrapped in spectral normalization if asked for."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
    initialize(conv)
    return parametrizations.spectral_norm(conv) if use_spectral_norm else conv


def linear(in_features: int, out_features: int) -> nn.Linear:
    """An initialized linear layer."""
    layer = nn.Linear(in_features, out_features)
    initialize(layer)
    return layer


def fuse_spectral_norm(module: nn.Module) -> None:
    """Replace every spectrally normalized weight by its normalized value, in place.

    Plain convolutions are faster, smaller and exportable. The module computes what it computed in evaluation mode.
    """
    was_training = module.training
    module.eval()  # in training mode, reading a parametrized weight runs one more power iteration
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            # not `remove_parametrizations`: it takes `weight` from a class that copies of the layer share, which
            # breaks a model when its deep copy is fused
            weight = layer.weight.detach().clone()
            layer.__class__ = type(layer).__base__
            del layer.parametrizations
            layer.weight = nn.Parameter(weight)
    module.train(was_training)
