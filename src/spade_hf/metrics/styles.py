"""Agreement of images with the styles they are given, and the choice of these styles.

Legend: N images, B images of a block, C channels, I image channels, K statistics, H W height and width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .distribution import BLOCK, standardize


def color_statistics(images: Tensor) -> Tensor:
    """Compute mean and standard deviation of each channel of images `(N, I, H, W)`: float64 `(N, 2 * I)`."""
    deviation, mean = torch.std_mean(images.double(), dim=(2, 3), correction=0)  # (N, I) each
    return torch.cat([mean, deviation], dim=1)


def channel_statistics(maps: Sequence[Tensor]) -> Tensor:
    """Compute mean and standard deviation of every channel of all levels' maps `(N, C, H, W)`: float64 `(N, K)`.

    These statistics carry an image's style (Huang and Belongie 2017, arXiv 1703.06868).
    """
    return torch.cat([color_statistics(level) for level in maps], dim=1)  # K = 2 C, summed over levels


def style_agreement(statistics: Tensor, style_statistics: Tensor) -> float:
    """Measure how much closer images are to their own style images than to the others: 1 if equal, 0 at chance.

    It is 1 minus the mean distance to the own style image divided by the mean distance to all others. Each statistic
    is standardized by the style images.

    Args:
        statistics, style_statistics (`Tensor`): `(N, K)` of the images and of their style images, N at least 2.
            The style images must not all be equal.
    """
    ours, styles = (standardize(one.double(), style_statistics.double()) for one in (statistics, style_statistics))
    own, count = (ours - styles).norm(dim=1).mean(), len(ours)  # Euclidean, of each image to its own style
    others = ours.new_zeros(())
    for start in range(0, count, BLOCK):
        # with matrix products, which are much faster, equal rows get a distance above 0: `own` is computed without
        block = torch.cdist(ours[start : start + BLOCK], styles, compute_mode="use_mm_for_euclid_dist")  # (B, N)
        others += block.sum() - block.diagonal(offset=start).sum()
    return (1 - own * count * (count - 1) / others).item()  # `others` is a sum over N (N - 1) pairs


def choose_partners(groups: Sequence[object], generator: torch.Generator) -> list[int]:
    """Choose whose style each image gets: a random image of another group, each used about equally often.

    Args:
        groups (`Sequence`): The scene of each of N images, or the images' numbers if scenes are unknown.
        generator (`torch.Generator`): For the random order of the images.

    Raises:
        ValueError: If all images belong to one group.
    """
    if len(set(groups)) < 2:
        raise ValueError("`groups` has a single scene; styles are exchanged between scenes. Give several scenes.")
    order = torch.randperm(len(groups), generator=generator).tolist()
    # each takes the next one in a random circle that shows another scene, so that no style is taken by many
    partners = [0] * len(groups)
    for place, image in enumerate(order):
        following = order[place + 1 :] + order[:place]
        partners[image] = next(other for other in following if groups[other] != groups[image])
    return partners
