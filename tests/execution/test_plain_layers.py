import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from spade_hf.execution.cpu_products import convolve
from spade_hf.execution.plain_layers import has_hooks, is_plain_conv
from spade_hf.layers.initialization import conv2d


class Tripled(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * super().forward(x)


def conv(**options) -> nn.Conv2d:
    return nn.Conv2d(8, 64, 3, **{"padding": 1, **options}).to(memory_format=torch.channels_last)


def with_forward_of_its_own() -> nn.Conv2d:
    layer = conv()
    layer.forward = lambda x: 3 * nn.Conv2d.forward(layer, x)
    return layer


CHANGED = {
    "subclass": lambda: Tripled(8, 64, 3, padding=1),
    "parametrized subclass": lambda: parametrizations.spectral_norm(Tripled(8, 64, 3, padding=1)).eval(),
    "forward set on the object": with_forward_of_its_own,
    "reflection": lambda: conv(padding_mode="reflect"),
    "dilation": lambda: conv(dilation=2, padding=2),
    "groups": lambda: conv(groups=2),
    "stride": lambda: conv(stride=2),
    "other padding": lambda: conv(padding=2),
    "not a convolution": lambda: nn.Sequential(conv(), nn.Tanh()),
}


@torch.no_grad()
@pytest.mark.parametrize("name", CHANGED)
def test_layers_that_do_more_are_called(name: str):
    layer, x = CHANGED[name](), torch.randn(1, 8, 2, 4)
    assert not is_plain_conv(layer)
    torch.testing.assert_close(convolve(layer, x), layer(x), atol=0, rtol=0)


@torch.no_grad()
def test_a_convolution_without_bias():
    layer, x = conv(bias=False), torch.randn(1, 8, 2, 4)
    torch.testing.assert_close(convolve(layer, x), layer(x))


@pytest.mark.parametrize("use_spectral_norm", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_the_librarys_own_convolutions_are_plain(kernel_size: int, use_spectral_norm: bool):
    layer = conv2d(4, 4, kernel_size, padding=kernel_size // 2, use_spectral_norm=use_spectral_norm)
    assert is_plain_conv(layer)


HOOKS = [
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
]


@pytest.mark.parametrize("register", HOOKS)
def test_every_kind_of_hook_is_seen(register: str):
    layer = conv()
    handle = getattr(layer, register)(lambda *_: None)
    assert has_hooks(layer) and not is_plain_conv(layer)
    handle.remove()
    assert not has_hooks(layer) and is_plain_conv(layer)
