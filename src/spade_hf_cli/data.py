"""Opens data by the options of `spade_hf_cli.options.add_data_options`."""

import argparse
from typing import Any

from spade_hf.data.formats.folders import load_folders
from spade_hf.data.formats.panoptic import load_panoptic
from spade_hf.data.sources import find_label_set, load_label_set, load_rows
from spade_hf.labels.label_set import LabelSet


# column of folders -> how the names of its options begin
OPTION_OF = {"image": "image", "label": "mask", "instance": "instance"}


def open_rows(args: argparse.Namespace, *, split: str, **options: Any) -> Any:
    """Open the rows of a data set or of folders.

    Args:
        args (`argparse.Namespace`): The options.
        split (`str`): Split of the data set.
        options: Passed to [`load_rows`], such as `streaming`; not used for folders.
    """
    if args.image_folder is None:
        return load_rows(
            args.dataset_name,
            config_name=args.dataset_config_name,
            split=split,
            image_columns=[column for column in columns_of(args).values() if column is not None],
            **options,
        )
    return open_folders(args)


def open_folders(args: argparse.Namespace, which: str = "") -> Any:
    """Open the rows of folders; their columns are those of `columns_of`.

    Args:
        args (`argparse.Namespace`): The options.
        which (`str`, defaults to `""`): Start of the names of the options of other folders than the training's, such
            as `"validation_"`; see `spade_hf_cli.options.add_folder_options`. Starts and ends of the files' names are
            those of the training's folders.
    """
    folders = {column: getattr(args, f"{which}{name}_folder", None) for column, name in OPTION_OF.items()}
    folders = {column: folder for column, folder in folders.items() if folder is not None}
    panoptic_json, file_list = getattr(args, f"{which}panoptic_json"), getattr(args, f"{which}file_list")
    if panoptic_json is not None:
        return load_panoptic(panoptic_json, folders)
    suffixes, prefixes = (
        {column: getattr(args, f"{name}_{kind}") for column, name in OPTION_OF.items() if column in folders}
        for kind in ("suffix", "prefix")
    )
    class_masks = open_label_set(args) if args.class_masks else None
    return load_folders(folders, suffixes=suffixes, prefixes=prefixes, file_list=file_list, class_masks=class_masks)


def columns_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the columns of `open_rows` for [`PairReader`]; `instance_column` is `None` without instances."""
    if args.image_folder is not None:
        instance_column = None if args.instance_folder is None else "instance"
        return {"image_column": "image", "mask_column": "label", "instance_column": instance_column}
    names = ("image_column", "mask_column", "instance_column")
    return {name: getattr(args, name) for name in names}


def find_labels(args: argparse.Namespace) -> LabelSet | None:
    """Load the given label set, or the one stored with the data; `None` if there is none."""
    if given := args.label_set or args.panoptic_json:
        return load_label_set(given, dataset_name=args.dataset_name, mask_folder=args.mask_folder)
    return find_label_set(dataset_name=args.dataset_name, mask_folder=args.mask_folder)


def open_label_set(args: argparse.Namespace) -> LabelSet:
    """Load the given label set, or the one stored with the data; see [`load_label_set`]."""
    return load_label_set(
        args.label_set or args.panoptic_json, dataset_name=args.dataset_name, mask_folder=args.mask_folder
    )
