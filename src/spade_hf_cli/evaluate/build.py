"""Builds the parts of an evaluation that the options describe: the pairs to score, and the segmenter."""

import argparse
from pathlib import Path
from typing import Any

import datasets
from accelerate import PartialState

from spade_hf import SPADEImageProcessor
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_rows
from spade_hf.data.label_match import check_labels
from spade_hf.data.pair_reader import size_of_mask, size_of_photo
from spade_hf.data.rows import check_columns, decode_mask, first_photo, select_images
from spade_hf.data.sources import find_label_set, load_label_set
from spade_hf.labels.class_tables import load_class_table
from spade_hf.metrics import load_segmenter, obtain_segmenter, segmenter_settings, train_segmenter
from spade_hf.metrics.features import FeatureNetwork
from spade_hf.metrics.segmentation import AnySegmenter
from spade_hf.models.transformers_segmenter import TransformersSegmenter

from ..data import columns_of, open_folders, open_rows
from ..options import as_typed
from ..parsing import one_line
from ..processes import from_main_process


FOLDERS_OF_SEGMENTER = {name: f"--segmenter_{name}" for name in ("image_folder", "mask_folder")}


def build_dataset(
    args: argparse.Namespace, processor: SPADEImageProcessor
) -> tuple[PairedImageDataset, list[object] | None]:
    """Build the data set to score, and the scene of each pair if `--group_column` is given."""
    rows, columns = open_rows(args, split=args.split), columns_of(args)
    if not processor.has_labels and args.image_folder is None:
        columns["mask_column"] = None  # the model decides
    if len(rows) == 0:
        raise ValueError(f"--split {args.split!r} of {args.dataset_name} has no rows. Give another split.")
    check_columns(rows.features, {name: column for name, column in columns.items() if column is not None})
    count = len(rows) if args.num_images is None else min(args.num_images, len(rows))
    rows = rows.select([number * len(rows) // count for number in range(count)])
    if args.group_column is not None and args.group_column not in rows.column_names:
        raise ValueError(
            f"--group_column is {args.group_column!r}; the data set has the columns {', '.join(rows.column_names)}. "
            "Name one of these."
        )
    if args.group_column is not None and not isinstance(
        rows.features[args.group_column], datasets.Value | datasets.ClassLabel
    ):
        raise ValueError(
            f"--group_column is {args.group_column!r}, which holds {rows.features[args.group_column]}; it must name a "
            "column of numbers or texts, one for each scene."
        )
    groups = None if args.group_column is None else rows[args.group_column][:]
    return pairs(args, processor, rows, columns), groups


def pairs(
    args: argparse.Namespace,
    processor: SPADEImageProcessor,
    rows: datasets.Dataset,
    columns: dict[str, Any],
    random_flip: bool = False,
) -> PairedImageDataset:
    """Build a data set of whole images, cropped only if their proportions differ from those of `--resolution`."""
    if args.resolution is None:  # only for real images: the size of the first mask
        args.resolution = size_of_first(rows, columns, processor)
    if args.reduce is not None and args.reduce >= min(args.resolution):
        raise ValueError(
            f"--reduce is {args.reduce}; the pictures are {args.resolution[0]}x{args.resolution[1]} (height x width). "
            "It must be smaller than their shorter side."
        )
    transform = PairedTransform(
        resolution=(args.resolution[0], args.resolution[1]),
        resize_ratio=1.0,
        center_crop=True,
        random_flip=random_flip,
    )
    reader = PairReader(
        **columns,
        processor=processor,
        transform=transform,
        color_tolerance=args.color_tolerance,
        ids_in_red=args.ids_in_red,
    )
    return PairedImageDataset(rows, reader, seed=args.seed)


def size_of_first(rows: datasets.Dataset, columns: dict[str, Any], processor: SPADEImageProcessor) -> list[int]:
    """Return height and width of the first mask, or of the first image if there are no masks."""
    try:
        if (column := columns["mask_column"]) is None:
            width, height = size_of_photo(first_photo(rows, columns["image_column"], processor.config.image_channels))
        else:
            rows, types = select_images(rows, {"mask_column": column})
            width, height = size_of_mask(decode_mask(rows[0], column, types, processor.label_set))
    except ValueError as error:
        raise ValueError(f"Row 0 of the data set: {error}") from error
    return [height, width]


def build_segmenter(
    args: argparse.Namespace, processor: SPADEImageProcessor, network: FeatureNetwork, state: PartialState
) -> tuple["AnySegmenter | None", str]:
    """Return the segmenter, or `None` and the reason. All processes call this together."""
    if args.segmenter == "none":
        return None, "--segmenter none"
    if not processor.has_labels:
        return None, "the model has no labels"
    label_set = processor.label_set
    if args.segmenter != "train" and not args.segmenter.endswith(".safetensors"):
        given = args.segmenter_labels
        table = None if given is None else load_class_table(given, given_as="--segmenter_labels")
        return TransformersSegmenter(args.segmenter, label_set, table).to(args.device), ""
    if args.segmenter != "train":
        segmenter = load_segmenter(Path(args.segmenter), network, label_set, color_tolerance=args.color_tolerance)
        return segmenter.to(args.device), ""
    dataset = segmenter_pairs(args, processor)
    if isinstance(dataset, str):
        return None, dataset
    options = {"num_steps": args.segmenter_steps, "seed": args.seed}
    if args.output_dir is None:
        return train_segmenter(network, dataset, device=args.device, **options), ""
    settings = from_main_process(state, lambda: segmenter_settings(network, dataset, **options))
    with state.main_process_first():  # it saves the trained segmenter, and the others load it
        folder = Path(args.output_dir)
        segmenter = obtain_segmenter(network, dataset, cache_dir=folder, settings=settings, device=args.device)
    return segmenter, ""


def segmenter_pairs(args: argparse.Namespace, processor: SPADEImageProcessor) -> PairedImageDataset | str:
    """Open the pairs to train a segmenter on, mirrored at random; return the reason if there are none."""
    label_set = processor.label_set
    plain = SPADEImageProcessor(label_set=label_set, **processor.image_options())  # reads no instance maps
    columns = {"image_column": args.image_column, "mask_column": args.mask_column, "instance_column": None}
    split = args.segmenter_split or "train"
    if args.segmenter_image_folder is not None:
        rows = open_folders(args, "segmenter_")
        if args.segmenter_panoptic_json is not None:
            labels = load_label_set(args.segmenter_panoptic_json, mask_folder=args.segmenter_mask_folder)
        else:
            labels = find_label_set(mask_folder=args.segmenter_mask_folder)
    elif args.segmenter_dataset is not None or args.dataset_name is not None:
        name = args.segmenter_dataset or args.dataset_name
        config_name = args.dataset_config_name if name == args.dataset_name else None
        try:
            image_columns = (args.image_column, args.mask_column)
            rows: Any = load_rows(name, config_name=config_name, split=split, image_columns=image_columns)
        except ValueError as error:
            if args.segmenter_dataset is not None or args.segmenter_split is not None:
                raise
            return f"{one_line(error)} Name other pairs to train a segmenter on: `segmenter_dataset`"
        labels = find_label_set(dataset_name=name) if name != args.dataset_name else None  # those were compared before
    else:
        return (
            "there are no pairs to train a segmenter on. Name them: `segmenter_image_folder` and "
            "`segmenter_mask_folder`, or `segmenter_dataset`"
        )
    if labels is not None and args.label_set is None:
        check_labels(labels, label_set, color_tolerance=args.color_tolerance)
    try:
        return pairs(args, plain, rows, columns, random_flip=True)
    except ValueError as error:  # the folders to name are those of the segmenter
        raise ValueError(as_typed(str(error), FOLDERS_OF_SEGMENTER)) from error
