import pytest
import torch

from spade_hf import Pix2PixHDGenerator

from ..tiny_networks import (
    random_label_map,
    random_latents,
    tiny_generator,
    tiny_pix2pixhd,
)


def test_published_parameter_count():
    with torch.device("meta"):
        generator = Pix2PixHDGenerator(num_labels=150)
    assert sum(p.numel() for p in generator.parameters()) / 1e6 == pytest.approx(182.9, abs=0.05)


def test_it_has_no_latent():
    with pytest.raises(ValueError, match="`latent_dim` is 8; pix2pixHD has no latent"):
        tiny_pix2pixhd(latent_dim=8)
    with pytest.raises(ValueError, match="`z` was given, but this model has no latent"):
        tiny_pix2pixhd()(random_label_map(), random_latents())


@torch.no_grad()
def test_instance_norm_forgets_a_uniform_mask_and_spade_does_not():
    """Figure 3: the first normalization removes all information from a uniform mask.

    In float64: instance norm divides a constant activation by sqrt(eps) = 1 / 316, so that each layer amplifies its
    rounding errors; in float32 they would become visible.
    """
    masks = [torch.full((1, 64, 64), label) for label in (0, 2)]
    baseline, spade = tiny_pix2pixhd().double(), tiny_generator(norm_type="instance").double()
    first, second = (baseline(mask).images for mask in masks)
    assert (first - second).abs().max() < 1e-6
    first, second = (spade(mask, random_latents(1).double()).images for mask in masks)
    assert (first - second).abs().mean() > 0.05


@pytest.mark.parametrize(
    ("segmap", "message"),
    [
        (torch.zeros(2, 30, 64, dtype=torch.int64), "`segmap` is 30x64 .*multiples of 4, and at least 8"),
        (torch.zeros(2, 64, 4, dtype=torch.int64), "`segmap` is 64x4 .*at least 8"),
        (torch.zeros(5), r"`segmap` is torch\.float32 of shape \(5,\)"),
        (torch.full((2, 64, 64), 4), r"label ids \[4\]"),
    ],
)
def test_wrong_segmap(segmap, message):
    with pytest.raises(ValueError, match=message):
        tiny_pix2pixhd()(segmap)


def test_wrong_config():
    with pytest.raises(ValueError, match="`num_labels` is 0"):
        tiny_pix2pixhd(num_labels=0)
    with pytest.raises(ValueError, match="`norm_type` is 'none'"):
        tiny_pix2pixhd(norm_type="none")
