import itertools

import pytest
import torch
import torch.nn.functional as F

from spade_hf.resizing import size_in_proportion, stack_labels, stack_photos


def test_the_argument_of_messages_does_not_decide_how_to_resize():
    pictures = [torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    smooth = F.interpolate(torch.stack(pictures), (4, 4), mode="bilinear", antialias=True)
    for argument in ("image", "style_image", "mask"):
        torch.testing.assert_close(stack_photos(pictures, 4, 4, argument), smooth, rtol=0, atol=1e-6)
        picked = stack_labels(pictures, 4, 4, argument)
        assert set(picked.flatten().tolist()) <= set(torch.stack(pictures).flatten().tolist())


@pytest.mark.parametrize(
    ("mask_size", "area", "expected"),
    [
        ((480, 640), 128 * 128, (96, 128)),
        ((480, 640), 256 * 256, (224, 288)),
        ((1024, 2048), 256 * 512, (256, 512)),
        ((200, 300), 256 * 256, (192, 288)),
        ((1, 1000), 64 * 64, (32, 2048)),  # no side is below the divisor
    ],
)
def test_size_in_a_masks_proportions(mask_size, area, expected):
    assert size_in_proportion(mask_size, area=area, divisor=32) == expected
    assert size_in_proportion(mask_size[::-1], area=area, divisor=32) == expected[::-1]


def test_a_mask_of_the_models_proportions_makes_an_image_of_its_size():
    """To the pixel, whatever square roots round to: the demo's canvas relies on it."""
    sides = range(32, 1025, 32)
    for height, width in itertools.product(sides, sides):
        mask_size = (3 * height, 3 * width)
        assert size_in_proportion(mask_size, area=height * width, divisor=32) == (height, width)
        assert size_in_proportion(mask_size, area=1, divisor=32, height=height) == (height, width)
        assert size_in_proportion(mask_size, area=1, divisor=32, width=width) == (height, width)
