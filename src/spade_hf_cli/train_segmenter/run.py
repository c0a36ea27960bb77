"""Trains [`SPADESegmenter`] on images and their label maps: image in, label map out.

One iteration is [`SegmenterIteration`], in spade_hf/training/segmenter.py. What is around it is shared with the
training of outline models: `train/single_network.py`.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spade_hf import LabelSet, SPADESegmenter
from spade_hf.data import PairedImageDataset, PairReader, preview_samples
from spade_hf.data.segmentation import SegmentationTransform
from spade_hf.pipelines.segmentation import check_segmenter_labels
from spade_hf.training import TimeLimit, hold_out
from spade_hf.training.output_folder import NETWORK_FILES
from spade_hf.training.segmenter import SegmenterEvaluation, SegmenterIteration, SegmenterPublisher

from ..data import build_processor, columns_of, open_rows
from ..models import load_segmenter
from ..train.build import build_adamw, build_held_out, choose_evaluated
from ..train.setup import set_up
from ..train.single_network import Program, train_network
from .options import SegmenterOptions


def main(options: SegmenterOptions) -> None:
    """Train with the parsed options."""
    accelerator, say = set_up(options, NETWORK_FILES)
    limit = TimeLimit(accelerator, options.time)

    # Data and network; pairs to look at are not trained on if some are held out
    dataset = build_dataset(options)
    label_set = dataset.processor.label_set
    network = build_network(options, label_set)
    decided: Any = network.config
    options = replace(options, image_size=decided.image_size, width=decided.width)
    size = [decided.image_size, decided.image_size]  # held-out pairs have that at which the network reads best
    held_out = build_held_out(replace(options, resolution=size), dataset)
    shown: Any = preview_samples(dataset if held_out is None else held_out, options.num_validation_images)
    evaluation = None
    if held_out is not None and accelerator.is_main_process:
        evaluation = SegmenterEvaluation(choose_evaluated(options, held_out), accelerator.device)

    program = Program(
        name="segmenter",
        network=network,
        dataset=dataset,
        build_optimizer=lambda accelerator: build_adamw(options, accelerator, groups_of(network, options)),
        build_iteration=lambda accelerator, side, average: SegmenterIteration(accelerator, side, average, label_set),
        build_publisher=lambda average, **run: SegmenterPublisher(
            average, shown, label_set, evaluation=evaluation, **run
        ),
        describe_usage=usage_of,
        evaluate=evaluation,
        held_out=held_out if options.validation_share or options.validation_image_folder else None,
    )
    train_network(options, accelerator, say, program, limit)


def usage_of(folder: Path) -> str:
    """Describe how to use a trained model."""
    return f"Segment with it: spade-hf segment PHOTO --segmenter {shlex.quote(str(folder))} --output-dir masks"


def build_dataset(options: SegmenterOptions) -> PairedImageDataset:
    """Build the data set of training samples, with the processor that holds their label set."""
    rows = open_rows(options, split=options.train_split, cache_dir=options.cache_dir)
    if options.validation_share is not None:
        rows, _ = hold_out(rows, options.validation_share)
    if options.max_train_samples is not None:
        rows = rows.select(range(min(options.max_train_samples, len(rows))))
    height, width = options.resolution
    reader = PairReader(
        **columns_of(options),
        processor=build_processor(options, use_instance_edges=False),
        transform=SegmentationTransform(
            resolution=(height, width),
            resize_ratio=options.resize_ratio,
            min_crop_share=options.min_crop_share,
            random_light=options.random_light,
            random_flip=options.random_flip,
        ),
        color_tolerance=options.color_tolerance,
        ids_in_red=options.ids_in_red,
    )
    return PairedImageDataset(rows, reader, seed=options.seed, skip_broken=options.skip_broken)


def build_network(options: SegmenterOptions, label_set: LabelSet) -> SPADESegmenter:
    """Build the network with ImageNet's weights, or load the one to start from.

    Raises:
        OSError, ValueError: If that one cannot be loaded, or knows other labels.
    """
    name = options.pretrained_model_name_or_path
    if name is None:
        network = SPADESegmenter(
            num_labels=label_set.num_labels,
            labels=tuple(label_set.names[channel] for channel in label_set.class_channels),
            image_size=options.image_size or options.resolution[0],
            width=options.width,
        )
        network.load_imagenet_weights()
        return network
    network = load_segmenter(name, given_as="--pretrained_model_name_or_path", dtype=torch.float32)
    check_segmenter_labels(network, label_set)
    return network.train()


def groups_of(network: SPADESegmenter, options: SegmenterOptions) -> list[dict[str, Any]]:
    """Return the optimizer's groups: the new layers, and those that know ImageNet."""
    body = list(network.body.parameters())
    others = {id(parameter) for parameter in body}
    new = [parameter for parameter in network.parameters() if id(parameter) not in others]
    return [{"params": new}, {"params": body, "lr": options.body_learning_rate}]
