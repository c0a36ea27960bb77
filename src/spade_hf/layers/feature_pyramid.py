"""A decoder on the feature maps of a convolutional network: a feature pyramid (Lin et al. 2017, arXiv 1612.03144).

Legend: N images, C feature channels, O output channels, H W height and width, s stride of a map.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """From feature maps, shallow to deep, to one map at the size of the shallowest.

    Args:
        feature_channels (`Sequence[int]`): C of each map; each has half the size of the previous one.
        width (`int`): Channels at every size.
        out_channels (`int`): O.
    """

    def __init__(self, feature_channels: Sequence[int], width: int, out_channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, width, 1)) for channels in feature_channels
        )
        self.merge = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for _ in feature_channels
        )
        self.classify = nn.Conv2d(width, out_channels, 1)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map `(N, C, H / s, W / s)` for each s to `(N, O, H / s, W / s)` with the shallowest map's s."""
        x = None
        for level, lateral, merge in zip(reversed(maps), reversed(self.lateral), reversed(self.merge), strict=True):
            level = lateral(level)  # (N, C, H / s, W / s) -> (N, width, H / s, W / s), at the level's stride s
            # top down: what deeper levels say, enlarged to this level's size, is added
            x = merge(level if x is None else level + F.interpolate(x, level.shape[-2:]))  # (N, width, H / s, W / s)
        return self.classify(x)  # (N, O, H / s, W / s), now with the shallowest level's s
