import pytest
import torch

from spade_hf.features.standardized import StandardizedFeatures
from spade_hf.features.three_channels import as_three_channels, describe_three_channels, mixing_weights
from spade_hf.losses.perceptual import PerceptualLoss

from ..tiny_networks import random_images


def test_rgb_is_passed_on():
    images = random_images()
    assert as_three_channels(images) is images and describe_three_channels(3) is None


def test_gray_is_repeated():
    gray = random_images(channels=1)
    assert as_three_channels(gray).equal(gray.repeat(1, 3, 1, 1))
    assert "gray channel three times" in str(describe_three_channels(1))


@pytest.mark.parametrize("count", [2, 4, 5, 13])
def test_other_channels_are_mixed(count: int):
    """Always the same weights, each channel's with a sum of 1: values keep their range, and gray stays gray."""
    images = random_images(channels=count).double()
    mixed = as_three_channels(images)
    assert mixed.shape == (2, 3, 64, 64) and mixed.abs().max() <= 1
    level = torch.linspace(-1, 1, 64).double().expand(1, count, 64, 64)
    torch.testing.assert_close(as_three_channels(level), level[:, :1].expand(-1, 3, -1, -1))
    mixing_weights.cache_clear()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        assert as_three_channels(images).equal(mixed)
    weights = torch.tensor(mixing_weights(count))
    assert torch.linalg.matrix_rank(weights) == min(3, count)  # the three channels differ


@pytest.mark.parametrize("count", [1, 5])
def test_frozen_networks_read_any_number_of_channels(count: int):
    """And pass a gradient to each of them."""
    features = StandardizedFeatures("efficientnet-lite0", (16, 32))
    images = random_images((32, 32), channels=count).requires_grad_()
    sum(one.square().mean() for one in features(images)).backward()
    assert (images.grad.abs().amax(dim=(0, 2, 3)) > 0).all()
    loss = PerceptualLoss(features.network, [1.0] * 5)
    fake = random_images((32, 32), channels=count).requires_grad_()
    loss(fake, torch.zeros_like(fake)).backward()
    assert (fake.grad.abs().amax(dim=(0, 2, 3)) > 0).all()
