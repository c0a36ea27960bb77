"""A discriminator on frozen ImageNet features, which are mixed across channels and scales with random weights.

Sources: the mixing of Projected GANs (Sauer et al. 2021, arXiv 2111.01007); a score of features and label together at
every position (Richter et al. 2021, arXiv 2105.04619).

Legend: N batch, C channels, I image channels, L semantic channels, H W height and width.
"""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ...features.standardized import StandardizedFeatures, as_buffers
from ...images.channels import check_image_channels
from ...layers.initialization import LEAKY_SLOPE, conv2d
from ..semantics import num_semantic_channels
from .base import Discriminator


STRIDES = (4, 8, 16, 32)
MIXED_MULT = (1, 2, 4, 8)  # widths of the mixed maps, in units of `base_channels`
HEAD_MULT = 2  # width of the heads, in the same unit
EMBEDDING_DEVIATION = 0.01  # initial deviation of the label embeddings: small, so that at first the image decides


class PatchHead(nn.Module):
    """Two 3x3 convolutions, then `w h + <e, h>` at each position, where e is the embedding of its labels.

    Args:
        in_channels (`int`): C of the map.
        hidden_channels (`int`): Channels of h.
        num_semantic_channels (`int`): L.
        use_spectral_norm (`bool`): Spectral norm on the two convolutions.
    """

    mask_weights = ("embed.weight",)

    def __init__(
        self, in_channels: int, hidden_channels: int, num_semantic_channels: int, *, use_spectral_norm: bool
    ) -> None:
        super().__init__()
        self.conv1 = conv2d(in_channels, hidden_channels, 3, padding=1, use_spectral_norm=use_spectral_norm)
        self.conv2 = conv2d(hidden_channels, hidden_channels, 3, padding=1, use_spectral_norm=use_spectral_norm)
        self.conv_out = conv2d(hidden_channels, 1, 3, padding=1)
        self.embed = nn.Conv2d(num_semantic_channels, hidden_channels, 1, bias=False)
        nn.init.normal_(self.embed.weight, std=EMBEDDING_DEVIATION)

    def forward(self, x: Tensor, segmap: Tensor) -> Tensor:
        """Map features `(N, C, h, w)` and masks `(N, L, H, W)` to logits `(N, 1, h, w)`, of the weights' type."""
        hidden = F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), LEAKY_SLOPE)), LEAKY_SLOPE)  # (N, C', h, w)
        with torch.autocast(x.device.type, enabled=False):
            hidden = hidden.to(self.embed.weight.dtype)  # float32 in mixed precision
            segmap = segmap.to(hidden.dtype)
            shares = F.interpolate(segmap, hidden.shape[-2:], mode="area")  # (N, L, h, w), of each label
            # is it real (w h), and is it real for these labels (<e, h>)
            return self.conv_out(hidden) + (self.embed(shares) * hidden).sum(dim=1, keepdim=True)  # (N, 1, h, w)


class ProjectedDiscriminator(Discriminator):
    """A discriminator that judges mask and image together, with one head on each of four scales of frozen features.

    Args:
        num_labels (`int`): Classes, without unknown and edges.
        use_unknown_label (`bool`, defaults to `False`): As in the generator.
        use_instance_edges (`bool`, defaults to `False`): As in the generator.
        base_channels (`int`, defaults to 64): Width of the finest mixed map. Each coarser map has twice the channels
            of the previous one; each head has twice `base_channels`.
        backbone (`str`, defaults to `"efficientnet-lite0"`): The network of the features; see
            [`~ProjectedDiscriminator.prepare_backbone`].
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm on the heads, except the layers of the logits.
        image_channels (`int`, defaults to 3): I, channels of the images; of others than 3, the network of the features
            sees three, see [`StandardizedFeatures`].
        condition_channels (`int`, defaults to 0): As in the generator.
    """

    @register_to_config
    def __init__(
        self,
        *,
        num_labels: int,
        use_unknown_label: bool = False,
        use_instance_edges: bool = False,
        base_channels: int = 64,
        backbone: str = "efficientnet-lite0",
        use_spectral_norm: bool = True,
        image_channels: int = 3,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        check_image_channels(image_channels)
        self.image_channels = image_channels
        self.frozen_features = StandardizedFeatures(backbone, STRIDES)
        widths = [base_channels * factor for factor in MIXED_MULT]
        # Random, frozen and saved: they make all directions of the features count, not only the easy ones.
        self.mix_channels = nn.ModuleList(
            _frozen_mixing(channels, width)
            for channels, width in zip(self.frozen_features.channels, widths, strict=True)
        )
        self.mix_scales = nn.ModuleList(
            _frozen_mixing(deep, width) for deep, width in zip(widths[1:], widths[:-1], strict=True)
        )
        semantic = num_semantic_channels(num_labels, use_unknown_label, use_instance_edges, condition_channels)
        self.heads = nn.ModuleList(
            PatchHead(width, HEAD_MULT * base_channels, semantic, use_spectral_norm=use_spectral_norm)
            for width in widths
        )

    def prepare_backbone(self, images: Tensor) -> None:
        """Load the features' ImageNet weights and standardize them; see [`StandardizedFeatures`].

        Args:
            images (`Tensor`): Some real images, `(N, I, H, W)` in [-1, 1].
        """
        self.frozen_features.prepare(images)

    def score(self, segmap: Tensor, images: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """See [`Discriminator.score`]: logits of the four heads, finest first; the deepest mixed map alone.

        Mixed precision leaves the logits in the weights' float32.
        """
        maps = self.mix(images)  # (N, C, H / s, W / s) for s of 4, 8, 16, 32
        logits = [head(features, segmap) for head, features in zip(self.heads, maps, strict=True)]  # (N, 1, H/s, W/s)
        return logits, [[maps[-1]]]

    def mix(self, images: Tensor) -> list[Tensor]:
        """Compute the mixed maps `(N, C, h, w)` of images, fine to coarse, each with about unit variance."""
        # Across channels: (N, C, H / s, W / s) for s of 4, 8, 16, 32.
        maps = [mix(features) for mix, features in zip(self.mix_channels, self.frozen_features(images), strict=True)]
        # Across scales: each coarser map is mixed into the next finer one.
        for level in reversed(range(len(maps) - 1)):
            below = F.interpolate(self.mix_scales[level](maps[level + 1]), maps[level].shape[-2:], mode="bilinear")
            maps[level] = (maps[level] + below) * 0.5**0.5  # a sum of two has twice the variance
        return maps


def _frozen_mixing(in_channels: int, out_channels: int) -> nn.Module:
    """Build a random 1x1 convolution that keeps the variance."""
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    nn.init.normal_(conv.weight, std=in_channels**-0.5)
    return as_buffers(conv)
