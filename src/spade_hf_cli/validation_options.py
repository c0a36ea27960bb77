"""Options of training for pairs that are not trained on."""

import argparse

from .options import add_folder_options, problem_with_folders
from .parsing import proper_share


def add_validation_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; see [`problem_with_validation`]."""
    validation = parser.add_argument_group("validation", "pairs that are not trained on, for samples and evaluations")
    add_folder_options(validation, "validation_")
    validation.add_argument(
        "--validation_share",
        type=proper_share,
        help="share of the pairs of --image_folder to hold out, by a hash of their names; "
        "their list is validation_files.txt in --output_dir",
    )


def problem_with_validation(args: argparse.Namespace) -> str | None:
    """Return an error message if the options for pairs that are not trained on are invalid, else `None`."""
    if problem := problem_with_folders(args, "validation_"):
        return problem
    has_folders, has_share = args.validation_image_folder is not None, args.validation_share is not None
    for name in ["validation_image_folder"] * has_folders + ["validation_share"] * has_share:
        if args.image_folder is None:
            return f"--{name} belongs to --image_folder; with --dataset_name, --evaluation_split names other pairs."
    if has_folders and has_share:
        return "--validation_share holds out pairs of --image_folder; --validation_image_folder has others. Give one."
    for name in ["instance_folder", "panoptic_json"] * has_folders:
        if (getattr(args, name) is None) != (getattr(args, f"validation_{name}") is None):
            return f"--{name} and --validation_{name} belong together: give both or none."
    if args.evaluation_steps and not (has_folders or has_share) and (args.dataset_name is None or args.streaming):
        return (
            "--evaluation_steps needs pairs that are not trained on: --validation_image_folder and "
            "--validation_mask_folder, --validation_share, or --dataset_name with another split, without --streaming."
        )
    return None
