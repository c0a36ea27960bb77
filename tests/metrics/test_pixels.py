import pytest
import torch

from spade_hf.metrics import laplacian_variance, light_agreement, reduce_and_enlarge
from spade_hf.metrics.pixels import resize_bicubic


def noise(count: int = 2, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).byte()


def test_a_ramp_has_no_sharpness():
    ramp = torch.arange(32, dtype=torch.uint8).expand(1, 3, 32, 32)
    assert laplacian_variance(ramp).item() == pytest.approx(0, abs=1e-18)


def test_sharpness_of_a_point():
    image = torch.zeros(1, 3, 7, 7, dtype=torch.uint8)
    image[..., 3, 3] = 100
    values = torch.zeros(25, dtype=torch.float64)  # the Laplacian away from the border: -4, four times 1, else 0
    values[:5] = torch.tensor([-400.0, 100, 100, 100, 100], dtype=torch.float64)
    assert laplacian_variance(image).item() == pytest.approx(values.var(unbiased=False).item())


def test_sharpness_weights_colors_as_the_eye_does():
    sharpness = [laplacian_variance(noise() * (torch.arange(3) == c)[:, None, None]).mean().item() for c in range(3)]
    red, green, blue = sharpness
    assert green > red > blue
    assert green / blue == pytest.approx((0.587 / 0.114) ** 2, rel=0.1)


def test_reduced_images_are_less_sharp():
    images = noise(size=64)
    full, half, quarter = (
        laplacian_variance(one).mean().item()
        for one in (images, reduce_and_enlarge(images, 32), reduce_and_enlarge(images, 16))
    )
    assert full > 10 * half > 20 * quarter > 0


def test_reducing_keeps_the_size_and_the_light():
    images = noise(size=64)[..., :48]  # 64 high, 48 wide
    reduced = reduce_and_enlarge(images, 24)
    assert reduced.shape == images.shape and reduced.dtype == torch.uint8
    before, after = (one.double().mean(dim=(2, 3)) for one in (images, reduced))
    torch.testing.assert_close(after, before, atol=1.5, rtol=0)


@pytest.mark.parametrize("side", [0, 32, 40])
def test_reduced_images_are_smaller(side):
    with pytest.raises(ValueError, match=rf"`side` is {side}; the pictures are 32x32"):
        reduce_and_enlarge(noise(), side)


def test_resizing_keeps_the_light_and_goes_back():
    image = torch.linspace(0, 255, 64).expand(2, 3, 64, 64).round().byte()
    large = resize_bicubic(image, (128, 128))
    assert large.shape == (2, 3, 128, 128) and large.dtype == torch.uint8
    assert (resize_bicubic(large, (64, 64)).int() - image.int()).abs().max() <= 3
    assert resize_bicubic(image, (64, 64)) is image


SCENES = ["lake", "sea", "lake", "sea", "lake", "desert"]


def test_light_is_compared_within_scenes():
    light = torch.tensor([-1.0, 3.0, 0.0, -3.0, 1.0, 0.0], dtype=torch.float64)  # mean 0 in each scene
    scene = torch.tensor([100.0, 50.0, 100.0, 50.0, 100.0, 7.0], dtype=torch.float64)
    real = torch.stack([scene + light, scene + light, scene + light], dim=1)
    other_scene = torch.tensor([10.0, 90.0, 10.0, 90.0, 10.0, 200.0], dtype=torch.float64)
    ours = torch.stack([other_scene + 2 * light, other_scene - light, other_scene + light.square()], dim=1)
    agreement = light_agreement(ours, real, SCENES)
    # blue: (1, 9, 0, 9, 1) less its scenes' means (2/3, 9) is orthogonal to the light
    torch.testing.assert_close(agreement, torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64), atol=1e-12, rtol=0)


def test_light_needs_scenes_in_several_styles():
    colors = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    assert light_agreement(colors, colors, [0, 1, 2, 3]) is None
    assert light_agreement(torch.ones(4, 3), colors, [0, 0, 1, 1]) is None  # always the same light
