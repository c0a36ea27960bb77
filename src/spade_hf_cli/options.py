"""Shared parts of the command lines: one-line errors that name options, checked numbers, options that name data.

Nothing of the library is imported, so that `--help` takes a tenth of a second.
"""

import argparse
import ast
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from .parsing import nonnegative


class _TakesOptions(Protocol):
    """A parser or one of its groups."""

    def add_argument(self, *names: str, **options: Any) -> Any: ...


def add_data_options(parser: _TakesOptions) -> None:
    """Add the options that say where pairs of images and masks are, and what the masks mean."""
    parser.add_argument("--dataset_name", help="Hub data set, local folder or parquet file")
    parser.add_argument("--dataset_config_name", help="configuration of the data set")
    add_folder_options(parser, "")
    parser.add_argument(
        "--image_suffix",
        help="end of the image names, such as _leftImg8bit.png: the rest makes pairs; also reads subfolders",
    )
    parser.add_argument("--mask_suffix", help="the same for --mask_folder, such as _gtFine_labelIds.png")
    parser.add_argument("--instance_suffix", help="the same for --instance_folder, such as _gtFine_instanceIds.png")
    parser.add_argument("--image_prefix", help="start of the image names, such as image_: the rest makes pairs")
    parser.add_argument("--mask_prefix", help="the same for --mask_folder, such as gt_")
    parser.add_argument("--instance_prefix", help="the same for --instance_folder")
    parser.add_argument(
        "--class_masks",
        action="store_true",
        help="--mask_folder has black and white masks, one per class: 1-grass.png, 1-sky.png or 1/grass.png for "
        "1.jpg; where they overlap, the class with the larger id wins",
    )
    parser.add_argument("--image_column", default="image")
    parser.add_argument("--mask_column", default="label")
    parser.add_argument("--instance_column", help="column of instance maps, for models with an edge channel")
    parser.add_argument(
        "--label_set",
        help="built-in set, JSON file, or table of colours: .txt or .csv; default: labels.json with the data, "
        "CVAT's labelmap.txt or Roboflow's _classes.csv in --mask_folder, or the categories of --panoptic_json",
    )
    parser.add_argument(
        "--color_tolerance", type=nonnegative, help="map other colours to the nearest label within this RGB distance"
    )


def add_folder_options(parser: _TakesOptions, which: str, *, instances: bool = True) -> None:
    """Add the options that name folders of pairs.

    Args:
        parser: Gets the options.
        which (`str`): Start of their names: `""`, or such as `"validation_"` for other pairs than the training's,
            whose files have names with the same ends.
        instances (`bool`, defaults to `True`): Whether the folders can have instance maps.
    """
    of = f", for --{which}image_folder" if which else ""
    other = " of other pairs" if which else ", instead of --dataset_name; paired by file name"
    parser.add_argument(f"--{which}image_folder", help=f"folder of images{other}")
    parser.add_argument(
        f"--{which}mask_folder", help=f"folder of masks: ids or the label set's colours; or CVAT's zip file{of}"
    )
    if instances:
        parser.add_argument(
            f"--{which}instance_folder", help=f"folder of instance maps, for models with an edge channel{of}"
        )
    parser.add_argument(
        f"--{which}file_list", help=f"text file: read only these names, without suffix or extension{of}"
    )
    parser.add_argument(
        f"--{which}panoptic_json", help=f"COCO's panoptic annotations of the files in these folders{of}"
    )


def problem_with_folders(args: argparse.Namespace, which: str) -> str | None:
    """Return an error message if the options of [`add_folder_options`] are invalid, else `None`."""
    image, mask, instance, file_list, panoptic = (
        getattr(args, f"{which}{name}", None)
        for name in ("image_folder", "mask_folder", "instance_folder", "file_list", "panoptic_json")
    )
    if (image is None) != (mask is None) or (instance is not None and mask is None):
        if not hasattr(args, f"{which}instance_folder"):
            return f"--{which}image_folder and --{which}mask_folder must be given together."
        return (
            f"--{which}image_folder, --{which}mask_folder and --{which}instance_folder must be given together; the "
            "last is optional."
        )
    for name, value in (("file_list", file_list), ("panoptic_json", panoptic)):
        if value is not None and image is None:
            return f"--{which}{name} belongs to --{which}image_folder and --{which}mask_folder, which are missing."
    return None


def problem_with_data(args: argparse.Namespace) -> str | None:
    """Return an error message if the options of [`add_data_options`] are invalid, else `None`."""
    if (args.dataset_name is None) == (args.image_folder is None):
        return "Give either --dataset_name, or --image_folder with --mask_folder."
    if problem := problem_with_folders(args, ""):
        return problem
    columns = {"image_column": "image", "mask_column": "label", "instance_column": None}
    if args.image_folder is not None:
        for name, default in {"dataset_config_name": None, **columns}.items():
            if getattr(args, name) != default:
                return f"--{name} belongs to --dataset_name; folders have no configurations and columns. Leave it out."
    ends = [f"{name}_{end}" for end in ("suffix", "prefix") for name in ("image", "mask", "instance")]
    given = [name for name in ends if getattr(args, name) is not None] + ["class_masks"] * args.class_masks
    if given and args.image_folder is None:
        return f"--{given[0]} belongs to --image_folder and --mask_folder, which are missing."
    for name in ("instance_suffix", "instance_prefix"):
        if name in given and args.instance_folder is None:
            return f"--{name} belongs to --instance_folder, which is missing."
    given += ["file_list"] * (args.file_list is not None)
    if args.panoptic_json is not None and given:
        return f"--panoptic_json names the files of each pair, so --{given[0]} is not needed. Leave one of them out."
    return None


def check_belonging(args: argparse.Namespace) -> None:
    """Raise a ValueError for an option of `args.belonging` that is given without the option that it belongs to."""
    for name, owners in args.belonging.items():
        if getattr(args, name) not in (None, False) and all(getattr(args, owner) is None for owner in owners):
            raise ValueError(f"`{name}` belongs to {' or '.join(f'`{owner}`' for owner in owners)}, which is missing.")


def has_no_effect(parser: argparse.ArgumentParser, args: argparse.Namespace, names: Iterable[str]) -> str | None:
    """Return the first of these options that was given a value other than its default; `None` if there is none."""
    return next((f"--{name}" for name in names if getattr(args, name) != parser.get_default(name)), None)


def as_typed(message: str, options: Mapping[str, str]) -> str:
    """Replace the library's parameters in a message by options.

    Args:
        message (`str`): An error of the library: "... or pass `color_tolerance=20`."
        options (`dict[str, str]`): Parameter -> option: `{"color_tolerance": "--color-tolerance"}`.

    Returns:
        `str`: "... or pass --color-tolerance 20."
    """

    def typed(match: re.Match) -> str:
        parameter, value = match.groups()
        if parameter in ("suffixes", "prefixes"):
            return _typed_ends("suffix" if parameter == "suffixes" else "prefix", value)
        if parameter not in options:
            return match[0]
        return options[parameter] if value is None else f"{options[parameter]} {value}"

    return re.sub(r"`(\w+)(?:=([^`]+))?`", typed, message)


def _typed_ends(end: str, value: str | None) -> str:
    """Return the options of `load_folders`' `suffixes` or `prefixes`, of which a message gives `{'label': '.png'}`."""
    if value is None:
        return f"--image_{end}, --mask_{end} and --instance_{end}"
    option_of = {"image": "image", "label": "mask", "instance": "instance"}
    ends = ast.literal_eval(value)
    return " ".join(f"--{option_of[column]}_{end} {shlex.quote(text)}" for column, text in ends.items())


def options_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Map parameters to options; see [`as_typed`]."""
    actions = [action for action in parser._actions if action.option_strings]
    return {action.dest: next(name for name in action.option_strings if name.startswith("--")) for action in actions}
