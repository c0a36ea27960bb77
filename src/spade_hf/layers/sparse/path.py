"""The sparse path of one SPADE layer: whether it may be taken, whether it pays off, and how it is taken.

Equation 1 stands in `layers/spade.py`. The sparse path computes the same numbers once per distinct label neighborhood
instead of once per position; it needs a hard mask and weights that can be read without a call.

Legend: N masks, S images of one mask, C activation channels, L semantic channels, D hidden channels, H W height and
width, T taps of a kernel, B distinct neighborhoods.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from ...execution.graphs import is_exporting
from ...execution.plain_layers import has_fixed_statistics, is_plain_conv
from ..mask import SemanticMask
from .modulation import modulate, neighborhood_modulation
from .neighborhoods import LabelNeighborhoods


ModulationBackend = Literal["auto", "dense", "sparse"]

# "auto" compares multiply-adds: T * D * (L + 2C) per position on the dense path, T * D * (2C + 2D) per distinct
# neighborhood on the sparse path, which runs at 85 % of the dense path's speed. The term 2D stands for copying.
# Fitted to the shares of distinct neighborhoods at which both paths took equally long: 0.4 to 0.85
# (2 CPU cores; fp32, bf16; D = 128; C = 128, 512; L = 12, 183; 32x32, 128x128).
SPARSE_EFFICIENCY = 0.85
# The devices of this measurement. On others "auto" is dense: large regions make long bags in the backward pass, and
# finding the neighborhoods synchronizes with the device.
SPARSE_DEVICES = ("cpu",)
COMPUTE_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class ModulatedLayer(Protocol):
    """What the sparse path reads of a SPADE layer, anew in every call: parts can be replaced, moved or hooked."""

    num_channels: int  # C
    num_semantic_channels: int  # L
    hidden_channels: int  # D
    kernel_size: int
    modulation_backend: ModulationBackend
    param_free_norm: nn.Module
    conv_mask: nn.Conv2d  # L to D channels
    conv_gamma_beta: nn.Conv2d  # D to 2C channels: C gammas, then C betas


@dataclass(frozen=True, eq=False)  # a hash of the layer fails while torch 2.8 and 2.9 compile
class SparsePath:
    """A view of a SPADE layer that computes it by neighborhoods. It is not a module, so the layer keeps its weights.

    Args:
        layer (`ModulatedLayer`): The layer.
    """

    layer: ModulatedLayer

    def __call__(self, x: Tensor, mask: SemanticMask, negative_slope: float) -> Tensor | None:
        """Compute the layer, or return `None` where the dense path must or should be taken.

        Args:
            x (`Tensor`): `(N * S, C, H, W)`; the S images of a mask are consecutive.
            mask (`SemanticMask`): The N masks.
            negative_slope (`float`): Slope of the LeakyReLU, above 0; 1 means no LeakyReLU.

        Returns:
            `Tensor` or `None`: `(N * S, C, H, W)`.
        """
        # no graph can depend on the labels: this layer, or its block, can be compiled alone
        return run_eagerly(self._modulate, x, mask, negative_slope) if self.is_permitted(mask) else None

    def is_permitted(self, mask: SemanticMask) -> bool:
        """Return whether the path can be taken; in a generator, the mask brings the answer for the whole pass."""
        return self.permits(mask) if mask.permits_sparse is None else mask.permits_sparse

    def permits(self, mask: SemanticMask) -> bool:
        """Return whether this layer permits the path: it reads weights directly, and no exported graph can use it."""
        backend = self.layer.modulation_backend
        is_chosen = backend == "sparse" or (backend == "auto" and mask.device.type in SPARSE_DEVICES)
        is_allowed = mask.is_hard and is_chosen and not is_exporting()
        convs = (self.layer.conv_mask, self.layer.conv_gamma_beta)
        return is_allowed and all(_has_weights_at_hand(conv, mask) for conv in convs)

    def is_local(self, mask: SemanticMask, size: tuple[int, int]) -> bool:
        """Return whether an output depends only on the same input position, so that `x` can be processed in parts."""
        if not (self.is_permitted(mask) and has_fixed_statistics(self.layer.param_free_norm)):
            return False
        return self._pays_off(mask.neighborhoods(size, self.layer.kernel_size))

    def _pays_off(self, neighborhoods: LabelNeighborhoods) -> bool:
        """Return whether the sparse path was requested, or is expected to be faster than the dense one."""
        layer = self.layer
        outputs = 2 * layer.num_channels
        dense_cost = SPARSE_EFFICIENCY * (layer.num_semantic_channels + outputs)  # in units of T * D, per position
        sparse_cost = neighborhoods.distinct_share * (outputs + 2 * layer.hidden_channels)
        return sparse_cost <= dense_cost or layer.modulation_backend == "sparse"

    def _modulate(self, x: Tensor, mask: SemanticMask, negative_slope: float) -> Tensor | None:
        neighborhoods = mask.neighborhoods((x.shape[-2], x.shape[-1]), self.layer.kernel_size)
        if not self._pays_off(neighborhoods):
            return None
        scale_shift = mask.modulation(self.layer, self._scale_shift, neighborhoods, mask.has_edges)  # (B, 2C)
        if not has_fixed_statistics(self.layer.param_free_norm):
            x = self.layer.param_free_norm(x)  # (N * S, C, H, W)
        return modulate(x, scale_shift, neighborhoods, negative_slope)  # (N * S, C, H, W)

    def _scale_shift(self, neighborhoods: LabelNeighborhoods, has_edges: bool) -> Tensor:
        """Compute 1 + gamma and beta of every distinct neighborhood, `(B, 2C)`; fixed statistics are folded in.

        With fixed mean and sigma, equation 1 is one scale and shift of the activation itself:
        `(1 + gamma) (x - mean) / sigma + beta`, with the scale `(1 + gamma) / sigma` and the shift
        `beta - mean * scale`. The normalized activation is never stored.
        """
        gamma_beta = neighborhood_modulation(
            neighborhoods, self.layer.conv_mask, self.layer.conv_gamma_beta, has_edges=has_edges
        )  # (B, 2C)
        gamma, beta = gamma_beta.chunk(2, dim=1)  # (B, C) each
        norm: Any = self.layer.param_free_norm
        if not has_fixed_statistics(norm):
            return torch.cat([1 + gamma, beta], dim=1)  # (B, 2C)
        variance = norm.running_var.to(torch.promote_types(gamma.dtype, torch.float32))  # (C,)
        inverse_std = torch.rsqrt(variance + norm.eps).to(gamma.dtype)  # (C,), 1 / sigma
        scale = torch.addcmul(inverse_std, gamma, inverse_std)  # (B, C), (1 + gamma) / sigma
        shift = torch.addcmul(beta, norm.running_mean.to(gamma.dtype), scale, value=-1)  # (B, C)
        return torch.cat([scale, shift], dim=1)  # (B, 2C)


def permits_sparse(layers: Iterable[ModulatedLayer], mask: SemanticMask) -> bool:
    """Return whether there are layers, and all of them permit the path: asked once for a forward pass."""
    paths = [SparsePath(layer) for layer in layers]
    return len(paths) > 0 and all(path.permits(mask) for path in paths)


def _has_weights_at_hand(conv: nn.Conv2d, mask: SemanticMask) -> bool:
    """Return whether weights can be read directly: hooks can cast, load or change them for a call."""
    if not is_plain_conv(conv) or conv.bias is None:
        return False
    return conv.weight.device == mask.device and conv.weight.dtype in COMPUTE_DTYPES


def run_eagerly(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function(*args)`, which depends on the labels, outside of any graph; a plain call if none is traced."""
    return _outside_of_graphs(function, *args) if torch.compiler.is_compiling() else function(*args)


@torch.compiler.disable(
    reason="sparse modulation depends on labels, a graph must not; `set_modulation_backend('dense')` makes one graph"
)
def _outside_of_graphs(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)
