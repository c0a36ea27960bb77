import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spade_hf.execution import cpu_products
from spade_hf.execution.cpu_products import convolve, is_cpu_inference, linear_of_rows
from spade_hf.layers.initialization import conv2d


@pytest.mark.parametrize("num_rows", [1, 2, 3, 40])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_product_and_gradients_are_those_of_linear(num_rows: int, has_bias: bool, dtype: torch.dtype):
    torch.manual_seed(0)
    layer = nn.Linear(12, 20, bias=has_bias, dtype=dtype)
    rows = torch.randn(num_rows, 12, dtype=dtype, requires_grad=True)
    inputs = [rows, *layer.parameters()]
    out, expected = linear_of_rows(rows, layer.weight, layer.bias), F.linear(rows, layer.weight, layer.bias)
    torch.testing.assert_close(out, expected)
    direction = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, direction), torch.autograd.grad(expected, inputs, direction)
    )


@torch.no_grad()
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("num_images", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_small_images_convolution(kernel_size: int, num_images: int, dtype: torch.dtype, monkeypatch):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 64, kernel_size, padding=kernel_size // 2, dtype=dtype).to(memory_format=torch.channels_last)
    x = torch.randn(num_images, 8, 2, 4, dtype=dtype)
    products = []
    monkeypatch.setattr(cpu_products, "linear_of_rows", lambda *args: products.append(1) or linear_of_rows(*args))
    out = convolve(conv, x)
    assert products == [1]
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(out, conv(x), **tolerance)
    assert out.is_contiguous(memory_format=torch.channels_last)


@torch.no_grad()
@pytest.mark.parametrize("num_parts", [2, 3, 100])
def test_convolution_in_parts_is_the_convolution(monkeypatch, num_parts: int):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 10, 3, padding=1).double()
    x = torch.randn(2, 8, 5, 7, dtype=torch.float64)
    monkeypatch.setattr(cpu_products, "MAX_RECYCLED_BYTES", -(-conv.weight.nbytes // num_parts))
    torch.testing.assert_close(convolve(conv, x), conv(x))


def test_gradients_take_the_layer_itself():
    conv = nn.Conv2d(8, 64, 3, padding=1).to(memory_format=torch.channels_last)
    convolve(conv, torch.randn(1, 8, 2, 4)).sum().backward()
    assert conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("has_gradients", [True, False])
@pytest.mark.parametrize("has_autocast", [True, False])
def test_a_normalized_weight_is_computed_once(is_training: bool, has_gradients: bool, has_autocast: bool):
    """Reading it twice costs twice, and in training is a power iteration too many."""
    conv = conv2d(8, 8, 3, padding=1, use_spectral_norm=True).train(is_training)
    reads = []
    conv.parametrizations.weight[0].register_forward_hook(lambda *_: reads.append(1))
    x = torch.randn(1, 8, 16, 16, dtype=torch.bfloat16 if has_autocast else torch.float32)
    with torch.set_grad_enabled(has_gradients), torch.autocast("cpu", torch.bfloat16, enabled=has_autocast):
        convolve(conv, x)
    assert len(reads) == 1


def test_training_is_not_cut():
    assert not is_cpu_inference(torch.zeros(1))
    with torch.no_grad():
        assert is_cpu_inference(torch.zeros(1))
        assert not is_cpu_inference(torch.zeros(1, device="meta"))
