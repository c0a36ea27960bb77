"""Spectral normalization (Miyato et al. 2018, https://arxiv.org/abs/1802.05957)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm


class SpectralNorm(_SpectralNorm):
    """PyTorch's parametrization, with the same buffers and a backward pass that needs less memory traffic.

    For large weights and small images, memory traffic over the weight dominates: autograd needs about eight passes
    over it, and as many tensors of its size; this class needs three.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """Divide a weight `(O, ...)` by the largest singular value of its `(O, -1)` matrix."""
        matrix = weight.flatten(1)  # (O, I), I = input channels x kernel
        if self.training:
            self._power_method(matrix, self.n_power_iterations)  # u and v come nearer to the singular vectors
        return _DivideBySigma.apply(weight, self._u.clone(), self._v.clone())  # the next iteration overwrites both

    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        if not weight_mat.is_meta:  # no values to iterate on, and torch would take a second per network
            super()._power_method(weight_mat, n_power_iterations)


class _DivideBySigma(torch.autograd.Function):
    """W / sigma with sigma = u^T W v; the gradient is (G - <G, W / sigma> u v^T) / sigma (Miyato et al., eq. 11)."""

    @staticmethod
    def forward(ctx, weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
        sigma = torch.dot(u, torch.mv(weight.flatten(1), v))  # scalar
        normalized = weight / sigma  # (O, ...)
        ctx.save_for_backward(normalized, u, v, sigma)
        return normalized

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        normalized, u, v, sigma = ctx.saved_tensors  # (O, ...), (O,), (I,), scalar
        projection = torch.dot(grad.flatten(), normalized.flatten())  # <G, W / sigma>
        grad_weight = torch.addcmul(grad.flatten(1), u[:, None], v * projection, value=-1).div_(sigma)
        return grad_weight.view_as(normalized), None, None


def has_spectral_norm(module: nn.Module) -> bool:
    """Return whether a weight in `module` is spectrally normalized."""
    return any(isinstance(part, _SpectralNorm) for part in module.modules())


def fuse_spectral_norm(module: nn.Module) -> None:
    """Replace every spectrally normalized weight by its normalized value, in place.

    Plain convolutions are faster, smaller and exportable. Outputs in evaluation mode stay the same, and frozen weights
    stay frozen.
    """
    was_training = module.training
    module.eval()  # in training mode, reading a parametrized weight runs one more power iteration
    layer: Any
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            # not `remove_parametrizations`: it deletes `weight` from a class that copies of the layer share, so that
            # fusing a deep copy would break the original model
            weight = layer.weight.detach().clone()
            is_trained = any(original.requires_grad for original in layer.parametrizations.weight.parameters())
            layer.__class__ = type(layer).__base__
            del layer.parametrizations
            layer.weight = nn.Parameter(weight, requires_grad=is_trained)
    module.train(was_training)
