import itertools

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F

from spade_hf.images.resize import resize_labels, size_in_proportion, stack_labels, stack_photos


def test_the_argument_of_messages_does_not_decide_how_to_resize():
    images = [torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    smooth = F.interpolate(torch.stack(images), (4, 4), mode="bilinear", antialias=True)
    for argument in ("image", "style_image", "mask"):
        torch.testing.assert_close(stack_photos(images, 4, 4, argument), smooth, rtol=0, atol=1e-6)
        picked = stack_labels(images, 4, 4, argument)
        assert set(picked.flatten().tolist()) <= set(torch.stack(images).flatten().tolist())


@pytest.mark.parametrize("source", [(5, 7), (64, 48), (256, 37)])
@pytest.mark.parametrize("target", [(5, 7), (13, 3), (128, 96), (100, 333)])
def test_one_rule_for_labels_in_every_form(source: tuple[int, int], target: tuple[int, int]):
    ids = np.arange(np.prod(source), dtype=np.int32).reshape(source)
    picked = np.asarray(resize_labels(PIL.Image.fromarray(ids), target))
    assert picked.shape == target
    np.testing.assert_array_equal(resize_labels(ids, target), picked)
    np.testing.assert_array_equal(resize_labels(torch.from_numpy(ids).expand(2, 3, -1, -1), target)[1, 2], picked)


def test_labels_are_those_under_the_centers_of_pixels():
    """As images are resized: a mask stays in place beside its photograph."""
    assert resize_labels(np.arange(9)[None], (1, 3)).tolist() == [[1, 4, 7]]
    assert resize_labels(torch.arange(3)[None], (1, 9)).tolist() == [[0, 0, 0, 1, 1, 1, 2, 2, 2]]


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
