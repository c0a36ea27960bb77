"""Spatially-adaptive normalization (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291, section 3, figure 2).

Legend: N masks, S images of one mask, C activation channels, L semantic channels, D hidden channels, H W height and
width.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .initialization import initialize
from .mask import SemanticMask
from .mask_reading import as_semantic_mask
from .parameter_free import NormType, parameter_free_norm
from .sparse.path import ModulationBackend, SparsePath


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
            negative_slope (`float`, defaults to 1): Slope of the LeakyReLU, above 0; 1 means no LeakyReLU. It is part
                of this layer, so that the modulated activation is not stored a second time.

        Returns:
            `Tensor`: `(N * S, C, H, W)`.

        Raises:
            ValueError: If ids, shapes or types do not fit the layer.
        """
        if isinstance(mask, Tensor):  # the layer is used alone; a generator reads its mask once for all layers
            mask = as_semantic_mask(mask, x, num_channels=self.num_semantic_channels)

        # Real masks repeat a few label neighborhoods: where that pays off, the same numbers with less work.
        out = self.sparse(x, mask, negative_slope)  # (N * S, C, H, W), or None
        if out is not None:
            return out

        # Figure 2: the mask, read at the activation's resolution, predicts gamma and beta at every position.
        segmap = mask.segmap_at((x.shape[-2], x.shape[-1]))  # (N, L, H, W)
        gamma_beta = mask.modulation(self, self.gamma_beta, segmap)  # (N, 2C, H, W), once for all images of a mask
        gamma, beta = mask.for_every_image(gamma_beta).chunk(2, dim=1)  # (N * S, C, H, W) each

        # Equation 1. The scale is 1 + gamma, so that with small weights the layer begins as the norm alone.
        out = self.param_free_norm(x) * (1 + gamma) + beta  # (N * S, C, H, W)
        return out if negative_slope == 1 else F.leaky_relu(out, negative_slope)

    def gamma_beta(self, segmap: Tensor) -> Tensor:
        """Map a mask `(N, L, H, W)` to gamma and beta at every position, `(N, 2C, H, W)`: figure 2, without x."""
        hidden = F.relu(self.conv_mask(segmap))  # (N, D, H, W)
        return self.conv_gamma_beta(hidden)  # (N, 2C, H, W)

    @property
    def sparse(self) -> SparsePath:
        """The sparse path: called like the layer, it returns `None` where equation 1 is to be computed densely."""
        return SparsePath(self)

    def is_local(self, mask: SemanticMask, size: tuple[int, int]) -> bool:
        """Return whether an output depends only on the same input position, so that `x` can be processed in parts."""
        return self.sparse.is_local(mask, size)
