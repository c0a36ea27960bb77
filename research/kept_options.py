"""Options and data kept beside results, so that a later start with others does not take the results for its own."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import datasets

from spade_hf.data.fingerprint import Fingerprint, fingerprint, first_difference
from spade_hf.data.rows import select_images
from spade_hf.files import write_text
from spade_hf_cli.data import columns_of, open_label_set, open_rows
from spade_hf_cli.train.options import TrainOptions


T = TypeVar("T")
# Options that say where something is, not what it is, or how fast it is read
PLACES = {
    "dataset_name", "image_folder", "mask_folder", "instance_folder", "file_list", "panoptic_json", "label_set",
    "cache_dir", "config", "output_dir", "logging_dir", "resume_from_checkpoint", "dataloader_num_workers", "model",
    "json", "device",
}  # fmt: skip
STREAMED_ROWS = 1000  # of a stream, which is not read to its end


def resolve(parse: Callable[[list[str]], T], options: Mapping[str, Any]) -> T:
    """Parse options, so that presets and defaults are part of the result.

    Raises:
        ValueError: If they are wrong; the reason has been printed.
    """
    try:
        return parse(as_words(options))
    except SystemExit as error:
        raise ValueError(f"The options {' '.join(as_words(options))} are wrong; see above.") from error


def as_words(options: Mapping[str, Any]) -> list[str]:
    """Convert options to command-line arguments; those that are `None` are left out."""
    words: list[str] = []
    for name, value in options.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif value is not None:
            words += [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return words


def describe(args: TrainOptions | argparse.Namespace, split: str) -> dict[str, Any]:
    """Describe what results depend on: the resolved options without places, and the fingerprint of the data."""
    options = {name: value for name, value in vars(args).items() if name not in PLACES}
    return {**options, "data": describe_data(args, split)}


def describe_data(args: TrainOptions | argparse.Namespace, split: str) -> Fingerprint:
    """Return the fingerprint of a split, or of folders."""
    rows = open_rows(args, split=split)
    rows, types = select_images(rows, columns_of(args))
    return fingerprint(
        rows,
        [*types],
        label_set=open_label_set(args),
        color_tolerance=args.color_tolerance,
        max_rows=STREAMED_ROWS if isinstance(rows, datasets.IterableDataset) else None,
    )


def keep(file: Path, description: Mapping[str, Any], *, begun: bool, remedy: str) -> None:
    """Write a description beside the results that depend on it, or compare it with the one that is there.

    Args:
        file (`Path`): The JSON file, beside the results.
        description (`Mapping[str, Any]`): See [`describe`].
        begun (`bool`): Whether there are results.
        remedy (`str`): How to get new results.

    Raises:
        ValueError: If there are results with other options or of other data; the message names the first difference.
    """
    now = json.loads(json.dumps(description))
    if begun and not file.is_file():
        raise ValueError(f"{file.parent} has results without {file.name}, of an older version. {remedy}")
    if begun:
        before = json.loads(file.read_text(encoding="utf-8"))
        for name, value in now.items():
            if name not in before:  # an option that did not exist then
                continue
            if isinstance(value, dict):
                if difference := first_difference(before[name], value):
                    raise ValueError(f"{file.parent} has results of other {name}: {difference}. {remedy}")
            elif value != before[name]:
                raise ValueError(f"{file.parent} has results with {name} {before[name]}; now it is {value}. {remedy}")
        return
    write_text(file, json.dumps(now, indent=2) + "\n")
