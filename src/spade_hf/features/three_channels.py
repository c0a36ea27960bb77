"""What networks that were trained on RGB see of images with other numbers of channels.

Legend: N images, I image channels, H W height and width.
"""

import functools

import torch
from torch import Tensor


def as_three_channels(images: Tensor) -> Tensor:
    """Convert images to three channels: RGB as it is, gray repeated, others mixed with fixed weights.

    The weights are random, from a fixed seed: nonnegative and with a sum of 1 for each of the three channels, so that
    values stay in their range, and equal values stay equal.

    Args:
        images (`Tensor`): Floats `(N, I, H, W)`.

    Returns:
        `Tensor`: `(N, 3, H, W)`; of RGB, the same object.
    """
    count = images.shape[1]
    if count == 3:
        return images
    if count == 1:
        return images.expand(-1, 3, -1, -1)
    return torch.einsum("ri,nihw->nrhw", images.new_tensor(mixing_weights(count)), images)


@functools.cache
def mixing_weights(image_channels: int) -> tuple[tuple[float, ...], ...]:
    """Return the weights of each of three channels, `(3, I)`: the same in every process and version."""
    draws = torch.rand(3, image_channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = draws**4  # a few channels count most, so that the three differ
    return tuple(map(tuple, (draws / draws.sum(dim=1, keepdim=True)).tolist()))


def describe_three_channels(image_channels: int) -> str | None:
    """Say in one line what networks that were trained on RGB see; `None` of RGB."""
    if image_channels == 3:
        return None
    seen = (
        "the gray channel three times"
        if image_channels == 1
        else f"{image_channels} channels mixed to three, with fixed random weights"
    )
    return f"Networks that were trained on RGB (perceptual, projected, judging) see {seen}."
