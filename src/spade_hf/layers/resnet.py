"""The residual block of the SPADE generator, and the upsampling before it (Park et al. 2019, figure 4, appendix A).

Legend: N batch, C channels (I in, O out), H W height and width.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..execution.cpu_products import convolve
from ..execution.plain_layers import has_hooks, is_plain_conv
from .initialization import LEAKY_SLOPE, conv2d
from .mask import SemanticMask
from .mask_reading import as_semantic_mask
from .parameter_free import NormType
from .spade import SPADE


def upsample(x: Tensor, scale: int) -> Tensor:
    """Upsample `(N, C, h, w)` to `(N, C, scale * h, scale * w)` by nearest neighbor."""
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="nearest")


class SPADEResnetBlock(nn.Module):
    """Two rounds of SPADE, LeakyReLU and convolution, with a skip that is learned if the width changes.

    Args:
        in_channels (`int`): I.
        out_channels (`int`): O.
        num_semantic_channels (`int`): Channels of the mask.
        spade_hidden_channels (`int`, defaults to 128): Width of the mask's hidden activation.
        spade_kernel_size (`int`, defaults to 3): 1, 3 or 5.
        norm_type (`str`, defaults to `"sync_batch"`): `"sync_batch"`, `"batch"` or `"instance"`.
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm on this block's own convolutions, not on SPADE's.
        build_norm (`Callable[[int, int], nn.Module]`, *optional*): Builds a norm that is called like [`SPADE`] from
            the channels of the activation and of the mask. Default: SPADE with `norm_type` and the `spade_` options.
    """

    halo = 2  # receptive-field radius of the two 3x3 convolutions

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_semantic_channels: int,
        *,
        spade_hidden_channels: int = 128,
        spade_kernel_size: int = 3,
        norm_type: NormType = "sync_batch",
        use_spectral_norm: bool = True,
        build_norm: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.num_semantic_channels = num_semantic_channels
        middle_channels = min(in_channels, out_channels)
        if build_norm is None:
            spade_options = {"hidden_channels": spade_hidden_channels, "kernel_size": spade_kernel_size}
            build_norm = partial(SPADE, **spade_options, norm_type=norm_type)
        self.norm1 = build_norm(in_channels, num_semantic_channels)
        self.conv1 = conv2d(in_channels, middle_channels, 3, padding=1, use_spectral_norm=use_spectral_norm)
        self.norm2 = build_norm(middle_channels, num_semantic_channels)
        self.conv2 = conv2d(middle_channels, out_channels, 3, padding=1, use_spectral_norm=use_spectral_norm)
        self.has_learned_shortcut = in_channels != out_channels
        if self.has_learned_shortcut:
            self.norm_shortcut = build_norm(in_channels, num_semantic_channels)
            self.conv_shortcut = conv2d(in_channels, out_channels, 1, bias=False, use_spectral_norm=use_spectral_norm)

    def forward(self, x: Tensor, mask: SemanticMask | Tensor) -> Tensor:
        """Modulate, activate and convolve twice, and add the skip.

        Args:
            x (`Tensor`): `(N, I, H, W)`.
            mask (`Tensor` or `SemanticMask`): As in [`SPADE`].

        Returns:
            `Tensor`: `(N, O, H, W)`.

        Raises:
            ValueError: If the mask's ids, shape or type do not fit the block.
        """
        if isinstance(mask, Tensor):  # the block is used alone; a generator reads its mask once for all blocks
            mask = as_semantic_mask(mask, x, num_channels=self.num_semantic_channels)
        # the skip is modulated like the residual, but not activated
        shortcut = self.conv_shortcut(self.norm_shortcut(x, mask)) if self.has_learned_shortcut else x  # (N, O, H, W)
        x = convolve(self.conv1, self.norm1(x, mask, negative_slope=LEAKY_SLOPE))  # (N, min(I, O), H, W)
        x = convolve(self.conv2, self.norm2(x, mask, negative_slope=LEAKY_SLOPE))  # (N, O, H, W)
        return shortcut + x  # (N, O, H, W)

    def is_local(self, mask: SemanticMask, size: tuple[int, int]) -> bool:
        """Return whether the output at a position depends only on the input within `halo` positions of it."""
        convs: list[nn.Module] = [self.conv1, self.conv2]
        norms: list[Any] = [self.norm1, self.norm2]
        if self.has_learned_shortcut:
            convs, norms = [*convs, self.conv_shortcut], [*norms, self.norm_shortcut]
        # hooks and replaced convolutions get whole activations; a norm without `is_local` can need them for statistics
        if any(map(has_hooks, self.modules())) or not all(map(is_plain_conv, convs)):
            return False
        return all(hasattr(norm, "is_local") and norm.is_local(mask, size) for norm in norms)
