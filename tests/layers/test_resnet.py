import pytest
import torch
from torch import nn

from spade_hf.layers import MaskPyramid, SPADEResnetBlock, resnet


@torch.no_grad()
@pytest.mark.parametrize("num_parts", [2, 3, 100])
def test_convolution_in_parts_is_the_convolution(monkeypatch, num_parts: int):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 10, 3, padding=1).double()
    x = torch.randn(2, 8, 5, 7, dtype=torch.float64)
    monkeypatch.setattr(resnet, "MAX_RECYCLED_BYTES", -(-conv.weight.nbytes // num_parts))
    torch.testing.assert_close(resnet._convolve(conv, x), conv(x))


@pytest.mark.parametrize("out_channels", [4, 8])
def test_shortcut_is_learned_where_the_width_changes(out_channels: int):
    block = SPADEResnetBlock(8, out_channels, 3, spade_hidden_channels=4)
    assert block.has_learned_shortcut == (out_channels != 8)
    mask = MaskPyramid(codes=torch.zeros(2, 6, 10).long(), num_label_channels=3, has_edges=False, dtype=torch.float32)
    assert block(torch.randn(2, 8, 6, 10), mask).shape == (2, out_channels, 6, 10)
