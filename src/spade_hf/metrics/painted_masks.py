"""Masks as a hand would paint them, for scoring.

Legend: N masks, H W height and width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.transforms import SIMPLIFICATION_SHARES, simplify_label_map
from ..label_set import LabelSet


def paint_masks(label_maps: Tensor, label_set: LabelSet, seeds: Sequence[int]) -> Tensor:
    """Simplify each mask as training does.

    Args:
        label_maps (`Tensor`): int64 `(N, H, W)` of channels.
        label_set (`LabelSet`): The labels.
        seeds (`Sequence[int]`): One for each mask.
    """
    painted = []
    for label_map, seed in zip(label_maps.cpu(), seeds, strict=True):
        rng = torch.Generator().manual_seed(seed)
        painted.append(_paint(label_map, label_set.num_channels, rng))
    return torch.stack(painted).to(label_maps.device)


def _paint(label_map: Tensor, num_labels: int, rng: torch.Generator) -> Tensor:
    share = SIMPLIFICATION_SHARES[int(torch.randint(len(SIMPLIFICATION_SHARES), (), generator=rng))]
    return simplify_label_map(label_map, max(2, round(min(label_map.shape) * share)), num_labels)
