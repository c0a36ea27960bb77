"""Generators whose layers someone has hooked, replaced or adapted: every path calls these layers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from spade_hf import SPADEGenerator, SPADEResnetBlock
from spade_hf.export.graphs import is_plain

from ..tiny_networks import random_label_map, random_latents, tiny_generator


BACKENDS = ["auto", "sparse", "dense"]
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "conv_mask", "conv_gamma_beta", "conv_out"]


class Tripled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * super().forward(x)


class Adapter(nn.Module):
    """As adapters for fine-tuning are: a frozen convolution, a small one beside it, and its `weight` as a property."""

    def __init__(self, base: nn.Conv2d) -> None:
        super().__init__()
        self.base_layer = base
        self.down = nn.Conv2d(base.in_channels, 2, base.kernel_size, padding=base.padding)
        self.up = nn.Conv2d(2, base.out_channels, 1)

    @property
    def weight(self) -> Tensor:
        return self.base_layer.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base_layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.up(self.down(x))


def add_hook(conv: nn.Module) -> None:
    conv.register_forward_hook(lambda module, inputs, out: out + 1)


def become_subclass(conv: nn.Module) -> None:
    conv.__class__ = Tripled


CHANGES = {"hook": add_hook, "subclass": become_subclass}


def change(generator: SPADEGenerator, name: str, how: Callable[[nn.Module], None]) -> None:
    """Change all layers of this name."""
    for path, module in generator.named_modules():
        if path.split(".")[-1] == name:
            how(module)


def adapt(generator: SPADEGenerator, name: str) -> None:
    torch.manual_seed(0)
    for parent in list(generator.modules()):
        if name in parent._modules:
            setattr(parent, name, Adapter(getattr(parent, name)).double())


def paint(generator: SPADEGenerator, backend: str = "auto", *, has_gradients: bool = False) -> Tensor:
    generator.set_modulation_backend(backend)
    with torch.set_grad_enabled(has_gradients):
        return generator(random_label_map(), random_latents().double()).images.detach()


def make() -> SPADEGenerator:
    generator = tiny_generator(use_spectral_norm=False).double()
    generator.enable_tiling(4000)  # bands, as large images have
    return generator


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("how", [*CHANGES, "adapter"])
def test_changed_convolutions_have_their_effect_on_every_path(name: str, how: str):
    generator = make()
    before = paint(generator)
    if how == "adapter":
        adapt(generator, name)
    else:
        change(generator, name, CHANGES[how])
    expected = paint(generator, "dense", has_gradients=True)
    assert (expected - before).abs().max() > 1e-3
    for backend in BACKENDS:
        torch.testing.assert_close(paint(generator, backend), expected, atol=1e-11, rtol=0)
        torch.testing.assert_close(paint(generator, backend, has_gradients=True), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hooked_and_replaced_norms_have_their_effect_on_every_path(backend: str):
    class Shifted(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    def become_shifted(norm: nn.Module) -> None:
        norm.__class__ = Shifted

    for how in (add_hook, become_shifted):
        generator = make()
        before = paint(generator)
        change(generator, "param_free_norm", how)
        expected = paint(generator, "dense", has_gradients=True)
        assert (expected - before).abs().max() > 1e-3
        torch.testing.assert_close(paint(generator, backend), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("name", ["blocks.6", "blocks.6.norm1", "blocks.6.conv2", "conv_out"])
def test_hooks_get_whole_activations(name: str):
    """Not bands of rows, so that a hook can collect features."""
    generator, heights = make(), []
    generator.get_submodule(name).register_forward_hook(lambda module, inputs, out: heights.append(out.shape[2]))
    paint(generator, "sparse")
    assert heights and set(heights) == {random_label_map().shape[1]}


def test_plain_layers_are_painted_in_bands():
    """Else the test above would say nothing."""
    generator, calls = make(), []
    generator.set_modulation_backend("sparse")
    forward = SPADEResnetBlock.forward

    class Counted(SPADEResnetBlock):
        def forward(self, x: Tensor, mask: object) -> Tensor:
            calls.append(x.shape[2])
            return forward(self, x, mask)

    generator.blocks[6].__class__ = Counted
    paint(generator, "sparse")
    assert len(calls) > 2


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("name", ["conv_mask", "conv_gamma_beta"])
def test_a_sparse_onnx_file_is_refused(name: str, how: str):
    """Its graph is made of the weights."""
    generator = make()
    assert is_plain(generator)
    change(generator, name, CHANGES[how])
    assert not is_plain(generator)
