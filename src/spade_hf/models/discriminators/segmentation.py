"""A discriminator that classifies each pixel as one of the labels, or as fake (Sushko et al. 2021, arXiv 2012.04781).

With a frozen encoder it follows the idea of DP-SIMS (Berrada et al. 2024, arXiv 2312.13314) with a small network.

Legend: N batch, C channels, L labels without unknown, H W height and width.
"""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ...features.standardized import StandardizedFeatures
from ...images.channels import check_image_channels
from ...layers.initialization import LEAKY_SLOPE, conv2d
from .base import Discriminator


ENCODER_MULT = (1, 2, 2, 4, 4)  # widths of the trained encoder, at strides 4, 8, 16, 32 and 64
STRIDES = (4, 8, 16, 32)  # of the frozen encoder
IMAGE_WIDTH = 16  # channels at stride 2 that read the image itself, for details that frozen features lack


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a 1x1 shortcut, without normalization: `(N, I, H, W)` to `(N, O, H, W)`."""

    def __init__(self, in_channels: int, out_channels: int, *, use_spectral_norm: bool) -> None:
        super().__init__()
        self.conv1 = conv2d(in_channels, out_channels, 3, padding=1, use_spectral_norm=use_spectral_norm)
        self.conv2 = conv2d(out_channels, out_channels, 3, padding=1, use_spectral_norm=use_spectral_norm)
        self.shortcut = conv2d(in_channels, out_channels, 1, bias=False, use_spectral_norm=use_spectral_norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, I, H, W)` to `(N, O, H, W)`."""
        out = self.conv1(F.leaky_relu(x, LEAKY_SLOPE))  # (N, O, H, W)
        return self.shortcut(x) + self.conv2(F.leaky_relu(out, LEAKY_SLOPE))


class Encoder(nn.Module):
    """Residual blocks that halve the size, trained from scratch."""

    def __init__(self, base_channels: int, *, use_spectral_norm: bool) -> None:
        super().__init__()
        self.channels = [base_channels * factor for factor in ENCODER_MULT]
        self.blocks = nn.ModuleList(
            ResidualBlock(before, width, use_spectral_norm=use_spectral_norm)
            for before, width in zip([IMAGE_WIDTH, *self.channels[:-1]], self.channels, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map `(N, IMAGE_WIDTH, H / 2, W / 2)` to one map per block, each half the size of the previous map."""
        maps = []
        for block in self.blocks:
            x = F.avg_pool2d(block(x), 2, ceil_mode=True)  # (N, C, ceil(H / 2), ceil(W / 2))
            maps.append(x)
        return maps


class SegmentationDiscriminator(Discriminator):
    """A U-Net that classifies each pixel: as its label in real images, as fake in fake images.

    It never sees the mask: a fake image passes if its pixels are classified as the mask's labels. The logits are
    computed at half the image size, then upsampled.

    Args:
        num_labels (`int`): L, without unknown and edges.
        use_unknown_label (`bool`, defaults to `False`): As in the generator; unknown is not a class here.
        use_instance_edges (`bool`, defaults to `False`): As in the generator; recorded for those who load both.
        base_channels (`int`, defaults to 64): Width of the encoder's first block and the decoder's last; 128 in the
            paper. With a frozen encoder, the width of every block of the decoder.
        backbone (`str`, *optional*): A frozen encoder of ImageNet features, "efficientnet-lite0"; see
            [`~SegmentationDiscriminator.prepare_backbone`]. Default: an encoder that is trained as well.
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm on all trained layers except the last.
        image_channels (`int`, defaults to 3): I, channels of the images.
        condition_channels (`int`, defaults to 0): As in the generator; recorded for those who load both.
    """

    label_outputs = ("conv_out.weight", "conv_out.bias")  # one row per label, then one for fake

    @register_to_config
    def __init__(
        self,
        *,
        num_labels: int,
        use_unknown_label: bool = False,
        use_instance_edges: bool = False,
        base_channels: int = 64,
        backbone: str | None = None,
        use_spectral_norm: bool = True,
        image_channels: int = 3,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        check_image_channels(image_channels)
        self.image_channels = image_channels
        if num_labels < 1:
            raise ValueError(f"`num_labels` is {num_labels}; a model needs at least one label to classify pixels by.")
        norm = {"use_spectral_norm": use_spectral_norm}
        self.conv_image = conv2d(image_channels, IMAGE_WIDTH, 3, stride=2, padding=1, **norm)
        if backbone is None:
            self.encoder = Encoder(base_channels, **norm)
            widths = [base_channels, *self.encoder.channels[:-1]]
        else:
            self.frozen_features = StandardizedFeatures(backbone, STRIDES)
            widths = [base_channels] * len(self.frozen_features.channels)
        channels = (self.encoder if backbone is None else self.frozen_features).channels
        before = [*widths[1:], channels[-1]]  # channels from the level below; the deepest block gets the deepest map
        skips = [IMAGE_WIDTH, *channels[:-1]]
        self.ups = nn.ModuleList(
            ResidualBlock(deep + skip, width, **norm) for deep, skip, width in zip(before, skips, widths, strict=True)
        )
        self.conv_out = conv2d(base_channels, num_labels + 1, 1)

    def prepare_backbone(self, images: Tensor) -> None:
        """Load the frozen encoder's ImageNet weights and standardize it; see [`StandardizedFeatures`].

        Args:
            images (`Tensor`): Some real images, `(N, image_channels, H, W)` in [-1, 1].
        """
        if self.config.backbone is not None:
            self.frozen_features.prepare(images)

    def read_labels(
        self,
        segmap: Tensor | None,
        instance_edges: Tensor | None,
        *,
        dtype: torch.dtype,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return the masks as they are: their labels are the loss's concern."""
        if segmap is None:
            raise ValueError("`segmap` is missing: this discriminator classifies pixels by label. Pass the labels.")
        return segmap

    def score(self, segmap: Tensor, images: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """See [`Discriminator.score`]: logits `(N, L + 1, H, W)`, the last channel for fake; no features.

        Mixed precision leaves the logits in the weights' float32.
        """
        # Down, from stride 2 to the deepest map.
        skips = [self.conv_image(images)]  # (N, IMAGE_WIDTH, H / 2, W / 2)
        skips += self.encoder(skips[0]) if self.config.backbone is None else self.frozen_features(images)
        # Up again, each level beside the map of its size.
        x = skips.pop()
        for up, skip in zip(reversed(self.ups), reversed(skips), strict=True):
            x = up(torch.cat([F.interpolate(x, skip.shape[-2:]), skip], dim=1))  # (N, C, size of `skip`)
        # Classify; cross-entropy is sensitive to rounding.
        with torch.autocast(images.device.type, enabled=False):
            x = x.to(self.conv_out.weight.dtype)  # float32 in mixed precision
            logits = self.conv_out(F.leaky_relu(x, LEAKY_SLOPE))  # (N, L + 1, H / 2, W / 2)
            logits = F.interpolate(logits, images.shape[-2:], mode="bilinear")  # (N, L + 1, H, W)
        return [logits], []


def class_numbers(channels: Tensor, *, num_labels: int, unknown_channel: int | None) -> Tensor:
    """Convert semantic channels to the numbers of their logits: the classes in order, without unknown.

    Args:
        channels (`Tensor`): int, of any shape, in `0..L - 1`, or `0..L` with unknown.
        num_labels (`int`): L.
        unknown_channel (`int`, *optional*): The channel of pixels without class; see [`LabelSet`].

    Returns:
        `Tensor`: int64, the same shape, in `0..L - 1`; L, where the logit of fake is, for unknown.
    """
    if unknown_channel is None:
        return channels.long()
    numbers = channels.long() - (channels > unknown_channel).long()
    return numbers.masked_fill(channels == unknown_channel, num_labels)
