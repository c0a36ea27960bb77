"""The kinds of discriminator that training offers, with their losses, and what a run does for some of them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ModelMixin

from ..data import PairedImageDataset, StreamedImageDataset, preview_samples
from ..labels.label_set import LabelSet
from ..losses import AdversarialLoss, HingeObjective, RelativisticObjective, SegmentationObjective
from ..models import MultiscaleDiscriminator, ProjectedDiscriminator, SegmentationDiscriminator
from ..models.discriminators import Discriminator


logger = logging.getLogger(__name__)
BACKBONE_SAMPLES = 64  # to standardize frozen features


@dataclass(frozen=True)
class DiscriminatorKind:
    """A network that judges images, and what its logits mean.

    Args:
        network (`type[Discriminator]`): Its class, built from the labels, `base_channels` and, if it has one,
            `backbone`.
        loss (`Callable[..., AdversarialLoss]`): Builds its losses from the label set, `None` without labels, and the
            options of the kind.
    """

    network: type[Discriminator]
    loss: Callable[..., AdversarialLoss]


def _patch_loss(
    label_set: LabelSet | None, *, gan_loss: str
) -> AdversarialLoss:  # the labels are the network's concern
    return {"hinge": HingeObjective, "relativistic": RelativisticObjective}[gan_loss]()


def _segmentation_loss(label_set: LabelSet, **weights: Any) -> AdversarialLoss:
    return SegmentationObjective(label_set.num_labels, label_set.unknown_channel, **weights)


DISCRIMINATORS = {
    "patch": DiscriminatorKind(MultiscaleDiscriminator, _patch_loss),
    "segmentation": DiscriminatorKind(SegmentationDiscriminator, _segmentation_loss),
    "projected": DiscriminatorKind(ProjectedDiscriminator, _patch_loss),
}


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
