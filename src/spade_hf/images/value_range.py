"""How numbers of images map to [0, 1], and back: by their type, or by a range in the units of the data.

Legend: I image channels, H W height and width.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch


ValueRange = tuple[float, float]


class ValueOptions(NamedTuple):
    """Names of the options that say what the numbers of images are, for messages."""

    channels: str = "image_channels"
    value_range: str = "value_range"


OF_IMAGES, OF_CONDITIONS = ValueOptions(), ValueOptions("condition_channels", "condition_range")
WHITE = {torch.uint8: 255, torch.uint16: 65535}  # of numbers without a range


def check_value_range(value_range: Any, name: str = OF_IMAGES.value_range) -> ValueRange | None:
    """Return a range as a pair of numbers, or `None`; raise a ValueError unless the first is the smaller one."""
    if value_range is None:
        return None
    is_pair = isinstance(value_range, Sequence) and not isinstance(value_range, str) and len(value_range) == 2
    if not is_pair or not all(isinstance(one, int | float) and math.isfinite(one) for one in value_range):
        raise ValueError(f"`{name}` is {value_range!r}; give two numbers, the values of black and of white.")
    low, high = value_range
    if low >= high:
        raise ValueError(
            f"`{name}` is {low:g} to {high:g}, which holds no values; the first number, of black, must be the "
            "smaller one."
        )
    return float(low), float(high)


def scale_values(
    values: torch.Tensor, value_range: ValueRange | None, *, argument: str, options: ValueOptions = OF_IMAGES
) -> tuple[torch.Tensor, float]:
    """Map numbers to [0, 1].

    Args:
        values (`torch.Tensor`): Of any shape and type.
        value_range (`tuple[float, float]`, *optional*): The numbers that become 0 and 1; others are clipped. Default:
            by type, where uint8 are in 0..255, uint16 in 0..65535 and floats in [0, 1].
        argument (`str`): For messages, what has these values.
        options (`ValueOptions`, *optional*): For messages, the options of its values.

    Returns:
        `tuple`: float32 of the same shape, and the share of the numbers that were clipped.

    Raises:
        ValueError: If a number is NaN or infinite; if the type needs a range, a float is outside [0, 1] without one,
            or numbers of 8 bits cannot fill the range.
    """
    if values.is_floating_point():
        _check_finite(values, argument)
    if value_range is not None:
        low, high = value_range
        if values.dtype == torch.uint8 and high > 255:
            raise ValueError(
                f"{argument} has 8 bits, so values up to 255, but `{options.value_range}` is {low:g} to {high:g}. "
                "Save all images with the same number of bits, or give the range that they have."
            )
        scaled = (values.double() - low) / (high - low)  # float64: 32-bit numbers fit
        clipped = ((scaled < 0) | (scaled > 1)).sum().item()
        return scaled.clamp_(0, 1).float(), clipped / values.numel()
    if (white := WHITE.get(values.dtype)) is not None:
        return values.float() / white, 0.0
    if not values.is_floating_point():
        raise unknown_type(values.dtype, argument, options)
    pixels = values.float()
    low, high = pixels.min().item(), pixels.max().item()
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"{argument} has values in [{low:.4g}, {high:.4g}]; floats must be in [0, 1]. Rescale it, or give "
            f"`{options.value_range}`, the values of black and white."
        )
    return pixels, 0.0


def unscale_values(scaled: Any, value_range: ValueRange | None) -> Any:
    """Map an array or tensor of [0, 1] to the units of the data, float32: the inverse of [`scale_values`]."""
    low, high = value_range or (0.0, 1.0)
    if isinstance(scaled, np.ndarray):
        return (scaled.astype(np.float64) * (high - low) + low).astype(np.float32)
    return (scaled.double() * (high - low) + low).float()


def stored_type(value_range: ValueRange | None) -> np.dtype:
    """Return the type of a file's numbers: the smallest of uint8, uint16 and float32 that holds the range's.

    Without a range, or from 0 or more to 255, files have 8 bits; up to 65535, 16 bits. Ranges of less than 0..255, of
    fractions or with negative numbers are stored as floats.
    """
    low, high = value_range or (0, 255)
    is_whole = float(low).is_integer() and float(high).is_integer() and low >= 0 and high >= 255
    if not is_whole or high > 65535:
        return np.dtype(np.float32)
    return np.dtype(np.uint8 if high <= 255 else np.uint16)


def to_stored(scaled: torch.Tensor, value_range: ValueRange | None) -> np.ndarray:
    """Convert [0, 1] to the numbers of files, in the data's units; see [`stored_type`]."""
    dtype = stored_type(value_range)
    values = unscale_values(scaled, value_range or (0, 255)).cpu().numpy()
    return values if dtype == np.float32 else values.round().astype(dtype)


def unknown_type(dtype: Any, argument: str, options: ValueOptions = OF_IMAGES) -> ValueError:
    """Explain that an image has numbers of a type whose black and white are not known."""
    name = str(dtype).removeprefix("torch.")
    return ValueError(
        f"{argument} has dtype {name}; allowed are uint8 in 0..255, uint16 in 0..65535 and floats in [0, 1]. For "
        f"other integers, give `{options.value_range}`, the values of black and white."
    )


def _check_finite(values: torch.Tensor, argument: str) -> None:
    if values.isfinite().all():
        return
    num_nan = int(values.isnan().sum())
    num_infinite = int(values.isinf().sum())
    raise ValueError(
        f"{argument} has {num_nan} values that are NaN and {num_infinite} that are infinite, of {values.numel()}. "
        "Replace them before you save it."
    )
