import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.kid import poly_mmd

from spade_hf.metrics import frechet_distance, kernel_distance, standardize
from spade_hf.metrics.distribution import BLOCK


def features(count: int, dimensions: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    scales = torch.arange(1, dimensions + 1, dtype=torch.float64)
    return (torch.randn(count, dimensions, generator=rng, dtype=torch.float64) + shift) * scales


def test_standardized_by_the_real_ones():
    real = features(50, 3, seed=0)
    real[:, 2] = 7.0  # always the same: nothing to divide by
    standardized = standardize(real, real)
    torch.testing.assert_close(standardized.mean(dim=0), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(
        standardized.std(dim=0, unbiased=False), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    )
    torch.testing.assert_close(standardize(real + 1, real)[:, 2], torch.ones(50, dtype=torch.float64))


def test_kernel_distance_is_its_formula():
    ours, real = features(6, 4, seed=1, shift=0.5), features(6, 4, seed=2)
    x = [[(v - m) / s for v, m, s in zip(row, real.mean(0), real.std(0, unbiased=False), strict=True)] for row in ours]
    y = [[(v - m) / s for v, m, s in zip(row, real.mean(0), real.std(0, unbiased=False), strict=True)] for row in real]

    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / 4 + 1) ** 3

    total = sum(
        kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
        for i in range(6)
        for j in range(6)
        if i != j
    )
    assert kernel_distance(ours, real) == pytest.approx(float(total) / 30, rel=1e-12)


@pytest.mark.parametrize("count", [20, BLOCK + 20])
def test_kernel_distance_differs_from_torchmetrics_by_the_products_of_pairs(count):
    ours, real = features(count, 8, seed=3, shift=0.3), features(count, 8, seed=4)
    x, y = standardize(ours, real), standardize(real, real)
    across = (x @ y.T / 8 + 1) ** 3
    of_others = (across.sum() - across.trace()) / (count * (count - 1))
    expected = poly_mmd(y, x) + 2 * (across.mean() - of_others)
    assert kernel_distance(ours, real) == pytest.approx(expected.item(), rel=1e-10)


def test_kernel_distance_of_the_real_images_is_zero_and_grows_with_the_difference():
    real = features(40, 5, seed=5)
    assert kernel_distance(real, real) == pytest.approx(0, abs=1e-12)
    near, far = (kernel_distance(features(40, 5, seed=6, shift=shift), real) for shift in (0.2, 1.0))
    assert 0 < near < far


def test_kernel_distance_of_the_same_distribution_has_mean_zero():
    values = torch.tensor(
        [kernel_distance(features(30, 4, seed=2 * i), features(30, 4, seed=2 * i + 1)) for i in range(200)]
    )
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(200) + 0.02


def test_frechet_distance_of_gaussians():
    # Samples made to have exactly these means and covariances: the distance has a closed form for diagonal ones.
    def gaussian(mean, std, seed):
        raw = torch.randn(200, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        white = raw - raw.mean(dim=0)
        white = torch.linalg.solve_triangular(
            torch.linalg.cholesky(white.T @ white / 199), white.T, upper=False
        ).T  # mean 0, covariance 1
        return white * torch.tensor(std, dtype=torch.float64) + torch.tensor(mean, dtype=torch.float64)

    mean, std, real_mean, real_std = (1.0, 0.0, -2.0), (1.0, 2.0, 3.0), (0.0, 0.0, 1.0), (2.0, 2.0, 1.0)
    expected = sum((a - b) ** 2 for a, b in zip((*mean, *std), (*real_mean, *real_std), strict=True))
    distance = frechet_distance(gaussian(mean, std, 0), gaussian(real_mean, real_std, 1))
    assert distance == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_is_that_of_the_matrix_root():
    """With covariances that do not commute: equation 6 of Heusel et al. 2017, by scipy in float64."""
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    ours, real = features(60, 6, seed=3).double() @ mixing, features(60, 6, seed=4).double() + 0.5
    covariances = [np.cov(one.numpy(), rowvar=False) for one in (ours, real)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = (ours.mean(dim=0) - real.mean(dim=0)).square().sum().item()
    expected = shift + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(ours, real) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_needs_more_images_than_dimensions():
    with pytest.raises(ValueError, match=r"there are 5 pictures and 5 dimensions\. Score more pictures, or use KID"):
        frechet_distance(features(5, 5, seed=0), features(9, 5, seed=1))
