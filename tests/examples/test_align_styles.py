"""Random styles like those of images."""

import copy
import runpy
from pathlib import Path

import pytest
import torch

from ..tiny_networks import tiny_generator, tiny_style_encoder


SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "align_styles.py"
align_latents = runpy.run_path(str(SCRIPT))["align_latents"]


def random_images(count: int) -> torch.Tensor:
    """Of few colors, so that their styles lie along few directions."""
    rng = torch.Generator().manual_seed(0)
    colors = torch.rand(count, 3, 1, 1, generator=rng) * 2 - 1
    return (colors + 0.3 * torch.randn(count, 3, 32, 32, generator=rng)).clamp(-1, 1)


def test_own_styles_stay_and_random_ones_come_to_them():
    generator, encoder, images = tiny_generator(num_labels=3).eval(), tiny_style_encoder().eval(), random_images(200)
    encoder.linear_mean.weight.data *= 30  # styles far from the prior
    old_generator, old_encoder = copy.deepcopy(generator), copy.deepcopy(encoder)
    align_latents(generator, encoder, images.split(50))

    segmap = torch.randint(3, (4, 64, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        old, new = (net(images, return_dict=False)[0] for net in (old_encoder, encoder))
        before, after = old_generator(segmap, old[:4]).images, generator(segmap, new[:4]).images
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)
    torch.testing.assert_close(new.mean(dim=0), torch.zeros(8), atol=1e-3, rtol=0)
    powers = torch.cov(new.T).diagonal()
    assert powers.max() == pytest.approx(1, abs=1e-2) and (powers <= 1.01).all()
    torch.testing.assert_close(torch.cov(new.T), powers.diag(), atol=1e-2, rtol=0)

    # what a random style makes of the first layer lies where the images' styles do
    z = torch.randn(4000, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        random, own = generator.linear_in(z), old_generator.linear_in(old)
    assert (random.mean(dim=0) - own.mean(dim=0)).norm() < 0.1 * own.std(dim=0).norm()
    assert random.std(dim=0).norm() == pytest.approx(own.std(dim=0).norm().item(), rel=0.1)


def test_too_few_images_are_an_error():
    with pytest.raises(ValueError, match="8 images were given; give more than 8, the dimension of a style"):
        align_latents(tiny_generator(num_labels=3), tiny_style_encoder(), [random_images(8)])
