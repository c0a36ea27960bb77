"""Whether pictures take the style that they are given, and how much pictures of one mask differ.

Legend: N pictures, C channels, K statistics, H W height and width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .distribution import standardize


def color_statistics(pictures: Tensor) -> Tensor:
    """Mean and deviation of red, green and blue of uint8 pictures `(N, 3, H, W)`: float64 `(N, 6)`."""
    deviation, mean = torch.std_mean(pictures.double(), dim=(2, 3), correction=0)
    return torch.cat([mean, deviation], dim=1)


def channel_statistics(maps: Sequence[Tensor]) -> Tensor:
    """Mean and deviation of every channel of feature maps `(N, C, H, W)`, of all levels: float64 `(N, K)`.

    They are what carries a picture's style (Huang and Belongie 2017, arXiv 1703.06868).
    """
    return torch.cat([color_statistics(level) for level in maps], dim=1)


def style_agreement(statistics: Tensor, style_statistics: Tensor) -> float:
    """How much nearer pictures are to their own style pictures than to the others: 1 for equal, 0 at chance.

    1 minus the mean distance to the own style picture over the mean distance to all others'. Each statistic is
    measured in deviations of the style pictures.

    Args:
        statistics, style_statistics (`Tensor`): `(N, K)` of the pictures and of their style pictures, N at least 2,
            which are not all equal.
    """
    ours, styles = (standardize(one.double(), style_statistics.double()) for one in (statistics, style_statistics))
    exact = "donot_use_mm_for_euclid_dist"  # by way of products, equal rows have a distance
    distances = torch.cdist(ours, styles, compute_mode=exact)  # (N, N), picture by style picture
    own, count = distances.diagonal().mean(), len(distances)
    others = (distances.sum() - distances.trace()) / (count * (count - 1))
    return (1 - own / others).item()


def choose_partners(groups: Sequence[object], generator: torch.Generator) -> list[int]:
    """Whose style each picture is given: a random picture of another group, each used about equally often.

    Args:
        groups (`Sequence`): The scene of each of N pictures, or their numbers where scenes are not known.
        generator (`torch.Generator`): Of the order in which partners follow each other.

    Raises:
        ValueError: If all pictures are of one group.
    """
    if len(set(groups)) < 2:
        raise ValueError("`groups` has a single scene; styles are exchanged between scenes. Give pictures of several.")
    order = torch.randperm(len(groups), generator=generator).tolist()
    partners = [0] * len(groups)
    for place, picture in enumerate(order):
        following = order[place + 1 :] + order[:place]
        partners[picture] = next(other for other in following if groups[other] != groups[picture])
    return partners
