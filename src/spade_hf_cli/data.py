"""Opens data by their options."""

import argparse
from typing import Any

from spade_hf.data.formats.folders import load_folders
from spade_hf.data.formats.panoptic import load_panoptic
from spade_hf.data.sources import find_label_set, load_label_set, load_rows
from spade_hf.images.processor import SPADEImageProcessor
from spade_hf.labels.label_set import LabelSet

from .data_options import DataOptions, has_masks


# column of folders -> how the names of its options begin
OPTION_OF = {"image": "image", "label": "mask", "instance": "instance", "condition": "condition"}


def open_rows(options: DataOptions | argparse.Namespace, *, split: str, **more: Any) -> Any:
    """Open the rows of a data set or of folders.

    Args:
        options (`DataOptions`): The options.
        split (`str`): Split of the data set.
        more: Passed to [`load_rows`], such as `streaming`; not used for folders.
    """
    if options.image_folder is not None:
        return open_folders(options)
    assert options.dataset_name is not None  # the options were checked
    return load_rows(
        options.dataset_name,
        config_name=options.dataset_config_name,
        split=split,
        image_columns=[column for column in columns_of(options).values() if column is not None],
        **more,
    )


def open_folders(options: DataOptions | argparse.Namespace, which: str = "") -> Any:
    """Open the rows of folders; their columns are those of `columns_of`.

    Args:
        options (`DataOptions`): The options.
        which (`str`, defaults to `""`): Start of the names of the options of other folders than the training's, such
            as `"validation_"`; see [`problem_with_folders`]. Starts and ends of the files' names are those of the
            training's folders.
    """
    folders = {column: getattr(options, f"{which}{name}_folder", None) for column, name in OPTION_OF.items()}
    folders = {column: folder for column, folder in folders.items() if folder is not None}
    panoptic_json, file_list = getattr(options, f"{which}panoptic_json"), getattr(options, f"{which}file_list")
    if panoptic_json is not None:
        ends = {name: getattr(options, name) for name in ("condition_prefix", "condition_suffix")}
        return load_panoptic(panoptic_json, folders, **ends)
    suffixes, prefixes = (
        {column: getattr(options, f"{name}_{kind}") for column, name in OPTION_OF.items() if column in folders}
        for kind in ("suffix", "prefix")
    )
    class_masks = open_label_set(options) if options.class_masks or options.soft_class_masks else None
    return load_folders(
        folders,
        suffixes=suffixes,
        prefixes=prefixes,
        file_list=file_list,
        class_masks=class_masks,
        soft_class_masks=options.soft_class_masks,
    )


def columns_of(options: DataOptions | argparse.Namespace) -> dict[str, Any]:
    """Return the columns of `open_rows` for [`PairReader`], `None` for what the data do not have."""
    if options.image_folder is not None:
        return {
            f"{name}_column": None if getattr(options, f"{name}_folder") is None else column
            for column, name in OPTION_OF.items()
        }
    columns = {f"{name}_column": getattr(options, f"{name}_column") for name in OPTION_OF.values()}
    return columns if has_masks(options) else {**columns, "mask_column": None}


def build_processor(options: DataOptions | argparse.Namespace, *, use_instance_edges: bool) -> SPADEImageProcessor:
    """Build the image processor of the data: their labels, and what the options say of the images."""
    images: dict[str, Any] = {  # lists of the right lengths: the options were checked
        name: None if (values := getattr(options, name)) is None else tuple(values)
        for name in ("value_range", "display_channels", "condition_range")
    }
    return SPADEImageProcessor(
        label_set=open_label_set(options) if has_masks(options) else None,
        use_instance_edges=use_instance_edges,
        image_channels=options.image_channels,
        condition_channels=options.condition_channels,
        **images,
    )


def find_labels(options: DataOptions | argparse.Namespace) -> LabelSet | None:
    """Load the given label set, or the one stored with the data; `None` if there is none."""
    if given := options.label_set or options.panoptic_json:
        return load_label_set(given, dataset_name=options.dataset_name, mask_folder=options.mask_folder)
    return find_label_set(dataset_name=options.dataset_name, mask_folder=options.mask_folder)


def open_label_set(options: DataOptions | argparse.Namespace) -> LabelSet:
    """Load the given label set, or the one stored with the data; see [`load_label_set`]."""
    return load_label_set(
        options.label_set or options.panoptic_json, dataset_name=options.dataset_name, mask_folder=options.mask_folder
    )
