import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from spade_hf import DiagonalGaussianDistribution
from spade_hf.losses import kl_loss


@pytest.fixture
def posterior() -> DiagonalGaussianDistribution:
    rng = torch.Generator().manual_seed(0)
    mean, logvar = (torch.randn(3, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    return DiagonalGaussianDistribution(mean.requires_grad_(), logvar.requires_grad_())


def test_sum_over_batch_and_dimensions(posterior):
    expected = sum(
        -0.5 * (1 + logvar - mean**2 - math.exp(logvar))
        for mean, logvar in zip(posterior.mean.flatten().tolist(), posterior.logvar.flatten().tolist(), strict=True)
    )
    loss = kl_loss(posterior)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    normal = Normal(posterior.mean, (0.5 * posterior.logvar).exp())
    torch.testing.assert_close(loss, kl_divergence(normal, Normal(0.0, 1.0)).sum())


def test_gradient(posterior):
    kl_loss(posterior).backward()
    torch.testing.assert_close(posterior.mean.grad, posterior.mean.detach())
    torch.testing.assert_close(posterior.logvar.grad, 0.5 * (posterior.logvar.detach().exp() - 1))


def test_the_prior_costs_nothing():
    assert kl_loss(DiagonalGaussianDistribution(torch.zeros(2, 4), torch.zeros(2, 4))).item() == 0
