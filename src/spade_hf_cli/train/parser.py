"""The command line of training: presets, config files, and checks before anything is loaded."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from ..config_file import read_options
from ..options import problem_with_data
from ..parsing import OneLineParser
from ..validation_options import problem_with_validation
from .options import build_parser, changed_defaults
from .presets import DISCRIMINATORS, PRESETS
from .unused_options import unused_option


# Parameters in the library's errors whose options have other names.
RENAMED = {
    "batch_size": "--train_batch_size",
    "load_folders": "--image_folder and --mask_folder",
    "private": "--hub_private_repo",
    "repo_id": "--hub_model_id",
}


def parse_args(input_args: Sequence[str] | None = None, *, prog: str | None = None) -> argparse.Namespace:
    """Parse and check the options.

    Later sources override earlier ones: defaults, those of `--discriminator`, `--preset`, `--config`, command line.
    """
    parser = build_parser(prog)
    chosen = given = list(sys.argv[1:] if input_args is None else input_args)
    if file := _first(given).config:
        try:
            words, is_record = read_options(Path(file), parser)
        except (OSError, ValueError, yaml.YAMLError) as error:
            parser.error(f"--config {file} cannot be used: {' '.join(str(error).split())}.")
        given = [*words, *given]
        chosen = chosen if is_record else given
    first = _first(given)
    parser.set_defaults(**changed_defaults(first.preset, first.discriminator))
    args = parser.parse_args(given)
    problem = _problem(args) or unused_option(args, _names(chosen))
    if problem is not None:
        parser.error(problem)
    args.augment_discriminator = [kind for kind in args.augment_discriminator if kind != "none"]
    args.resolution = [args.resolution[0], args.resolution[-1]]
    args.image_size = [args.image_size[0], args.image_size[-1]] if args.image_size else args.resolution
    return args


def _names(given: list[str]) -> set[str]:
    """Return the names of the options in words that parse."""
    parser = build_parser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return set(vars(parser.parse_args(given)))


def _first(given: list[str]) -> argparse.Namespace:
    """Parse `--preset`, `--config` and `--discriminator`, which affect the values of the other options."""
    first = OneLineParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=sorted(PRESETS))
    first.add_argument("--config")
    first.add_argument("--discriminator", choices=sorted(DISCRIMINATORS))
    return first.parse_known_args(given)[0]


def _problem(args: argparse.Namespace) -> str | None:
    """Return an error message if the options are invalid, else `None`."""
    if problem := problem_with_data(args):
        return problem
    if args.streaming and (args.max_train_steps is None or args.dataset_name is None):
        return "--streaming needs --max_train_steps, as a stream has no length, and --dataset_name."
    if args.discriminator_name_or_path and not args.pretrained_model_name_or_path:
        return "--discriminator_name_or_path belongs to --pretrained_model_name_or_path, which is missing."
    if problem := problem_with_validation(args):
        return problem
    if args.discriminator != "segmentation" and (args.discriminator_backbone == "none") == (
        args.discriminator == "projected"
    ):
        allowed = DISCRIMINATORS[args.discriminator]["discriminator_backbone"]
        return (
            f"--discriminator_backbone is {args.discriminator_backbone}; with --discriminator {args.discriminator} "
            f"it must be {allowed}."
        )
    if args.overwrite_output_dir and args.resume_from_checkpoint:
        return "--overwrite_output_dir deletes the run that --resume_from_checkpoint continues. Give one of them."
    if args.hub_strategy != "end" and not args.push_to_hub:
        return f"--hub_strategy {args.hub_strategy} needs --push_to_hub."
    divisor = 2**args.num_upsampling_layers
    for name in ("resolution", "image_size"):
        size = getattr(args, name)
        if size is not None and (len(size) > 2 or any(side < 1 or side % divisor for side in size)):
            return (
                f"--{name} is {' '.join(map(str, size))}; give one side, or height and width, each a multiple of "
                f"{divisor} with --num_upsampling_layers {args.num_upsampling_layers}."
            )
    return None
