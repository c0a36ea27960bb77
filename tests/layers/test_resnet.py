import pytest
import torch
from torch import Tensor, nn

from spade_hf.layers import SemanticMask, SPADEResnetBlock


@pytest.mark.parametrize("out_channels", [4, 8])
def test_shortcut_is_learned_where_the_width_changes(out_channels: int):
    block = SPADEResnetBlock(8, out_channels, 3, spade_hidden_channels=4)
    assert block.has_learned_shortcut == (out_channels != 8)
    mask = SemanticMask(codes=torch.zeros(2, 6, 10).long(), num_label_channels=3, has_edges=False, dtype=torch.float32)
    assert block(torch.randn(2, 8, 6, 10), mask).shape == (2, out_channels, 6, 10)


def test_two_rounds_with_an_activation_and_a_skip_without():
    """Figure 4 of the paper, with LeakyReLU of slope 0.2."""
    block = SPADEResnetBlock(8, 4, 3, spade_hidden_channels=4).eval()
    mask = SemanticMask(codes=torch.zeros(2, 6, 10).long(), num_label_channels=3, has_edges=False, dtype=torch.float32)
    x = torch.randn(2, 8, 6, 10)
    hidden = block.conv1(nn.functional.leaky_relu(block.norm1(x, mask), 0.2))
    residual = block.conv2(nn.functional.leaky_relu(block.norm2(hidden, mask), 0.2))
    torch.testing.assert_close(block(x, mask), residual + block.conv_shortcut(block.norm_shortcut(x, mask)))


class InstanceNorm(nn.Module):
    """A norm in place of SPADE, without `is_local`."""

    def forward(self, x: Tensor, mask: SemanticMask, *, negative_slope: float = 1.0) -> Tensor:
        return nn.functional.instance_norm(x)


@pytest.mark.parametrize("norm", ["norm1", "norm2", "norm_shortcut"])
def test_a_block_with_a_norm_of_another_kind_is_not_local(norm: str):
    block = SPADEResnetBlock(8, 4, 3, spade_hidden_channels=4).eval()
    mask = SemanticMask(codes=torch.zeros(1, 6, 10).long(), num_label_channels=3, has_edges=False, dtype=torch.float32)
    assert block.is_local(mask, (6, 10))
    setattr(block, norm, InstanceNorm())
    assert block(torch.randn(1, 8, 6, 10), mask).shape == (1, 4, 6, 10)
    assert not block.is_local(mask, (6, 10))
