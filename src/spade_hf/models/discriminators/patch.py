"""The multi-scale PatchGAN discriminator of SPADE (Park et al. 2019, appendix A; pix2pixHD, Wang et al. 2018).

Legend: N batch, C channels, I image channels, L semantic channels, S scales, H W height and width.
"""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ...images.channels import check_image_channels
from ...layers.initialization import LEAKY_SLOPE, conv2d
from ..semantics import num_semantic_channels
from .base import Discriminator


MAX_WIDTH = 512


class NLayerDiscriminator(nn.Module):
    """One PatchGAN: 4x4 convolutions with padding 2, and stride 2 except in the last two.

    Args:
        in_channels (`int`): Mask and image channels together.
        base_channels (`int`, defaults to 64): Width of the first layer; it doubles with each layer, up to 512.
        num_layers (`int`, defaults to 4): Number of convolutions before the logits.
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm on the layers between the first and the last.
    """

    mask_weights = ("conv_in.weight",)

    def __init__(
        self, in_channels: int, *, base_channels: int = 64, num_layers: int = 4, use_spectral_norm: bool = True
    ) -> None:
        super().__init__()
        widths = [min(base_channels * 2**layer, MAX_WIDTH) for layer in range(num_layers)]
        self.conv_in = conv2d(in_channels, widths[0], 4, stride=2, padding=2)
        self.convs = nn.ModuleList(
            # no bias: the instance norm that follows would remove it
            conv2d(
                widths[layer - 1],
                widths[layer],
                4,
                stride=1 if layer == num_layers - 1 else 2,
                padding=2,
                bias=False,
                use_spectral_norm=use_spectral_norm,
            )
            for layer in range(1, num_layers)
        )
        self.conv_out = conv2d(widths[-1], 1, 4, padding=2)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map `x` `(N, C, H, W)` to logits `(N, 1, H', W')` and the outputs of the previous layers."""
        features = [F.leaky_relu(self.conv_in(x), LEAKY_SLOPE)]  # (N, C, H / 2 + 1, W / 2 + 1)
        for conv in self.convs:  # half the size each, except the last
            features.append(F.leaky_relu(F.instance_norm(conv(features[-1])), LEAKY_SLOPE))
        return self.conv_out(features[-1]), features  # (N, 1, H', W'), num_layers maps


class MultiscaleDiscriminator(Discriminator):
    """A discriminator that judges mask and image together, at full size and at repeatedly halved sizes.

    Args:
        num_labels (`int`): Classes, without unknown and edges.
        use_unknown_label (`bool`, defaults to `False`): As in the generator.
        use_instance_edges (`bool`, defaults to `False`): As in the generator.
        base_channels (`int`, defaults to 64): Width of the first layer.
        num_layers (`int`, defaults to 4): Number of convolutions before the logits, per scale.
        num_scales (`int`, defaults to 2): S.
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm on the layers between the first and the last.
        image_channels (`int`, defaults to 3): I, channels of the images.
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
        num_layers: int = 4,
        num_scales: int = 2,
        use_spectral_norm: bool = True,
        image_channels: int = 3,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        check_image_channels(image_channels)
        self.image_channels = image_channels
        if num_layers < 2 or num_scales < 1:
            raise ValueError(
                f"`num_layers` is {num_layers} and `num_scales` {num_scales}; they must be at least 2 and 1."
            )
        in_channels = image_channels + num_semantic_channels(
            num_labels, use_unknown_label, use_instance_edges, condition_channels
        )
        self.scales = nn.ModuleList(
            NLayerDiscriminator(
                in_channels,
                base_channels=base_channels,
                num_layers=num_layers,
                use_spectral_norm=use_spectral_norm,
            )
            for _ in range(num_scales)
        )

    def score(self, segmap: Tensor, images: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """See [`Discriminator.score`]: logits `(N, 1, H', W')` per scale, and the activations of its other layers."""
        logits, features = [], []
        for scale, discriminator in enumerate(self.scales):
            if scale > 0:  # halved; pooled separately, because the mask needs no gradient
                segmap, images = (
                    F.avg_pool2d(maps, 3, stride=2, padding=1, count_include_pad=False) for maps in (segmap, images)
                )  # (N, L, H / 2^scale, W / 2^scale), (N, I, H / 2^scale, W / 2^scale)
            scale_logits, scale_features = discriminator(torch.cat([segmap, images], dim=1))  # of (N, L + I, H, W)
            logits.append(scale_logits)
            features.append(scale_features)
        return logits, features
