import pytest
import torch

from spade_hf.images.channels import as_shown, check_display_channels, to_rgb_images

from ..tiny_networks import random_images


def test_how_images_are_shown():
    rgb, gray, two, five = (random_images(channels=count) for count in (3, 1, 2, 5))
    assert as_shown(rgb) is rgb
    assert as_shown(gray).equal(gray.repeat(1, 3, 1, 1))
    assert as_shown(two).equal(two[:, [0, 1, 1]])
    assert as_shown(five).equal(five[:, :3])
    assert as_shown(five, (4, 0, 2)).equal(five[:, [4, 0, 2]])
    assert [one.mode for one in to_rgb_images(as_shown(gray))] == ["RGB", "RGB"]


@pytest.mark.parametrize("channels", [(0, 1), (0, 1, 5), (-1, 0, 1)])
def test_bad_channels(channels):
    with pytest.raises(ValueError, match=r"`display_channels` is .* give three numbers in 0..4"):
        check_display_channels(channels, 5)
    check_display_channels(None, 5)
    check_display_channels((4, 4, 0), 5)
    assert torch.is_tensor(as_shown(random_images(channels=5), (4, 4, 0)))
