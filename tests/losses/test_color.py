import torch

from spade_hf.losses import color_loss


def test_details_below_16_pixels_do_not_count():
    """Squares of 8 pixels, light and dark by turns, have the mean of a gray image; squares of 16 do not."""
    gray = torch.zeros(1, 3, 64, 64)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    fine, coarse = ((-1.0) ** (rows // side + columns // side) for side in (8, 16))
    assert color_loss(fine.expand_as(gray), gray) == 0
    assert color_loss(coarse.expand_as(gray), gray) == 1
