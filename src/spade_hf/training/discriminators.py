"""The kinds of discriminator that training offers, and the losses of each."""

import argparse
import logging
from typing import Any

import torch
from diffusers import ModelMixin

from ..data import PairedImageDataset, StreamedImageDataset, preview_samples
from ..labels.label_set import LabelSet
from ..losses import AdversarialLoss, HingeObjective, RelativisticObjective, SegmentationObjective
from ..models import MultiscaleDiscriminator, ProjectedDiscriminator, SegmentationDiscriminator


DISCRIMINATORS: dict[str, Any] = {
    "patch": MultiscaleDiscriminator,
    "segmentation": SegmentationDiscriminator,
    "projected": ProjectedDiscriminator,
}
logger = logging.getLogger(__name__)
BACKBONE_SAMPLES = 64  # to standardize frozen features
GAN_LOSSES = {"hinge": HingeObjective, "relativistic": RelativisticObjective}


def build_discriminator(args: argparse.Namespace, **semantics: Any) -> ModelMixin:
    """Build a new discriminator from the options; a frozen backbone has no weights yet."""
    options = {**semantics, "base_channels": args.discriminator_base_channels}
    if args.discriminator != "patch":
        options["backbone"] = None if args.discriminator_backbone == "none" else args.discriminator_backbone
    return DISCRIMINATORS[args.discriminator](**options)


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


def build_adversarial(args: argparse.Namespace, label_set: LabelSet) -> AdversarialLoss:
    """Build the adversarial losses of the options' discriminator."""
    if args.discriminator == "segmentation":
        names = ("max_class_weight", "label_mix_weight", "boundary_relaxation")
        weights = {name: getattr(args, name) for name in names}
        return SegmentationObjective(label_set.num_labels, label_set.unknown_channel, **weights)
    return GAN_LOSSES[args.gan_loss]()
