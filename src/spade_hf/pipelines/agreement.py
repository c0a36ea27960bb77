"""How surely a segmenter sees in images what their masks say.

Legend: N images, I image channels, L labels, S semantic channels (the labels and unknown), H W height and width.
"""

from typing import Any

import torch
from torch import Tensor

from ..features.three_channels import as_three_channels
from ..images.processor import SPADEImageProcessor
from ..labels.label_set import LabelSet
from .segmentation import check_segmenter


def check_agreement(segmenter: Any, processor: SPADEImageProcessor) -> None:
    """Raise a ValueError unless a pipeline has a segmenter that knows its labels and can see its images."""
    if not processor.has_labels:
        raise ValueError("`return_agreement` compares images with the labels of masks, and this model has no labels.")
    check_segmenter(segmenter, processor.label_set)
    if (count := processor.config.image_channels) not in (1, 3):
        raise ValueError(
            f"`return_agreement` needs gray or RGB images for its segmenter; this model's have {count} channels."
        )


def measure_agreement(segmenter: Any, images: Tensor, segmap: Tensor, label_set: LabelSet) -> tuple[Tensor, Tensor]:
    """Measure in each pixel how probable the mask's label is, according to a segmenter.

    Args:
        segmenter (`SPADESegmenter`): With the labels of the label set, on the device of the images.
        images (`Tensor`): `(N, I, H, W)` in [-1, 1].
        segmap (`Tensor`): What they were made from: int64 `(N, H, W)` of semantic channels, or a soft mask
            `(N, S, H, W)`, whose labels count by their weights.
        label_set (`LabelSet`): The labels of the channels.

    Returns:
        `tuple`: float32 `(N, H, W)` in [0, 1], which is 1 where the mask is unknown and so says nothing; and its mean
            over the other pixels, float32 `(N,)`, 1 of a mask that is unknown everywhere.
    """
    seen = segmenter.probabilities(as_three_channels(images).to(segmenter.dtype)).float()  # (N, L, H, W)
    seen = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)  # (N, L + 1, H, W), unknown last
    classes = torch.from_numpy(label_set.channel_classes).to(seen.device)  # (S,) in 0..L
    if segmap.ndim == 3:
        label_map = classes[segmap]  # (N, H, W) in 0..L
        agreement = seen.gather(1, label_map[:, None])[:, 0]  # (N, H, W)
    else:
        label_map = classes[segmap.argmax(dim=1)]
        weights = segmap.float()
        agreement = (weights * seen[:, classes]).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-6)
    agreement = agreement.clamp(0, 1)
    is_known = (label_map < label_set.num_labels).float()
    count = is_known.sum(dim=(1, 2))
    mean = (agreement * is_known).sum(dim=(1, 2)) / count.clamp(min=1)
    return agreement, torch.where(count > 0, mean, 1.0)
