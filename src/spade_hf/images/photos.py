"""Reads images of any number of channels: which numbers of a file are values, and how they are scaled.

RGB of 8 bits is the usual case: images of any mode are converted to it. With another number of channels, or a range of
values, an image's own numbers are read, and none is converted.

Legend: N images, I image channels, H W height and width.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import PIL.Image
import torch

from .inputs import COLOR_MODES, check_opaque, flatten, header_of, upright
from .photo_files import open_photo
from .value_range import OF_IMAGES, ValueOptions, ValueRange, scale_values, unknown_type


logger = logging.getLogger(__name__)
VALUE_MODES = ("1", "L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L", "I", "F")


def read_values(
    value: Any,
    argument: str,
    count: int,
    value_range: ValueRange | None,
    *,
    options: ValueOptions,
    on_clipped: Callable[[str, float], None] | None,
) -> list[torch.Tensor]:
    """Read images in any form, at their own sizes.

    Args:
        value: Images, arrays, tensors, paths, or a list of them.
        argument (`str`): For messages, what they are.
        count (`int`): I, their channels.
        value_range (`tuple[float, float]`, *optional*): See [`scale_values`].
        options (`ValueOptions`): For messages, the options of their values.
        on_clipped (`Callable`, *optional*): Called with the name of an image, and the share of its values that were
            clipped. Default: a warning in the log.

    Returns:
        `list[torch.Tensor]`: float32 `(I, H, W)` in [0, 1] each.
    """
    images: list[torch.Tensor] = []
    for one, name in flatten(value, argument, partial(open_photo, image_channels=count, options=options)):
        pixels, clipped = read_batch(one, name, image_channels=count, value_range=value_range, options=options)
        images.extend(pixels)
        if clipped and on_clipped is None:
            logger.warning("%s has %s", name, describe_clipped(clipped, value_range))
        elif clipped and on_clipped is not None:
            on_clipped(name, clipped)
    return images


def describe_clipped(share: float, value_range: ValueRange | None) -> str:
    """Describe the share of an image's values that were outside of a range."""
    low, high = value_range or (0.0, 1.0)
    return f"{share:.2%} of its values outside of {low:g} to {high:g}, which were clipped."


def read_batch(
    value: PIL.Image.Image | np.ndarray | torch.Tensor,
    argument: str,
    *,
    image_channels: int = 3,
    value_range: ValueRange | None = None,
    options: ValueOptions = OF_IMAGES,
) -> tuple[torch.Tensor, float]:
    """Read one image, or a batch of images; `options` names the options of its values in messages.

    Returns:
        `tuple`: float32 `(N, I, H, W)` in [0, 1], and the share of values that were outside of `value_range`.

    Raises:
        ValueError: If the mode, shape or type is wrong, a value is not finite, a float is outside [0, 1] without
            `value_range`, or a pixel is transparent; value ranges are never guessed.
    """
    if isinstance(value, PIL.Image.Image):
        image = upright(value, argument=argument)
        is_usual = image_channels == 3 and value_range is None
        value = (
            _rgb(image, argument) if is_usual else _own_values(image, argument, image_channels, value_range, options)
        )
    if isinstance(value, np.ndarray):
        if value.ndim == 2 and image_channels == 1:
            value = value[..., None]
        value = _without_opaque_alpha(value, image_channels)
        if value.ndim not in (3, 4) or value.shape[-1] != image_channels:
            raise ValueError(
                f"{argument} has shape {value.shape}; an array is (H, W, {image_channels}) or "
                f"(N, H, W, {image_channels})."
            )
        if value.dtype.kind not in "uif" or value.dtype.itemsize > 8 or value.dtype == np.uint64:
            raise unknown_type(value.dtype, argument, options)
        native = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("="))
        pixels = torch.from_numpy(native).movedim(-1, -3)  # (..., I, H, W)
    elif value.ndim in (3, 4) and value.shape[-3] == image_channels:
        pixels = value
    else:
        raise ValueError(
            f"{argument} has shape {tuple(value.shape)}; a tensor is ({image_channels}, H, W) or "
            f"(N, {image_channels}, H, W)."
        )
    if 0 in pixels.shape:
        raise ValueError(f"{argument} has shape {tuple(value.shape)}, which holds no pixel.")
    pixels, share = scale_values(pixels, value_range, argument=argument, options=options)
    return (pixels if pixels.ndim == 4 else pixels[None]), share  # (N, I, H, W)


def _rgb(image: PIL.Image.Image, argument: str) -> np.ndarray:
    """Convert to uint8 `(H, W, 3)`, or 16 bits, which `convert` would clip, to uint16."""
    check_opaque(image, argument)
    if image.mode.startswith("I;16"):
        return np.stack([np.array(image)] * 3, axis=-1)  # (H, W, 3)
    if image.mode in ("I", "F"):
        raise ValueError(
            f"{argument} has the PIL mode {image.mode!r}: 32 bits, whose white level is unknown. Save it with 8 or 16 "
            "bits."
        )
    return np.array(image.convert("RGB"))


def _own_values(
    image: PIL.Image.Image,
    argument: str,
    image_channels: int,
    value_range: ValueRange | None,
    options: ValueOptions,
) -> np.ndarray:
    """Return the numbers of an image of `image_channels` channels, `(H, W, I)`; nothing is converted."""
    if image.mode in ("P", "PA"):
        raise ValueError(f"{argument} is a palette image, whose numbers are no values. Save it as gray or color.")
    if image.mode not in VALUE_MODES:
        raise ValueError(f"{argument} has the PIL mode {image.mode!r}; allowed are {', '.join(VALUE_MODES)}.")
    if image.mode in ("I", "F") and value_range is None:
        raise ValueError(
            f"{argument} has the PIL mode {image.mode!r}: 32 bits, whose white level is unknown. Give "
            f"`{options.value_range}`, the values of black and white."
        )
    white = header_of(image).white
    if white not in (None, 255, 65535) and value_range is not None and image.mode in ("L", *COLOR_MODES):
        raise ValueError(
            f"{argument} stores values of 0..{white}, which Pillow spreads. Save it with 8 or 16 bits, or leave "
            f"`{options.value_range}` out."
        )
    if white == 65535 and image.mode in COLOR_MODES:
        raise ValueError(f"{argument} has colors of 16 bits, of which Pillow keeps 8. Give the file's path instead.")
    num_channels, bands = image_channels, image.getbands()
    if bands[-1] == "A" and len(bands) == image_channels + 1:
        check_opaque(image, argument)
        num_channels += 1
    if len(bands) != num_channels:
        raise ValueError(
            f"{argument} has {len(bands)} channels (PIL mode {image.mode!r}), but "
            f"`{options.channels}` is {image_channels}. Convert it, or give the number of channels of all images."
        )
    if "transparency" in image.info:
        check_opaque(image, argument)
    values = np.array(image.convert("L") if image.mode == "1" else image)
    return np.atleast_3d(values)[..., :image_channels]  # (H, W, I)


def _without_opaque_alpha(values: np.ndarray, image_channels: int) -> np.ndarray:
    """Leave out the fourth channel of RGBA of 16 bits, which [`open_photo`] reads, if it is opaque."""
    if image_channels == 3 and values.dtype == np.uint16 and values.shape[-1] == 4 and (values[..., 3] == 65535).all():
        return values[..., :3]
    return values
