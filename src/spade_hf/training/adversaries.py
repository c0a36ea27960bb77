"""The kinds of discriminator that training offers, and what a run does for some of them."""

import logging
from typing import Any

import torch
from diffusers import ModelMixin

from ..data import PairedImageDataset, StreamedImageDataset, preview_samples
from ..labels.label_set import LabelSet
from ..models import MultiscaleDiscriminator, ProjectedDiscriminator, SegmentationDiscriminator


DISCRIMINATORS: dict[str, Any] = {
    "patch": MultiscaleDiscriminator,
    "segmentation": SegmentationDiscriminator,
    "projected": ProjectedDiscriminator,
}
logger = logging.getLogger(__name__)
BACKBONE_SAMPLES = 64  # to standardize frozen features


def prepare_backbone(discriminator: ModelMixin, dataset: PairedImageDataset | StreamedImageDataset) -> None:
    """Load the weights of a frozen backbone, if there is one, and standardize it on some of the data's images."""
    if getattr(discriminator, "frozen_features", None) is None:
        return
    images = [sample["real_images"] for sample in preview_samples(dataset, BACKBONE_SAMPLES)]
    discriminator.prepare_backbone(torch.stack(images))


def warn_of_other_classes(label_set: LabelSet) -> None:
    """Warn of a segmentation discriminator that an earlier version trained, if unknown is not the last channel."""
    if label_set.unknown_channel not in (None, label_set.num_labels):
        logger.warning(
            "The checkpoint's discriminator learned the classes of label set '%s' in other outputs: earlier versions "
            "took the last class for unknown. It has to learn them again; a new run is better.",
            label_set.name,
        )
