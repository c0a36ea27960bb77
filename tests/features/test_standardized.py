import pytest
import torch

from spade_hf.features.efficientnet_lite import EfficientNetLite0Features
from spade_hf.features.standardized import StandardizedFeatures

from ..tiny_networks import random_images


@pytest.fixture(scope="module")
def features():
    features = StandardizedFeatures("efficientnet-lite0", (4, 8, 16, 32))
    features.prepare(random_images((64, 96), batch_size=4))
    return features


def test_channels_are_standardized_on_the_given_images(features):
    maps = features(random_images((64, 96), batch_size=4))
    assert [one.shape[1:] for one in maps] == [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]
    for one in maps:
        torch.testing.assert_close(one.mean(dim=(0, 2, 3)), torch.zeros(one.shape[1]), atol=1e-3, rtol=0)
        torch.testing.assert_close(one.var(dim=(0, 2, 3)), torch.ones(one.shape[1]), atol=1e-2, rtol=0)


def test_the_maps_are_those_of_the_network(features):
    images = random_images((64, 64))
    expected = EfficientNetLite0Features.from_pretrained()(images)[1:]
    for number, (found, raw) in enumerate(zip(features(images), expected, strict=True)):
        mean, deviation = (features.get_buffer(f"{name}_{number}") for name in ("mean", "deviation"))
        torch.testing.assert_close(found * deviation + mean, raw, atol=1e-4, rtol=1e-4)


def test_images_are_read_in_batches():
    """The maps of all at once would take gigabytes."""
    features = StandardizedFeatures("efficientnet-lite0", (16, 32))
    images, read = random_images((32, 32), batch_size=19), []
    features.network.register_forward_pre_hook(lambda module, inputs: read.append(len(inputs[0])))
    features.prepare(images)
    assert read == [8, 8, 3]
    for number, raw in enumerate(EfficientNetLite0Features.from_pretrained()(images)[-2:]):
        variance, mean = torch.var_mean(raw, dim=(0, 2, 3))
        found = [features.get_buffer(f"{name}_{number}").flatten() for name in ("mean", "deviation")]
        torch.testing.assert_close(found, [mean, (variance + 1e-5).sqrt()], atol=1e-4, rtol=1e-4)


def test_nothing_of_it_can_be_trained_but_gradients_reach_the_image(features):
    assert list(features.parameters()) == []
    features.requires_grad_(True)
    images = random_images((64, 64)).requires_grad_()
    sum(one.square().sum() for one in features(images)).backward()
    assert images.grad.isfinite().all() and (images.grad != 0).float().mean() > 0.9


def test_no_such_network():
    with pytest.raises(ValueError, match="`backbone` is 'vgg19'; allowed are efficientnet-lite0"):
        StandardizedFeatures("vgg19")
