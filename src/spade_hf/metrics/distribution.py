"""Distances between the features of two sets of images: KID and FID.

Legend: N images, B images of a block, D feature dimensions.
"""

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance


BLOCK = 256  # rows of an (N, N) matrix that are computed at once, so that memory grows with N only


class _Features(nn.Module):
    """Stand-in for torchmetrics' feature network: the features are already computed."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def standardize(features: Tensor, real_features: Tensor) -> Tensor:
    """Shift and scale each dimension so that the real images have mean 0 and standard deviation 1."""
    std = real_features.std(dim=0, unbiased=False)  # (D,)
    return (features - real_features.mean(dim=0)) / torch.where(std > 0, std, 1)  # constant dimensions become 0


def kernel_distance(features: Tensor, real_features: Tensor) -> float:
    """Compute KID, the squared maximum mean discrepancy with the kernel (x . y / D + 1)^3, on all images at once.

    Features are standardized by the real images' statistics, so that no dimension outweighs the others. Like the
    U-statistic for pairs, the estimate leaves out the product of an image with its own real image. Torchmetrics
    includes it, so that images of the same masks score below 0: the two sets are not independent. Here the real
    images themselves score exactly 0.

    Args:
        features, real_features (`Tensor`): `(N, D)`, in the same order, N at least 2.

    Source: Binkowski et al. 2018 (arXiv 1801.01401); the estimate is equation 5 of Gretton et al. 2012 (JMLR 13).
    """
    real = standardize(real_features.double(), real_features.double())
    ours = standardize(features.double(), real_features.double())
    # equation 5: the sum over i != j of k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i), over N (N - 1) pairs
    total = _products_of_others(real, real) + _products_of_others(ours, ours) - 2 * _products_of_others(ours, real)
    return (total / (len(ours) * (len(ours) - 1))).item()


def _products_of_others(x: Tensor, y: Tensor) -> Tensor:
    """Sum the kernel over all pairs (i, j) with i != j."""
    total = x.new_zeros(())
    for start in range(0, len(x), BLOCK):
        kernel = (x[start : start + BLOCK] @ y.T / x.shape[1] + 1) ** 3  # (B, N)
        total += kernel.sum() - kernel.diagonal(offset=start).sum()  # without i == j
    return total


def frechet_distance(features: Tensor, real_features: Tensor) -> float:
    """Compute FID, the Frechet distance between Gaussians fitted to both sets. Features are not standardized.

    Args:
        features, real_features (`Tensor`): `(N, D)` with more images than dimensions.

    Raises:
        ValueError: If N is D or less: the covariance would be singular and the distance meaningless.

    Source: Heusel et al. 2017, arXiv 1706.08500.
    """
    if min(len(features), len(real_features)) <= features.shape[1]:
        raise ValueError(
            f"FID needs more pictures than feature dimensions; there are {min(len(features), len(real_features))} "
            f"pictures and {features.shape[1]} dimensions. Score more pictures, or use KID."
        )
    metric = FrechetInceptionDistance(_Features(features.shape[1]))
    # the metric returns the dtype of its features: float64 is not rounded
    metric.update(real_features.double().cpu(), real=True)
    metric.update(features.double().cpu(), real=False)
    return metric.compute().item()
