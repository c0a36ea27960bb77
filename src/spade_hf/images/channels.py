"""Images of any number of channels, as people look at them.

Legend: N images, I image channels, H W height and width.
"""

from collections.abc import Sequence
from typing import Any

import PIL.Image
import torch
from diffusers.image_processor import VaeImageProcessor

from .value_range import OF_CONDITIONS, check_value_range


def as_shown(images: torch.Tensor, channels: Sequence[int] | None = None) -> torch.Tensor:
    """Show images in RGB: gray as gray, RGB as it is, others by three of their channels.

    Args:
        images (`torch.Tensor`): `(N, I, H, W)` of any type.
        channels (`Sequence[int]`, *optional*): The channels to show as red, green and blue, of images that have
            neither 1 nor 3, or are to be shown otherwise. Default: the first three, the last one of two twice.

    Returns:
        `torch.Tensor`: `(N, 3, H, W)` of the same type.
    """
    count = images.shape[1]
    if channels is None and count == 3:
        return images
    if channels is None:
        channels = [min(number, count - 1) for number in range(3)]  # gray: (0, 0, 0)
    return images[:, list(channels)]


def to_rgb_images(images: torch.Tensor) -> list[PIL.Image.Image]:
    """Convert `(N, 3, H, W)` in [-1, 1] to images of 8 bits."""
    converted: Any = VaeImageProcessor(vae_scale_factor=1).postprocess(images, output_type="pil")
    return converted


def check_image_channels(image_channels: int) -> None:
    """Raise a ValueError unless images have at least one channel."""
    if not isinstance(image_channels, int) or image_channels < 1:
        raise ValueError(
            f"`image_channels` is {image_channels!r}; images have at least one channel: 1 for gray, 3 for RGB."
        )


def check_display_channels(channels: Sequence[int] | None, image_channels: int) -> None:
    """Raise a ValueError unless these are three channels of the images."""
    if channels is None:
        return
    are_three = isinstance(channels, list | tuple) and len(channels) == 3
    if not are_three or not all(isinstance(one, int) and 0 <= one < image_channels for one in channels):
        raise ValueError(
            f"`display_channels` is {channels!r}; give three numbers in 0..{image_channels - 1}: the channels to "
            "show as red, green and blue."
        )


def check_condition(condition_channels: Any, condition_range: Any) -> None:
    """Raise a ValueError unless these are a number of channels, 0 for none, and the range of their values."""
    if not isinstance(condition_channels, int) or condition_channels < 0:
        raise ValueError(f"`condition_channels` is {condition_channels!r}; give 0 for none, or the number of planes.")
    check_value_range(condition_range, OF_CONDITIONS.value_range)
    if condition_range is not None and condition_channels == 0:
        raise ValueError("`condition_range` was given, but `condition_channels` is 0: there are none. Leave it out.")
