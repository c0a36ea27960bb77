"""The segmenter: what it computes, and what it refuses."""

import importlib.util

import pytest
import torch

from spade_hf import SPADESegmenter
from spade_hf.features.efficientnet_lite import EfficientNetLite0Features

from ..tiny_networks import NUM_LABELS, random_images, tiny_segmenter


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (50, 70), (200, 33)])
@torch.no_grad()
def test_images_of_any_size(size):
    model, images = tiny_segmenter(), random_images(size)
    logits = model(images).logits
    assert logits.shape == (2, NUM_LABELS, -(-size[0] // 4), -(-size[1] // 4))
    assert logits.isfinite().all() and logits.std() > 0.1
    probabilities = model.probabilities(images)
    assert probabilities.shape == (2, NUM_LABELS, *size)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2, *size))
    predictions = model.predict(images)
    assert predictions.dtype == torch.int64 and predictions.equal(probabilities.argmax(dim=1))


def test_the_default_fits_into_two_megabytes_of_half_precision():
    assert SPADESegmenter(num_labels=12).num_parameters() <= 1e6


@torch.no_grad()
def test_every_pixel_sees_the_whole_image():
    model, images = tiny_segmenter().double(), random_images((256, 256), 1).double()
    before = model(images).logits
    images[..., :8, :8] = -images[..., :8, :8]
    assert ((model(images).logits - before)[0, :, -1, -1] != 0).any()


@pytest.mark.skipif(
    importlib.util.find_spec(EfficientNetLite0Features.weights_module) is None, reason="the weights are not installed"
)
@torch.no_grad()
def test_the_body_starts_from_imagenet():
    model = tiny_segmenter()
    model.load_imagenet_weights()
    images = random_images((64, 96))
    expected = EfficientNetLite0Features.from_pretrained()(images)[:4]
    torch.testing.assert_close(model.body(images), expected)
    assert all(parameter.requires_grad for parameter in model.body.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("sky",)}, r"`labels` has 1 names; `num_labels` is 4"),
        ({"image_size": 16}, r"`image_size` is 16; it must be 32 or more"),
        ({"width": 0}, r"`width` is 0; it must be 1 or more"),
    ],
)
def test_a_bad_config_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_segmenter(**change)


def test_images_of_other_channels_are_an_error():
    with pytest.raises(ValueError, match=r"`images` has shape \(2, 1, 64, 64\); the segmenter reads \(N, 3, H, W\)"):
        tiny_segmenter()(random_images(channels=1))
