import pytest
import torch

from spade_hf.layers import MaskPyramid, SPADEResnetBlock


@pytest.mark.parametrize("out_channels", [4, 8])
def test_shortcut_is_learned_where_the_width_changes(out_channels: int):
    block = SPADEResnetBlock(8, out_channels, 3, spade_hidden_channels=4)
    assert block.has_learned_shortcut == (out_channels != 8)
    mask = MaskPyramid(codes=torch.zeros(2, 6, 10).long(), num_label_channels=3, has_edges=False, dtype=torch.float32)
    assert block(torch.randn(2, 8, 6, 10), mask).shape == (2, out_channels, 6, 10)
