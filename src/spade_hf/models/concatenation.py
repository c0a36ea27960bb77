"""The baseline of SPADE's ablation: the same decoder with the mask concatenated (Park et al. 2019, section 4.3).

Legend: N batch, C channels (I in, O out), L semantic channels, H W height and width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import SemanticMask
from ..layers.initialization import LEAKY_SLOPE, conv2d
from ..layers.parameter_free import NormType
from .generator import SPADEGenerator


class ConcatenationResnetBlock(nn.Module):
    """Two rounds of an ordinary norm, LeakyReLU, and a convolution of the activation concatenated with the mask.

    Args:
        in_channels (`int`): I.
        out_channels (`int`): O.
        num_semantic_channels (`int`): L.
        norm_type (`str`, defaults to `"sync_batch"`): `"sync_batch"`, `"batch"` or `"instance"`, with a learned scale
            and shift per channel.
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm on the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_semantic_channels: int,
        *,
        norm_type: NormType = "sync_batch",
        use_spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        middle_channels = min(in_channels, out_channels)

        def convolution(inputs: int, outputs: int, kernel_size: int, **options: bool) -> nn.Module:
            padding = kernel_size // 2
            options["use_spectral_norm"] = use_spectral_norm
            return conv2d(inputs + num_semantic_channels, outputs, kernel_size, padding=padding, **options)

        self.norm1, self.conv1 = _norm(norm_type, in_channels), convolution(in_channels, middle_channels, 3)
        self.norm2, self.conv2 = _norm(norm_type, middle_channels), convolution(middle_channels, out_channels, 3)
        self.has_learned_shortcut = in_channels != out_channels
        if self.has_learned_shortcut:
            self.norm_shortcut = _norm(norm_type, in_channels)
            self.conv_shortcut = convolution(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor, mask: SemanticMask) -> Tensor:
        """Map `x` `(N, I, H, W)` to `(N, O, H, W)`."""
        segmap = mask.for_every_image(mask.segmap_at((x.shape[-2], x.shape[-1])))  # (N, L, H, W)

        def beside_mask(x: Tensor) -> Tensor:
            return torch.cat([x, segmap], dim=1)

        # SPADEResnetBlock's order; the mask enters by the convolutions, of I + L channels, instead of by the norms
        shortcut = self.conv_shortcut(beside_mask(self.norm_shortcut(x))) if self.has_learned_shortcut else x
        x = self.conv1(beside_mask(F.leaky_relu(self.norm1(x), LEAKY_SLOPE)))  # (N, min(I, O), H, W)
        x = self.conv2(beside_mask(F.leaky_relu(self.norm2(x), LEAKY_SLOPE)))  # (N, O, H, W)
        return shortcut + x  # (N, O, H, W)

    def is_local(self, mask: SemanticMask, size: tuple[int, int]) -> bool:
        """Return False: the block always processes the whole image at once."""
        return False


class ConcatenationGenerator(SPADEGenerator):
    """A generator without SPADE, from label map and optional latent to image; blocks concatenate the mask.

    The arguments are those of [`SPADEGenerator`], so that both can be built from the same options. Those of the norm
    that reads the mask (`mask_norm`, `spade_hidden_channels`, `spade_kernel_size`) have no effect: there is none.
    """

    _no_split_modules = ["ConcatenationResnetBlock"]
    _repeated_blocks = ["ConcatenationResnetBlock"]

    def build_block(self, in_channels: int, out_channels: int, num_semantic_channels: int) -> nn.Module:
        """See [`SPADEGenerator.build_block`]."""
        return ConcatenationResnetBlock(
            in_channels,
            out_channels,
            num_semantic_channels,
            norm_type=self.config.norm_type,
            use_spectral_norm=self.config.use_spectral_norm,
        )


def _norm(norm_type: NormType, num_channels: int) -> nn.Module:
    return (nn.InstanceNorm2d if norm_type == "instance" else nn.BatchNorm2d)(num_channels, affine=True)
