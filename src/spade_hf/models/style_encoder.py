"""The style (image) encoder of SPADE's multi-modal synthesis (Park et al. 2019, section 3 and figure 14).

Legend: N batch, C channels, I image channels, H W height and width, Z latent.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from ..images.channels import check_image_channels
from ..layers.initialization import LEAKY_SLOPE, conv2d, linear
from .modeling_utils import SPADEModelMixin


class DiagonalGaussianDistribution:
    """The posterior q(z | image), a normal distribution with independent dimensions.

    Args:
        mean (`Tensor`): `(N, Z)`.
        logvar (`Tensor`): `(N, Z)`, logarithm of the variance.
    """

    def __init__(self, mean: Tensor, logvar: Tensor) -> None:
        self.mean, self.logvar = mean, logvar

    def sample(self, generator: torch.Generator | list[torch.Generator] | None = None) -> Tensor:
        """Draw z `(N, Z)` by the reparametrization trick, so that gradients reach mean and variance."""
        # drawn in float32, so that a seed is the same noise in every type of weights
        noise = randn_tensor(self.mean.shape, generator=generator, device=self.mean.device, dtype=torch.float32)
        return self.mean + noise.to(self.mean.dtype) * torch.exp(0.5 * self.logvar)

    def mode(self) -> Tensor:
        """Return the most likely z `(N, Z)`: the mean."""
        return self.mean

    def kl(self) -> Tensor:
        """Compute the KL divergence from the standard normal prior `(N,)`, in nats."""
        # per dimension: (mean^2 + var - 1 - log var) / 2
        return 0.5 * (self.mean.square() + self.logvar.exp() - 1 - self.logvar).sum(dim=1)  # (N,)


@dataclass
class SPADEStyleEncoderOutput(BaseOutput):
    """Output of [`SPADEStyleEncoder`].

    Args:
        latent_dist (`DiagonalGaussianDistribution`): The posterior, with `mode()` and `sample(generator)` `(N, Z)`.
    """

    latent_dist: DiagonalGaussianDistribution


class SPADEStyleEncoder(SPADEModelMixin):
    """An encoder that maps a style image to a distribution over latents.

    Args:
        image_size (`int`, defaults to 256): Images are resized to this square before encoding.
        base_channels (`int`, defaults to 64): Width of the first convolution.
        channel_mult (`tuple[float, ...]`, defaults to `(1, 2, 4, 8, 8, 8)`): Width of each stride-2 convolution as a
            multiple of `base_channels`.
        latent_dim (`int`, defaults to 256): Z.
        use_spectral_norm (`bool`, defaults to `True`): Spectral norm on the convolutions. `fuse_spectral_norm` sets it
            to `False`.
        image_channels (`int`, defaults to 3): I, channels of the images.
    """

    _no_split_modules = []

    @register_to_config
    def __init__(
        self,
        *,
        image_size: int = 256,
        base_channels: int = 64,
        channel_mult: tuple[float, ...] = (1, 2, 4, 8, 8, 8),
        latent_dim: int = 256,
        use_spectral_norm: bool = True,
        image_channels: int = 3,
    ) -> None:
        super().__init__()
        check_image_channels(image_channels)
        divisor = 2 ** len(channel_mult)
        if image_size < 2 * divisor or image_size % divisor:
            raise ValueError(
                f"`image_size` is {image_size}; with {len(channel_mult)} convolutions it must be a multiple of "
                f"{divisor}, and at least {2 * divisor}, so that instance norm has several positions at the end."
            )
        widths = [image_channels, *(round(base_channels * mult) for mult in channel_mult)]
        if min(widths) < 1:
            raise ValueError(
                f"`base_channels` is {base_channels}; with `channel_mult` {channel_mult} a convolution has no "
                "channels. Increase either."
            )
        self.convs = nn.ModuleList(
            # no bias: the instance norm that follows would remove it
            conv2d(i, o, 3, stride=2, padding=1, bias=False, use_spectral_norm=use_spectral_norm)
            for i, o in zip(widths[:-1], widths[1:], strict=True)
        )
        features = widths[-1] * (image_size // divisor) ** 2
        self.linear_mean = linear(features, latent_dim)
        self.linear_logvar = linear(features, latent_dim)

    def forward(self, images: Tensor, *, return_dict: bool = True) -> SPADEStyleEncoderOutput | tuple[Tensor, Tensor]:
        """Encode images.

        Args:
            images (`Tensor`): `(N, I, H, W)` in [-1, 1], of any size.
            return_dict (`bool`, defaults to `True`): Whether to return a [`SPADEStyleEncoderOutput`] or the tuple
                (mean, logvar), each `(N, Z)`.

        Raises:
            ValueError: If `images` is not `(N, I, H, W)`.
        """
        channels = self.config.image_channels
        if images.ndim != 4 or images.shape[1] != channels:
            raise ValueError(
                f"`images` has shape {tuple(images.shape)}; the style encoder reads (N, {channels}, H, W)."
            )
        size = (self.config.image_size, self.config.image_size)
        x = images
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)  # (N, I, *size)
        # Down: each convolution halves the size.
        for conv in self.convs:
            x = F.leaky_relu(F.instance_norm(conv(x)), LEAKY_SLOPE)  # (N, C, H / 2, W / 2)
        # The posterior: two linear layers read the last map, position by position.
        x = x.flatten(1)  # (N, C * H * W)
        mean, logvar = self.linear_mean(x), self.linear_logvar(x)  # (N, Z) each
        if not return_dict:
            return mean, logvar
        return SPADEStyleEncoderOutput(latent_dist=DiagonalGaussianDistribution(mean, logvar))
