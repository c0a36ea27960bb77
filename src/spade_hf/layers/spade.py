"""Spatially-adaptive normalization (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291, section 3, figure 2).

Legend: N batch, C activation channels, L semantic channels, D hidden channels, H W height and width, K label codes,
T taps of a kernel, A distinct patches, B distinct neighbourhoods.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..execution.eager import run_eagerly
from ..execution.plain_layers import has_hooks, is_plain_conv
from .initialization import initialize
from .mask import SemanticMask
from .mask_reading import as_semantic_mask
from .sparse.modulation import modulate, neighborhood_modulation
from .sparse.neighborhoods import LabelNeighborhoods


NormType = Literal["sync_batch", "batch", "instance"]
ModulationBackend = Literal["auto", "dense", "sparse"]

# "auto" compares multiply-adds: T * D * (L + 2C) per position on the dense path, T * D * (2C + 2D) per distinct
# neighbourhood on the sparse path, which runs at 85 % of the dense path's speed. The term 2D stands for copying.
# Fitted to the shares of distinct neighbourhoods at which both paths took equally long: 0.4 to 0.85
# (2 CPU cores; fp32, bf16; D = 128; C = 128, 512; L = 12, 183; 32x32, 128x128).
SPARSE_EFFICIENCY = 0.85
# The devices of this measurement. On others "auto" is dense: large regions make long bags in the backward pass, and
# finding the neighbourhoods synchronizes with the device.
SPARSE_DEVICES = ("cpu",)
COMPUTE_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def parameter_free_norm(norm_type: NormType, num_channels: int) -> nn.Module:
    """Build the norm of equations 2 and 3: zero mean and unit deviation per channel, no learned scale and shift."""
    if norm_type in ("sync_batch", "batch"):  # multi-process training converts "sync_batch"
        return nn.BatchNorm2d(num_channels, affine=False)
    if norm_type == "instance":
        return nn.InstanceNorm2d(num_channels, affine=False)
    raise ValueError(f"`norm_type` is {norm_type!r}; allowed are 'sync_batch', 'batch' and 'instance'.")


class SPADE(nn.Module):
    """Parameter-free normalization, then a per-position scale and shift predicted from the mask (equation 1).

    Args:
        num_channels (`int`): C.
        num_semantic_channels (`int`): L.
        hidden_channels (`int`, defaults to 128): D, width of the mask's hidden activation.
        kernel_size (`int`, defaults to 3): 1, 3 or 5, for the convolutions over the mask.
        norm_type (`str`, defaults to `"sync_batch"`): `"sync_batch"`, `"batch"` or `"instance"`.
    """

    mask_weights = ("conv_mask.weight",)

    def __init__(
        self,
        num_channels: int,
        num_semantic_channels: int,
        *,
        hidden_channels: int = 128,
        kernel_size: int = 3,
        norm_type: NormType = "sync_batch",
    ) -> None:
        super().__init__()
        if kernel_size not in (1, 3, 5):
            raise ValueError(f"`kernel_size` is {kernel_size}; allowed are 1, 3 and 5.")
        # kept here, because an adapter in the place of a convolution need not have its attributes
        self.num_channels, self.num_semantic_channels = num_channels, num_semantic_channels
        self.hidden_channels, self.kernel_size = hidden_channels, kernel_size
        self.modulation_backend: ModulationBackend = "auto"
        self.param_free_norm = parameter_free_norm(norm_type, num_channels)
        self.conv_mask = nn.Conv2d(num_semantic_channels, hidden_channels, kernel_size, padding=kernel_size // 2)
        # gamma in the first C output channels, beta in the last C: one convolution reads the hidden activation once
        self.conv_gamma_beta = nn.Conv2d(hidden_channels, 2 * num_channels, kernel_size, padding=kernel_size // 2)
        initialize(self.conv_mask)
        initialize(self.conv_gamma_beta, outputs=2)

    def forward(self, x: Tensor, mask: SemanticMask | Tensor, *, negative_slope: float = 1.0) -> Tensor:
        """Modulate by the mask, then apply LeakyReLU.

        Args:
            x (`Tensor`): `(N * S, C, H, W)`; the S images of a mask are consecutive.
            mask (`Tensor` or `SemanticMask`): N masks of any resolution, read at `(H, W)`: int `(N, h, w)` in
                `0..L - 1`, or float `(N, L, h, w)`, one-hot or soft; or the result of `read_mask`, which several
                layers can share.
            negative_slope (`float`, defaults to 1): Slope of the LeakyReLU, above 0; 1 means no LeakyReLU.

        Returns:
            `Tensor`: `(N * S, C, H, W)`.

        Raises:
            ValueError: If ids, shapes or types do not fit the layer.
        """
        mask = as_semantic_mask(mask, x, num_channels=self.num_semantic_channels)
        out = run_eagerly(self._modulate_by_labels, x, mask, negative_slope) if self._is_permitted(mask) else None
        if out is not None:
            return out  # the same, computed once per distinct label neighbourhood; None where that would be slower
        gamma_beta = mask.modulation(
            self, lambda: self._dense_modulation(mask, (x.shape[-2], x.shape[-1]))
        )  # (N, 2C, H, W)
        gamma, beta = mask.for_every_image(gamma_beta).chunk(2, dim=1)  # (N * S, C, H, W) each
        out = self.param_free_norm(x) * (1 + gamma) + beta  # (N * S, C, H, W), equation 1
        return out if negative_slope == 1 else F.leaky_relu(out, negative_slope)

    def may_be_sparse(self, mask: SemanticMask) -> bool:
        """Return whether the sparse path is allowed: it reads weights directly, and no exported graph can use it."""
        is_chosen = self.modulation_backend == "sparse" or (
            self.modulation_backend == "auto" and mask.device.type in SPARSE_DEVICES
        )
        is_allowed = mask.is_hard and is_chosen and not torch.compiler.is_exporting()
        return is_allowed and all(_has_weights_at_hand(conv, mask) for conv in (self.conv_mask, self.conv_gamma_beta))

    def is_local(self, mask: SemanticMask, size: tuple[int, int]) -> bool:
        """Return whether an output depends only on the same input position, so that `x` can be processed in parts."""
        if not (self._is_permitted(mask) and self._has_fixed_statistics()):
            return False
        return self._pays_off(mask.neighborhoods(size, self.kernel_size))

    def _is_permitted(self, mask: SemanticMask) -> bool:
        return self.may_be_sparse(mask) if mask.permits_sparse is None else mask.permits_sparse

    def _modulate_by_labels(self, x: Tensor, mask: SemanticMask, negative_slope: float) -> Tensor | None:
        neighborhoods = mask.neighborhoods((x.shape[-2], x.shape[-1]), self.kernel_size)
        if not self._pays_off(neighborhoods):
            return None
        scale_shift = mask.modulation(self, lambda: self._scale_shift(neighborhoods, mask.has_edges))  # (B, 2C)
        if not self._has_fixed_statistics():
            x = self.param_free_norm(x)
        return modulate(x, scale_shift, neighborhoods, negative_slope)

    def _pays_off(self, neighborhoods: LabelNeighborhoods) -> bool:
        """Return whether the sparse path was requested, or is expected to be faster than the dense one."""
        outputs = 2 * self.num_channels
        dense_cost = SPARSE_EFFICIENCY * (self.num_semantic_channels + outputs)
        sparse_cost = neighborhoods.distinct_share * (outputs + 2 * self.hidden_channels)
        return sparse_cost <= dense_cost or self.modulation_backend == "sparse"

    def _dense_modulation(self, mask: SemanticMask, size: tuple[int, int]) -> Tensor:
        """Compute gamma and beta at every position, `(N, 2C, *size)`."""
        return self.conv_gamma_beta(F.relu(self.conv_mask(mask.segmap_at(size))))

    def _scale_shift(self, neighborhoods: LabelNeighborhoods, has_edges: bool) -> Tensor:
        """Compute 1 + gamma and beta of every distinct neighbourhood, `(B, 2C)`; fixed statistics are folded in."""
        gamma_beta = neighborhood_modulation(neighborhoods, self.conv_mask, self.conv_gamma_beta, has_edges=has_edges)
        gamma, beta = gamma_beta.chunk(2, dim=1)  # (B, C) each
        norm: Any = self.param_free_norm
        if not self._has_fixed_statistics():
            return torch.cat([1 + gamma, beta], dim=1)
        variance = norm.running_var.to(torch.promote_types(gamma.dtype, torch.float32))
        inverse_std = torch.rsqrt(variance + norm.eps).to(gamma.dtype)
        scale = torch.addcmul(inverse_std, gamma, inverse_std)  # (1 + gamma) / sigma
        shift = torch.addcmul(beta, norm.running_mean.to(gamma.dtype), scale, value=-1)
        return torch.cat([scale, shift], dim=1)

    def _has_fixed_statistics(self) -> bool:
        norm: Any = self.param_free_norm
        is_known = type(norm) in (nn.BatchNorm2d, nn.SyncBatchNorm) and not has_hooks(norm)
        return is_known and norm.track_running_stats and not norm.affine and not norm.training


def _has_weights_at_hand(conv: nn.Conv2d, mask: SemanticMask) -> bool:
    """Return whether weights can be read directly: hooks can cast, load or change them for a call."""
    if not is_plain_conv(conv) or conv.bias is None:
        return False
    return conv.weight.device == mask.device and conv.weight.dtype in COMPUTE_DTYPES


def permits_sparse(network: nn.Module, mask: SemanticMask) -> bool:
    """Return whether a network has SPADE layers and all of them allow the sparse path for a mask."""
    layers = [module for module in network.modules() if isinstance(module, SPADE)]
    return bool(layers) and all(layer.may_be_sparse(mask) for layer in layers)
