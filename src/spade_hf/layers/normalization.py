"""Spatially-adaptive normalization (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291, section 3, figure 2).

Legend: N batch, C activation channels, L semantic channels, D hidden channels, H W height and width, K label codes,
T taps of a kernel, A distinct patches, B distinct neighbourhoods.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .mask_pyramid import MaskPyramid
from .spectral_norm import initialize


NormType = Literal["sync_batch", "batch", "instance"]
ModulationBackend = Literal["auto", "dense", "sparse"]


def parameter_free_norm(norm_type: NormType, num_channels: int) -> nn.Module:
    """Equations 2 and 3: zero mean and unit deviation a channel, without learned scale and shift."""
    if norm_type in ("sync_batch", "batch"):  # training across processes converts "sync_batch"
        return nn.BatchNorm2d(num_channels, affine=False)
    if norm_type == "instance":
        return nn.InstanceNorm2d(num_channels, affine=False)
    raise ValueError(f"`norm_type` is {norm_type!r}; allowed are 'sync_batch', 'batch' and 'instance'.")


class SPADE(nn.Module):
    """Normalize the activations alone, then scale and shift every position by what the mask says there (equation 1).

    Args:
        num_channels (`int`): C.
        num_semantic_channels (`int`): L.
        hidden_channels (`int`, defaults to 128): D, width of the mask's hidden activation.
        kernel_size (`int`, defaults to 3): 1, 3 or 5, of the convolutions of the mask.
        norm_type (`str`, defaults to `"sync_batch"`): `"sync_batch"`, `"batch"` or `"instance"`.
    """

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
        self.kernel_size = kernel_size
        self.modulation_backend: ModulationBackend = "auto"
        self.param_free_norm = parameter_free_norm(norm_type, num_channels)
        self.conv_mask = nn.Conv2d(num_semantic_channels, hidden_channels, kernel_size, padding=kernel_size // 2)
        # gamma in the first C output channels, beta in the last C: one convolution reads the hidden activation once
        self.conv_gamma_beta = nn.Conv2d(hidden_channels, 2 * num_channels, kernel_size, padding=kernel_size // 2)
        initialize(self.conv_mask)
        initialize(self.conv_gamma_beta, outputs=2)

    def forward(self, x: Tensor, mask: MaskPyramid) -> Tensor:
        """Modulate `x` `(N, C, H, W)` by `mask`, read at `(H, W)`."""
        gamma, beta = self.modulation(mask, tuple(x.shape[-2:])).chunk(2, dim=1)  # (N, C, H, W) each
        return self.param_free_norm(x) * (1 + gamma) + beta  # (N, C, H, W), equation 1

    def modulation(self, mask: MaskPyramid, size: tuple[int, int]) -> Tensor:
        """gamma and beta, `(N, 2C, *size)`."""
        if mask.is_hard and self.modulation_backend != "dense":
            return self._sparse_modulation(mask, size)
        return self.conv_gamma_beta(F.relu(self.conv_mask(mask.segmap(size))))

    def _sparse_modulation(self, mask: MaskPyramid, size: tuple[int, int]) -> Tensor:
        """What the two convolutions give, computed once for each distinct neighbourhood."""
        neighborhoods = mask.neighborhoods(size, self.kernel_size)
        taps = torch.arange(self.kernel_size**2, device=neighborhoods.index.device)
        table = self._label_table(mask.has_edges)  # ((K+1) * T, D)
        hidden = F.embedding_bag(neighborhoods.patch_codes * len(taps) + taps, table, mode="sum")  # (A, D)
        hidden = F.relu(hidden + self.conv_mask.bias).masked_fill(neighborhoods.patch_is_outside[:, None], 0)
        weight = self.conv_gamma_beta.weight  # (2C, D, k, k)
        products = hidden @ weight.permute(1, 2, 3, 0).flatten(1)  # (A, T * 2C)
        gamma_beta = F.embedding_bag(
            neighborhoods.patches * len(taps) + taps, products.view(-1, len(weight)), mode="sum"
        )  # (B, 2C)
        gathered = (gamma_beta + self.conv_gamma_beta.bias).index_select(0, neighborhoods.index)  # (N * H * W, 2C)
        return gathered.view(-1, *size, len(weight)).permute(0, 3, 1, 2)  # (N, 2C, H, W), channels last in memory

    def _label_table(self, has_edges: bool) -> Tensor:
        """The first convolution's weights as a row for each code and tap; the last code lies outside the image."""
        table = self.conv_mask.weight.permute(1, 2, 3, 0).flatten(1, 2)  # (L, T, D)
        if has_edges:
            labels, edge = table[:-1], table[-1:]
            table = torch.cat([labels, labels + edge])  # (K, T, D)
        return torch.cat([table, torch.zeros_like(table[:1])]).flatten(0, 1)  # ((K+1) * T, D)
