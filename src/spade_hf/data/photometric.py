"""Random changes of an image's light, colors and sharpness, which leave its label map as it is.

Legend: N images, I image channels, H W height and width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


# Standard deviations of logarithms: of the image's gain, of each channel's, of contrast, and of the exponent of gamma
BRIGHTNESS, TINT, CONTRAST, GAMMA = 0.3, 0.15, 0.3, 0.3
SATURATION = 1.6  # the largest factor of the distance from gray
GRAY_SHARE, BLUR_SHARE, NOISE_SHARE = 0.1, 0.3, 0.3  # of images
BLUR, NOISE = 3.0, 0.06  # the largest factor by which an image is reduced and enlarged; standard deviation in [0, 1]


def in_random_light(images: Tensor, rng: torch.Generator, *, brightness: float, tint: float) -> Tensor:
    """Scale images `(N, I, H, W)` in [-1, 1], of which black stays black.

    Args:
        images (`Tensor`): The images.
        rng (`torch.Generator`): Source of the gains.
        brightness, tint (`float`): Standard deviations of the logarithms of the gains of an image and of its channels.
    """
    gains = torch.randn(len(images), 1, 1, 1, generator=rng) * brightness  # logarithms
    gains = gains + torch.randn(*images.shape[:2], 1, 1, generator=rng) * tint  # (N, I, 1, 1)
    return ((images + 1) * gains.exp() - 1).clamp(-1, 1)


def distort(image: Tensor, rng: torch.Generator) -> Tensor:
    """Change brightness, tint, gamma, contrast and saturation, and sometimes take colors or detail away, or add noise.

    Args:
        image (`Tensor`): `(I, H, W)` in [-1, 1].
        rng (`torch.Generator`): The same state gives the same image.
    """
    # all draws but those of the light and the noise at once, so that none shifts another
    contrast, gamma = torch.randn(2, generator=rng).tolist()
    saturation, gray, blur, reduction, noise, noise_level = torch.rand(6, generator=rng).tolist()
    image = in_random_light(image[None], rng, brightness=BRIGHTNESS, tint=TINT)[0]
    image = (image / 2 + 0.5).pow(math.exp(GAMMA * gamma))  # in [0, 1] from here on
    # Saturation, then contrast around the mean of each channel
    luminance = image.mean(dim=0, keepdim=True)  # (1, H, W)
    image = luminance + (image - luminance) * (0.0 if gray < GRAY_SHARE else SATURATION * saturation)
    mean = image.mean(dim=(1, 2), keepdim=True)  # (I, 1, 1)
    image = mean + (image - mean) * math.exp(CONTRAST * contrast)
    if blur < BLUR_SHARE:
        size = (image.shape[-2], image.shape[-1])
        small = [max(1, round(side / (1 + (BLUR - 1) * reduction))) for side in size]
        reduced = F.interpolate(image[None], small, mode="bilinear", antialias=True)
        image = F.interpolate(reduced, size, mode="bilinear")[0]
    if noise < NOISE_SHARE:
        image = image + NOISE * noise_level * torch.randn(image.shape, generator=rng)
    return image.clamp(0, 1) * 2 - 1
