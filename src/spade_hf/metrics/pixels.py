"""Measures computed from pixels: sharpness, and agreement with the light of the real image.

Legend: N images, I image channels, H W height and width. Images are uint8 `(N, I, H, W)`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.resize import resize_photo


LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: red, green, blue to gray
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def laplacian_variance(images: Tensor) -> Tensor:
    """Compute the variance of the gray image's Laplacian, in squared gray levels of 0..255, without the border.

    Args:
        images (`Tensor`): uint8 `(N, I, H, W)`, at least 3x3. Gray is the luma of RGB, and the mean of other channels.

    Returns:
        `Tensor`: float64 `(N,)`.
    """
    weights = LUMA if images.shape[1] == 3 else (1 / images.shape[1],) * images.shape[1]
    luma = torch.tensor(weights, dtype=torch.float64, device=images.device)
    gray = (images.double() * luma[:, None, None]).sum(dim=1, keepdim=True)  # (N, 1, H, W)
    kernel = torch.tensor(LAPLACIAN, dtype=torch.float64, device=images.device)
    return F.conv2d(gray, kernel[None, None]).var(dim=(1, 2, 3), unbiased=False)  # of (N, 1, H - 2, W - 2)


def light_agreement(colors: Tensor, real_colors: Tensor, groups: Sequence[object]) -> Tensor | None:
    """Correlate the mean of each channel with those of the real images, within scenes.

    Each scene's mean is subtracted, so that differences in light remain, and the scene's content does not matter.

    Args:
        colors, real_colors (`Tensor`): `(N, I)`, the mean color of each image.
        groups (`Sequence`): The scene of each image. Scenes with a single image are left out.

    Returns:
        `Tensor` or `None`: float64 `(I,)` in -1..1; `None` if no scene has images that differ in light.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    scene = torch.tensor([numbers[group] for group in groups])  # (N,), 0 for the first scene
    counts = torch.bincount(scene)  # images per scene
    several = counts[scene] > 1  # (N,)

    def within(values: Tensor) -> Tensor:
        """Subtract the scene's mean: `(N, I)` -> `(rows of scenes with several images, I)`."""
        sums = values.new_zeros(len(counts), values.shape[1]).index_add_(0, scene, values)  # by scene
        return (values - (sums / counts[:, None])[scene])[several]

    ours, theirs = within(colors.double().cpu()), within(real_colors.double().cpu())
    lengths = ours.norm(dim=0) * theirs.norm(dim=0)  # (I,)
    if not several.any() or (lengths == 0).any():
        return None
    return (ours * theirs).sum(dim=0) / lengths  # Pearson's correlation of each color


def reduce_and_enlarge(images: Tensor, side: int) -> Tensor:
    """Reduce the shorter side of images to `side` pixels and enlarge them again: a reference for lost detail.

    Args:
        images (`Tensor`): uint8 `(N, I, H, W)`.
        side (`int`): Pixels of the shorter side in between.

    Raises:
        ValueError: If `side` is below 1 or not smaller than the images.
    """
    height, width = images.shape[-2:]
    if not 1 <= side < min(height, width):
        raise ValueError(f"`side` is {side}; the pictures are {height}x{width}. It must be from 1 to their side - 1.")
    small = (round(height * side / min(height, width)), round(width * side / min(height, width)))
    return resize_bicubic(resize_bicubic(images, small), (height, width))


def resize_painted(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images to the size at which they are judged: reduced as real ones are when they are read, or enlarged.

    uint8 `(N, I, H, W)` -> uint8 `(N, I, height, width)`. Another filter for real images would be another sharpness.
    """
    if size[0] * size[1] >= images.shape[-2] * images.shape[-1]:
        return resize_bicubic(images, size)
    return torch.stack([(resize_photo(one / 255, size) * 255).round().byte() for one in images])


def resize_bicubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images to a height and width: uint8 `(N, I, H, W)` -> uint8 `(N, I, height, width)`."""
    if images.shape[-2:] == size:
        return images
    is_smaller = size[0] < images.shape[-2]
    resized = F.interpolate(images.float(), size, mode="bicubic", antialias=is_smaller)  # it overshoots at edges
    return resized.round().clamp(0, 255).byte()
