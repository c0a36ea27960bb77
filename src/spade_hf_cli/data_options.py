"""Options that say where pairs of images and masks are, and what the masks mean; `data.py` opens them."""

import argparse
import math
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from .declaring import default_of, option
from .parsing import count, natural, nonnegative
from .unused import Rule, unused_option


data_option = partial(option, group="data")
FOLDERS = ("image", "mask", "instance", "condition")
WITHOUT_MASKS = "none"  # in the place of a column's name
ENDS = (
    "image_suffix mask_suffix instance_suffix condition_suffix image_prefix mask_prefix instance_prefix "
    "condition_prefix"
)


def has_masks(options: Any) -> bool:
    """Return whether the options name masks, and not only images and their conditions."""
    if options.image_folder is not None:
        return options.mask_folder is not None
    return options.mask_column != WITHOUT_MASKS


RULES = (
    Rule(
        "dataset_config_name image_column mask_column instance_column condition_column",
        lambda options: options.image_folder is not None,
        "belongs to --dataset_name; folders have no configurations and columns. Leave it out.",
    ),
    Rule(
        f"{ENDS} class_masks soft_class_masks",
        lambda options: options.image_folder is None,
        "belongs to --image_folder and --mask_folder, which are missing.",
    ),
    Rule(
        "condition_folder",
        lambda options: options.image_folder is None,
        "belongs to --image_folder, which is missing.",
    ),
    Rule(
        "condition_suffix condition_prefix",
        lambda options: options.condition_folder is None,
        "belongs to --condition_folder, which is missing.",
    ),
    Rule(
        "label_set color_tolerance class_masks soft_class_masks ids_in_red mask_suffix mask_prefix instance_column",
        lambda options: not has_masks(options),
        "is about masks, and there are none. Leave it out.",
        also_zero=True,
    ),
    Rule(
        "instance_suffix instance_prefix",
        lambda options: options.instance_folder is None,
        "belongs to --instance_folder, which is missing.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Pairs of images and masks: a data set, or folders."""

    dataset_name: str | None = data_option(None, "Hub data set, local folder or parquet file")
    dataset_config_name: str | None = data_option(None, "configuration of the data set")
    image_folder: str | None = data_option(None, "folder of images, instead of --dataset_name; paired by file name")
    mask_folder: str | None = data_option(None, "folder of masks: ids or the label set's colors; or CVAT's zip file")
    instance_folder: str | None = data_option(None, "folder of instance maps, for models with an edge channel")
    condition_folder: str | None = data_option(
        None,
        "folder of conditions, such as depth maps, edges or pictures, for models that read them beside the masks, or "
        "without --mask_folder in their place",
    )
    file_list: str | None = data_option(None, "text file: read only these names, without suffix or extension")
    panoptic_json: str | None = data_option(None, "COCO's panoptic annotations of the files in these folders")
    image_suffix: str | None = data_option(
        None, "end of the image names, such as _leftImg8bit.png: the rest makes pairs; also reads subfolders"
    )
    mask_suffix: str | None = data_option(None, "the same for --mask_folder, such as _gtFine_labelIds.png")
    instance_suffix: str | None = data_option(None, "the same for --instance_folder, such as _gtFine_instanceIds.png")
    condition_suffix: str | None = data_option(None, "the same for --condition_folder, such as _depth.npy")
    image_prefix: str | None = data_option(None, "start of the image names, such as image_: the rest makes pairs")
    mask_prefix: str | None = data_option(None, "the same for --mask_folder, such as gt_")
    instance_prefix: str | None = data_option(None, "the same for --instance_folder")
    condition_prefix: str | None = data_option(None, "the same for --condition_folder")
    class_masks: bool = data_option(
        False,
        "--mask_folder has black and white masks, one per class: 1-grass.png, 1-sky.png or 1/grass.png for 1.jpg; "
        "where they overlap, the class with the larger id wins",
    )
    soft_class_masks: bool = data_option(
        False,
        "like --class_masks, but of gray masks: the weights of their classes, from black 0 to white 1, and overlaps "
        "stay, so that the model reads soft masks",
    )
    ids_in_red: bool = data_option(
        False,
        "masks are RGB with the ids in the red channel, as CARLA saves them, or in three equal channels; else colors "
        "of RGB are those of the label set",
    )
    image_column: str = data_option("image")
    mask_column: str = data_option("label", "none: images and their conditions only, without labels")
    instance_column: str | None = data_option(None, "column of instance maps, for models with an edge channel")
    condition_column: str | None = data_option(None, "column of conditions; see --condition_folder")
    label_set: str | None = data_option(
        None,
        "built-in set, JSON file, or table of colors: .txt or .csv; default: labels.json with the data, CVAT's "
        "labelmap.txt or Roboflow's _classes.csv in --mask_folder, or the categories of --panoptic_json",
    )
    color_tolerance: float | None = data_option(
        None, "map other colors to the nearest label within this RGB distance", kind=nonnegative
    )
    image_channels: int = data_option(
        3, "channels of the images: 1 for gray, 3 for RGB, or any number", kind=count, card=True
    )
    value_range: list[float] | None = data_option(
        None,
        "values of black and white in the images, such as -1000 1000; default: those of their type",
        kind=float,
        many="+",
        card=True,
    )
    display_channels: list[int] | None = data_option(
        None,
        "the channels that grids and sheets show as red, green and blue; default: 0 1 2",
        kind=int,
        many="+",
        card=True,
    )
    condition_channels: int = data_option(
        0, "channels of the conditions: 1 for a depth map, 3 for RGB, or any number", kind=natural, card=True
    )
    condition_range: list[float] | None = data_option(
        None,
        "numbers of the conditions that become -1 and 1, such as 0 80 in meters; default: those of their type",
        kind=float,
        many="+",
        card=True,
    )


def problem_with_folders(options: Any, which: str) -> str | None:
    """Return an error message if the options that name folders are invalid, else `None`.

    Args:
        options: Has them as attributes.
        which (`str`): Start of their names: `""`, or such as `"validation_"` for other pairs than the training's.
    """
    image, mask, instance, condition, file_list, panoptic = (
        getattr(options, f"{which}{name}", None)
        for name in (
            "image_folder",
            "mask_folder",
            "instance_folder",
            "condition_folder",
            "file_list",
            "panoptic_json",
        )
    )
    is_pair = (image is None) == (mask is None) or (condition is not None and mask is None)
    if not is_pair or (instance is not None and mask is None):
        if not hasattr(options, f"{which}instance_folder"):
            return f"--{which}image_folder and --{which}mask_folder must be given together."
        return (
            f"--{which}image_folder, --{which}mask_folder and --{which}instance_folder must be given together; the "
            f"last is optional. Without masks, give --{which}condition_folder in their place."
        )
    for name, value, needed in (("file_list", file_list, image), ("panoptic_json", panoptic, mask)):
        if value is not None and needed is None:
            return f"--{which}{name} belongs to --{which}image_folder and --{which}mask_folder, which are missing."
    return None


def problem_with_channels(options: Any) -> str | None:
    """Return an error message if the options about the images' channels and values are invalid, else `None`."""
    for name, what in (("value_range", "the values of black and of white"), ("condition_range", "of -1 and of 1")):
        values = getattr(options, name)
        if values is not None and (len(values) != 2 or not all(map(math.isfinite, values)) or values[0] >= values[1]):
            return (
                f"--{name} is {' '.join(f'{value:g}' for value in values)}; give two numbers, {what}, the smaller one "
                "first."
            )
    if (shown := options.display_channels) is not None:
        count = options.image_channels
        if len(shown) != 3 or not all(0 <= channel < count for channel in shown):
            return f"--display_channels is {' '.join(map(str, shown))}; give three numbers in 0..{count - 1}."
    return None


def problem_with_condition(options: DataOptions | argparse.Namespace) -> str | None:
    """Return an error message if conditions and their channels do not go together, else `None`.

    For commands without a model, which would know its own channels.
    """
    given = [name for name in ("condition_folder", "condition_column") if getattr(options, name) is not None]
    if given and options.condition_channels == 0:
        return (
            f"--{given[0]} needs --condition_channels, the number of channels of each condition: 1 for depth or "
            "edges, 3 for RGB."
        )
    if options.condition_channels > 0 and not given:
        return (
            f"--condition_channels is {options.condition_channels}, but there are no conditions. Give "
            "--condition_folder, or --condition_column of a data set."
        )
    if not has_masks(options) and not given:
        return "--mask_column is none, so --condition_column and --condition_channels are needed. Give both."
    if options.condition_range is not None and not given:
        return "--condition_range is for conditions, and there are none. Leave it out."
    return None


def problem_with_data(options: DataOptions | argparse.Namespace) -> str | None:
    """Return an error message if the options of [`DataOptions`] are invalid, else `None`; see [`as_typed`]."""
    if (options.dataset_name is None) == (options.image_folder is None):
        return "Give either --dataset_name, or --image_folder with --mask_folder."
    if problem := problem_with_folders(options, ""):
        return problem
    given = {field.name for field in fields(DataOptions) if getattr(options, field.name) != default_of(field)}
    if problem := unused_option(options, RULES, given):
        return problem
    if problem := problem_with_channels(options):
        return problem
    if options.class_masks and options.soft_class_masks:
        return "--class_masks makes hard masks and --soft_class_masks soft ones. Give one of them."
    if options.ids_in_red and (options.class_masks or options.soft_class_masks or options.panoptic_json is not None):
        return "--ids_in_red is for masks of ids, one file per image. Leave it out."
    named = [name for name in ENDS.split() if not name.startswith("condition_")]  # conditions are found by name
    of_files = [name for name in (*named, "class_masks", "soft_class_masks", "file_list") if name in given]
    if options.panoptic_json is not None and of_files:
        return (
            f"--panoptic_json names the files of each pair, so --{of_files[0]} is not needed. Leave one of them out."
        )
    return None
