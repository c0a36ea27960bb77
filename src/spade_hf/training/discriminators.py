"""The kinds of discriminator that training offers, and the losses of each."""

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import ModelMixin
from torch import Tensor

from ..labels.label_set import LabelSet
from ..losses import AdversarialObjective, HingeObjective, RelativisticObjective, SegmentationObjective
from ..models import MultiscaleDiscriminator, ProjectedDiscriminator, SegmentationDiscriminator


DISCRIMINATORS: dict[str, Any] = {
    "patch": MultiscaleDiscriminator,
    "segmentation": SegmentationDiscriminator,
    "projected": ProjectedDiscriminator,
}
GAN_LOSSES = {"hinge": HingeObjective, "relativistic": RelativisticObjective}


def build_discriminator(args: argparse.Namespace, **semantics: Any) -> ModelMixin:
    """Build a new discriminator from the options; a frozen backbone has no weights yet."""
    options = {**semantics, "base_channels": args.discriminator_base_channels}
    if args.discriminator != "patch":
        options["backbone"] = None if args.discriminator_backbone == "none" else args.discriminator_backbone
    return DISCRIMINATORS[args.discriminator](**options)


def prepare_backbone(discriminator: ModelMixin, samples: Sequence[dict[str, Tensor]]) -> None:
    """Load the weights of a frozen backbone, if there is one, and standardize it on the samples' real images."""
    if prepare := getattr(discriminator, "prepare_backbone", None):
        prepare(torch.stack([sample["real_images"] for sample in samples]))


def build_adversarial(args: argparse.Namespace, label_set: LabelSet) -> AdversarialObjective:
    """Build the adversarial losses of the options' discriminator."""
    if args.discriminator == "segmentation":
        names = ("max_class_weight", "label_mix_weight", "boundary_relaxation")
        weights = {name: getattr(args, name) for name in names}
        return SegmentationObjective(label_set.num_labels, label_set.unknown_channel, **weights)
    return GAN_LOSSES[args.gan_loss]()
