import pytest
import torch

from spade_hf.losses import feature_matching_loss


def features(seed: int) -> list[list[torch.Tensor]]:
    """Two scales of three layers."""
    rng = torch.Generator().manual_seed(seed)
    return [
        [torch.randn(2, c, side // c, side // c, generator=rng).requires_grad_() for c in (2, 4, 8)]
        for side in (32, 16)
    ]


def test_value():
    fake, real = features(0), features(1)
    expected = 0
    for scale in (0, 1):
        for a, b in zip(fake[scale], real[scale], strict=True):
            expected += (a - b).abs().sum().item() / a.numel() / 2
    assert feature_matching_loss(fake, real).item() == pytest.approx(expected, rel=1e-5)


def test_equal_features_cost_nothing():
    assert feature_matching_loss(features(0), features(0)).item() == 0


def test_gradient_flows_into_the_fakes_alone():
    fake, real = features(0), features(1)
    feature_matching_loss(fake, real).backward()
    for scale in (0, 1):
        for a, b in zip(fake[scale], real[scale], strict=True):
            torch.testing.assert_close(a.grad, (a - b).detach().sign() / a.numel() / 2)
            assert b.grad is None


def test_scales_and_layers_must_pair():
    fake, real = features(0), features(1)
    with pytest.raises(ValueError, match="shorter"):
        feature_matching_loss(fake, real[:1])
    with pytest.raises(ValueError, match="shorter"):
        feature_matching_loss(fake, [layers[:2] for layers in real])
