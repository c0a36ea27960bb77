import math

import pytest
import torch

from spade_hf.losses import (
    RelativisticObjective,
    hinge_discriminator_loss,
    hinge_generator_loss,
    relativistic_loss,
)
from spade_hf.models import MultiscaleDiscriminatorOutput


@pytest.fixture
def logits() -> list[torch.Tensor]:
    """Two scales of different size, so that a mean over all positions at once would be another number."""
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(2, 1, side, side, generator=rng) * 2 for side in (5, 3)]


def test_generator_loss_is_minus_the_mean(logits):
    expected = sum(-sum(scale.flatten().tolist()) / scale.numel() for scale in logits) / 2
    assert hinge_generator_loss(logits).item() == pytest.approx(expected, rel=1e-5)


def test_discriminator_loss_is_the_hinge(logits):
    other = [-0.5 * scale for scale in logits]
    real, fake = hinge_discriminator_loss(logits, other)
    expected_real = sum(sum(max(0, 1 - x) for x in s.flatten().tolist()) / s.numel() for s in logits) / 2
    expected_fake = sum(sum(max(0, 1 + x) for x in s.flatten().tolist()) / s.numel() for s in other) / 2
    assert real.item() == pytest.approx(expected_real, rel=1e-5)
    assert fake.item() == pytest.approx(expected_fake, rel=1e-5)


def test_sure_and_right_costs_nothing():
    real, fake = hinge_discriminator_loss([torch.full((1, 1, 2, 2), 1.5)], [torch.full((1, 1, 2, 2), -1.5)])
    assert real.item() == fake.item() == 0


def test_gradients_point_the_right_way(logits):
    """The generator raises the fakes' logits; the discriminator lowers them and raises the real ones'."""
    fake = [scale.clone().requires_grad_() for scale in logits]
    hinge_generator_loss(fake).backward()
    for scale in fake:
        torch.testing.assert_close(scale.grad, torch.full_like(scale, -1 / scale.numel() / 2))

    real, fake = ([scale.clone().requires_grad_() for scale in logits] for _ in range(2))
    sum(hinge_discriminator_loss(real, fake)).backward()
    for scale in real:
        torch.testing.assert_close(scale.grad, -(scale < 1).float() / scale.numel() / 2)
    for scale in fake:
        torch.testing.assert_close(scale.grad, (scale > -1).float() / scale.numel() / 2)


def test_relativistic_loss_compares_patches_in_pairs():
    one, other = torch.tensor([[[[0.0, 2.0]]]]), torch.tensor([[[[1.0, -1.0]]]])
    expected = (math.log1p(math.exp(1)) + math.log1p(math.exp(-3))) / 2
    assert relativistic_loss([one], [other]).item() == pytest.approx(expected, rel=1e-6)
    real, fake = (MultiscaleDiscriminatorOutput([logits], []) for logits in (one, other))
    objective = RelativisticObjective()
    assert objective.for_discriminator({}, fake, real)["discriminator"].item() == pytest.approx(expected, rel=1e-6)
    swapped = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert objective.for_generator({}, fake, real).item() == pytest.approx(swapped, rel=1e-6)
