"""Trains [`SPADEOutlineModel`] on label maps: painted map in, natural map out.

One iteration is [`OutlineIteration`], in spade_hf/training/outlines.py. What is around it is that of `spade-hf train`.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spade_hf import LabelSet, SPADEImageProcessor, SPADEOutlineModel
from spade_hf.data import (
    PairedImageDataset,
    PairedTransform,
    load_folders,
    load_label_set,
    load_rows,
    preview_samples,
)
from spade_hf.data.outlines import OutlineReader
from spade_hf.pipelines.refinement import check_outline_labels
from spade_hf.training import OutlineIteration, OutlinePublisher, TimeLimit
from spade_hf.training.output_folder import NETWORK_FILES

from ..models import load_outline_model
from ..train.build import build_adamw
from ..train.setup import set_up
from ..train.single_network import Program, train_network
from .options import OutlineOptions


def main(options: OutlineOptions) -> None:
    """Train with the parsed options."""
    accelerator, say = set_up(options, NETWORK_FILES)
    limit = TimeLimit(accelerator, options.time)

    # Data: label maps only
    dataset = build_dataset(options)
    label_set = dataset.processor.label_set
    shown: Any = preview_samples(dataset, options.num_validation_images)

    # Network
    network = build_network(options, label_set)
    decided: Any = network.config
    options = replace(
        options,
        block_out_channels=list(decided.block_out_channels),
        num_attention_heads=decided.num_attention_heads,
    )
    program = Program(
        name="outline_model",
        network=network,
        dataset=dataset,
        build_optimizer=lambda accelerator: build_adamw(options, accelerator, network.parameters()),
        build_iteration=OutlineIteration,
        build_publisher=lambda average, **run: OutlinePublisher(average, shown, label_set, **run),
        describe_usage=usage_of,
    )
    train_network(options, accelerator, say, program, limit)


def usage_of(folder: Path) -> str:
    """Describe how to use a trained model."""
    return f"Paint with it: spade-hf generate MASK --outline-model {shlex.quote(str(folder))} --outline-strength 0.7"


def build_dataset(options: OutlineOptions) -> PairedImageDataset:
    """Build the data set of training samples, with the processor that holds their label set."""
    if options.mask_folder is not None:
        rows = load_folders(
            {"label": options.mask_folder},
            suffixes={"label": options.mask_suffix},
            prefixes={"label": options.mask_prefix},
        )
    else:
        assert options.dataset_name is not None  # the options were checked
        rows: Any = load_rows(
            options.dataset_name,
            config_name=options.dataset_config_name,
            split=options.train_split,
            cache_dir=options.cache_dir,
            image_columns=[options.mask_column],
        )
    if options.max_train_samples is not None:
        rows = rows.select(range(min(options.max_train_samples, len(rows))))
    labels = load_label_set(options.label_set, dataset_name=options.dataset_name, mask_folder=options.mask_folder)
    height, width = options.resolution
    reader: Any = OutlineReader(
        mask_column="label" if options.mask_folder is not None else options.mask_column,
        processor=SPADEImageProcessor(label_set=labels),
        transform=PairedTransform(
            resolution=(height, width),
            resize_ratio=options.resize_ratio,
            center_crop=options.center_crop,
            random_flip=options.random_flip,
        ),
        color_tolerance=options.color_tolerance,
    )
    return PairedImageDataset(rows, reader, seed=options.seed, skip_broken=options.skip_broken)


def build_network(options: OutlineOptions, label_set: LabelSet) -> SPADEOutlineModel:
    """Build the network, or load the one to start from.

    Raises:
        OSError, ValueError: If that one cannot be loaded, or knows other labels.
    """
    name = options.pretrained_model_name_or_path
    if name is None:
        return SPADEOutlineModel(
            num_labels=label_set.num_labels,
            labels=tuple(label_set.names[channel] for channel in label_set.class_channels),
            block_out_channels=tuple(options.block_out_channels),
            num_attention_heads=options.num_attention_heads,
        )
    network = load_outline_model(name, given_as="--pretrained_model_name_or_path", dtype=torch.float32)
    check_outline_labels(network, label_set)
    return network.train()
