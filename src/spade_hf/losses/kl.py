"""The prior term of the style encoder's objective (Kingma and Welling 2014; Park et al. 2019, appendix A)."""

from torch import Tensor

from ..models import DiagonalGaussianDistribution


def kl_loss(posterior: DiagonalGaussianDistribution) -> Tensor:
    """Compute the KL divergence from the standard normal, **summed** over batch and dimensions as in the paper.

    Args:
        posterior (`DiagonalGaussianDistribution`): mean and logvar `(N, Z)`.
    """
    return posterior.kl().sum()
