"""The multi-scale PatchGAN discriminator of SPADE (Park et al. 2019, appendix A; pix2pixHD, Wang et al. 2018).

Legend: N batch, C channels, L semantic channels, S scales, H W height and width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from ..layers.initialization import LEAKY_SLOPE, conv2d
from .semantics import SemanticModelMixin, num_semantic_channels


MAX_WIDTH = 512


@dataclass
class MultiscaleDiscriminatorOutput(BaseOutput):
    """Output of a discriminator.

    Args:
        logits (`list[Tensor]`): One `(N, 1, H', W')` per scale, finest first, high means real; of a segmentation
            discriminator, one `(N, L + 1, H, W)` for L classes and "fake".
        features (`list[list[Tensor]]`): Per scale, the outputs to compare in feature matching; none of a segmentation
            discriminator.
    """

    logits: list[Tensor]
    features: list[list[Tensor]]


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
        features = [F.leaky_relu(self.conv_in(x), LEAKY_SLOPE)]
        for conv in self.convs:
            features.append(F.leaky_relu(F.instance_norm(conv(features[-1])), LEAKY_SLOPE))
        return self.conv_out(features[-1]), features


class MultiscaleDiscriminator(SemanticModelMixin):
    """A discriminator that judges mask and image together, at full size and at repeatedly halved sizes.

    Args:
        num_labels (`int`): Classes, without unknown and edges.
        use_unknown_label (`bool`, defaults to `False`): As in the generator.
        use_instance_edges (`bool`, defaults to `False`): As in the generator.
        base_channels (`int`, defaults to 64): Width of the first layer.
        num_layers (`int`, defaults to 4): Number of convolutions before the logits, per scale.
        num_scales (`int`, defaults to 2): S.
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm on the layers between the first and the last.
    """

    _no_split_modules = []

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
    ) -> None:
        super().__init__()
        if num_layers < 2 or num_scales < 1:
            raise ValueError(
                f"`num_layers` is {num_layers} and `num_scales` {num_scales}; they must be at least 2 and 1."
            )
        in_channels = 3 + num_semantic_channels(num_labels, use_unknown_label, use_instance_edges)
        self.scales = nn.ModuleList(
            NLayerDiscriminator(
                in_channels,
                base_channels=base_channels,
                num_layers=num_layers,
                use_spectral_norm=use_spectral_norm,
            )
            for _ in range(num_scales)
        )

    def forward(
        self,
        segmap: Tensor,
        images: Tensor,
        *,
        instance_edges: Tensor | None = None,
        return_dict: bool = True,
    ) -> MultiscaleDiscriminatorOutput | tuple[list[Tensor], list[list[Tensor]]]:
        """Judge images.

        Args:
            segmap (`Tensor`): int `(N, H, W)` of label channels, or float `(N, L, H, W)`.
            images (`Tensor`): `(N, 3, H, W)` in [-1, 1]. In training, pass fake and real images as one batch, or keep
                the singular vectors fixed in the second call, so that the same weights judge both.
            instance_edges (`Tensor`, *optional*): 0/1 `(N, H, W)`, required with label ids by a model with edges.
            return_dict (`bool`, defaults to `True`): Whether to return a [`MultiscaleDiscriminatorOutput`] or a tuple.

        Raises:
            ValueError: If mask and images do not fit each other or the model.
        """
        check_images(segmap, images)
        mask = self.read_mask(segmap, instance_edges, dtype=images.dtype)
        segmap = mask.segmap_at(mask.size)  # (N, L, H, W)
        logits, features = [], []
        for scale, discriminator in enumerate(self.scales):
            if scale > 0:  # pooled separately: the mask needs no gradient
                segmap, images = (
                    F.avg_pool2d(maps, 3, stride=2, padding=1, count_include_pad=False) for maps in (segmap, images)
                )
            scale_logits, scale_features = discriminator(torch.cat([segmap, images], dim=1))  # of (N, L + 3, H, W)
            logits.append(scale_logits)
            features.append(scale_features)
        return MultiscaleDiscriminatorOutput(logits, features) if return_dict else (logits, features)


def check_images(segmap: Tensor, images: Tensor) -> None:
    """Raise a ValueError unless images `(N, 3, H, W)` have the number and the size of the masks."""
    expected = (len(segmap), 3, *segmap.shape[-2:])
    if images.shape != expected:
        raise ValueError(
            f"`images` has shape {tuple(images.shape)}; with a mask of shape {tuple(segmap.shape)} it must be "
            f"{expected}."
        )
