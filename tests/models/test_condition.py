"""Condition channels: real numbers beside the labels, or in their place."""

from typing import Any

import pytest
import torch
from torch import Tensor

from spade_hf import MultiscaleDiscriminator, SegmentationDiscriminator, SPADEGenerator
from spade_hf.layers import SemanticMask, read_mask

from ..tiny_networks import (
    NUM_LABELS,
    one_hot,
    random_images,
    random_label_map,
    random_latents,
    tiny_concatenation,
    tiny_discriminator,
    tiny_generator,
    tiny_pix2pixhd,
    tiny_segmentation,
)


def planes(count: int = 2, size: tuple[int, int] = (64, 64), batch_size: int = 2) -> Tensor:
    """float `(N, count, H, W)` in [-1, 1]."""
    return random_images(size, batch_size=batch_size, channels=count)


@pytest.mark.parametrize("build", [tiny_generator, tiny_concatenation, tiny_pix2pixhd])
@torch.no_grad()
def test_every_plane_of_the_condition_changes_the_image(build: Any):
    network = build(condition_channels=2).double()
    args = (random_label_map(), random_latents().double() if network.config.latent_dim else None)
    condition = planes().double()
    images = network(*args, condition=condition).images
    for plane in (0, 1):
        other = condition.clone()
        other[:, plane] *= -1
        assert (network(*args, condition=other).images - images).abs().mean() > 1e-3


@torch.no_grad()
def test_a_condition_joins_the_mask_as_further_channels():
    """Like a soft mask that has these channels at the end; averaged, where labels are picked."""
    label_map, condition = random_label_map(), planes()
    mask = read_mask(
        label_map,
        None,
        condition,
        num_labels=NUM_LABELS,
        use_unknown_label=False,
        use_instance_edges=False,
        condition_channels=2,
        dtype=torch.float32,
    )
    assert not mask.is_hard
    whole = mask.segmap_at((64, 64))
    assert whole.equal(torch.cat([one_hot(label_map), condition], dim=1))
    half = mask.segmap_at((32, 16))
    assert half[:, :NUM_LABELS].equal(one_hot(label_map)[:, :, ::2, ::4])
    expected = condition.unflatten(2, (32, 2)).unflatten(4, (16, 4)).mean(dim=(3, 5))
    torch.testing.assert_close(half[:, NUM_LABELS:], expected)
    assert mask.segmap_at((10, 7)).shape == (2, NUM_LABELS + 2, 10, 7)


@torch.no_grad()
def test_the_condition_lies_behind_unknown_and_edges():
    label_map = torch.full((1, 8, 8), NUM_LABELS)
    given = {"use_unknown_label": True, "use_instance_edges": True, "condition_channels": 1, "dtype": torch.float32}
    mask = read_mask(label_map, torch.ones(1, 8, 8), torch.full((1, 1, 8, 8), 0.5), num_labels=NUM_LABELS, **given)
    assert mask.segmap_at((8, 8))[0, :, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 0.5]


@torch.no_grad()
def test_a_model_with_a_condition_is_dense_in_bands_and_batches():
    """Tiles, and images of one mask, are those of the whole; the sparse path is never taken."""
    network = tiny_generator(condition_channels=2, use_spectral_norm=False).double()
    label_map, condition, z = random_label_map(), planes().double(), random_latents(4).double()
    network.set_modulation_backend("dense")
    network.disable_tiling()
    expected = network(label_map, z, condition=condition).images
    network.set_modulation_backend("sparse")
    network.enable_tiling(max_bytes=2**14)
    torch.testing.assert_close(network(label_map, z, condition=condition).images, expected, atol=1e-9, rtol=0)
    one = network(label_map[1:], z[2:3], condition=condition[1:]).images
    torch.testing.assert_close(one, expected[2:3], atol=1e-9, rtol=0)


@pytest.mark.parametrize("options", [{}, {"latent_dim": None}, {"head_upsampling": 2}])
@torch.no_grad()
def test_image_to_image_without_labels(options: dict):
    network = tiny_generator(num_labels=0, condition_channels=3, **options)
    condition = planes(3, (64, 128))
    z = None if network.config.latent_dim is None else random_latents()
    images = network(None, z, condition=condition).images
    assert images.shape == (2, 3, 64, 128) and images.std() > 0.01
    other = network(None, z, condition=condition.flip(-1)).images
    assert (other - images).abs().mean() > 1e-3
    discriminator = tiny_discriminator(num_labels=0, condition_channels=3)
    logits = discriminator(None, images, condition=condition).logits
    assert (discriminator(None, images, condition=-condition).logits[0] - logits[0]).abs().mean() > 1e-3


@torch.no_grad()
def test_a_segmentation_discriminator_ignores_the_condition():
    network = tiny_segmentation(condition_channels=2)
    label_map, images = random_label_map(), random_images()
    logits = network(label_map, images, condition=planes()).logits[0]
    assert logits.equal(network(label_map, images).logits[0])


@pytest.mark.parametrize(
    "condition, message",
    [
        (None, r"`condition` is missing: this model reads float \(N, 2, H, W\)"),
        (planes(3), r"`condition` is torch.float32 of shape \(2, 3, 64, 64\); this model reads float \(N, 2, H, W\)"),
        (planes().byte(), r"`condition` is torch.uint8 of shape"),
        (planes(size=(32, 64)), r"of shape \(2, 2, 32, 64\).* it must be \(2, 2, 64, 64\)|has shape \(2, 2, 32, 64\)"),
        (planes(batch_size=1), r"`condition` has shape \(1, 2, 64, 64\); .* it must be \(2, 2, 64, 64\)"),
    ],
    ids=["missing", "channels", "type", "size", "number"],
)
def test_a_condition_fits_the_model_and_the_mask(condition: Tensor | None, message: str):
    for network in (tiny_generator(condition_channels=2), tiny_discriminator(condition_channels=2)):
        second = random_latents() if isinstance(network, SPADEGenerator) else random_images()
        with pytest.raises(ValueError, match=message):
            network(random_label_map(), second, condition=condition)


def test_labels_and_condition_are_those_of_the_model():
    with pytest.raises(ValueError, match="`condition` was given, but this model has no condition channels"):
        tiny_generator()(random_label_map(), random_latents(), condition=planes())
    without = tiny_generator(num_labels=0, condition_channels=2)
    with pytest.raises(ValueError, match="`segmap` was given, but this model has no labels"):
        without(random_label_map(), random_latents(), condition=planes())
    with pytest.raises(ValueError, match="`segmap` is missing: this model reads labels"):
        tiny_generator(condition_channels=2)(None, random_latents(), condition=planes())
    with pytest.raises(ValueError, match="`condition` is missing"):
        tiny_discriminator(num_labels=0, condition_channels=2)(None, random_images())
    with pytest.raises(ValueError, match=r"`condition` is 64x70 .* both must be multiples of 32"):
        without(None, random_latents(), condition=planes(size=(64, 70)))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_labels": 0}, "`num_labels` is 0; .*, or 0 labels and `condition_channels` of at least 1"),
        ({"num_labels": -1, "condition_channels": 1}, "`num_labels` is -1; a model needs"),
        ({"num_labels": 1, "condition_channels": -1}, "`condition_channels` is -1; it must be 0, for none, or more"),
        ({"num_labels": 0, "condition_channels": 1, "use_unknown_label": True}, "`use_unknown_label` is True, but"),
        ({"num_labels": 0, "condition_channels": 1, "use_instance_edges": True}, "`use_instance_edges` is True, but"),
    ],
)
def test_channels_that_no_network_can_have(options: dict, message: str):
    for kind in (SPADEGenerator, MultiscaleDiscriminator):
        with pytest.raises(ValueError, match=message):
            kind(**options)


def test_pixels_are_classified_by_labels_alone():
    with pytest.raises(ValueError, match="`num_labels` is 0; a model needs at least one label to classify pixels by"):
        SegmentationDiscriminator(num_labels=0, condition_channels=1)


def test_masks_that_no_layer_can_read():
    with pytest.raises(AssertionError):
        SemanticMask(num_label_channels=2, has_edges=False, dtype=torch.float32)
