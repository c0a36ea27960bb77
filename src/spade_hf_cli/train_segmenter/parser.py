"""The command line of training a segmenter: config files, and checks before anything is loaded."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from ..config_file import with_config
from ..data_options import problem_with_data
from ..declaring import add_options, collect
from ..options import as_typed, options_of
from ..parsing import OneLineParser, OptionParser
from ..train.checks import problem_with_validation
from ..train.parser import RENAMED
from ..unused import Rule, unused_option
from .options import SegmenterOptions


__all__ = ["RENAMED", "build_parser", "parse_args"]
RULES = (
    Rule(
        "instance_folder instance_suffix instance_prefix instance_column condition_folder condition_suffix "
        "condition_prefix condition_column condition_channels condition_range image_channels value_range "
        "display_channels soft_class_masks",
        lambda options: True,
        "is not for segmenters, which read RGB photographs and learn from hard masks. Leave it out.",
    ),
    Rule(
        "image_size width",
        lambda options: options.pretrained_model_name_or_path is not None,
        "has no effect with --pretrained_model_name_or_path, which decides. Leave it out.",
    ),
    Rule(
        "lr_decay_start",
        lambda options: options.lr_scheduler != "constant_then_linear",
        "has no effect with another --lr_scheduler than constant_then_linear. Leave it out.",
        True,
    ),
    Rule(
        "hub_private_repo",
        lambda options: not options.push_to_hub,
        "has no effect without --push_to_hub. Leave it out.",
    ),
)


def build_parser(prog: str | None = None) -> OptionParser:
    """Build the parser of all options."""
    description = "Train a segmenter, which tells the labels of a photograph's pixels, on images and their label maps."
    parser = OptionParser(prog=prog, description=description)
    add_options(parser, SegmenterOptions)
    return parser


def parse_args(input_args: Sequence[str] | None = None, *, prog: str | None = None) -> SegmenterOptions:
    """Parse and check the options; the command line overrides `--config`, which overrides the defaults."""
    parser = build_parser(prog)
    given = list(sys.argv[1:] if input_args is None else input_args)
    first = OneLineParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config")
    given, chosen = with_config(first.parse_known_args(given)[0].config, given, parser)
    options = collect(SegmenterOptions, parser.parse_args(given))
    problem = unused_option(options, RULES, _names(chosen)) or problem_with(options)
    if problem is not None:
        parser.error(as_typed(problem, options_of(parser)))
    return replace(options, resolution=[options.resolution[0], options.resolution[-1]])


def problem_with(options: SegmenterOptions) -> str | None:
    """Return an error message if the options are invalid, else `None`."""
    if problem := problem_with_data(options) or problem_with_validation(options):
        return problem
    if options.overwrite_output_dir and options.resume_from_checkpoint:
        return "--overwrite_output_dir deletes the run that --resume_from_checkpoint continues. Give one of them."
    if options.hub_strategy != "end" and not options.push_to_hub:
        return f"--hub_strategy {options.hub_strategy} needs --push_to_hub."
    if len(options.resolution) > 1 or options.resolution[0] < 32:
        return f"--resolution is {' '.join(map(str, options.resolution))}; give one side of 32 or more."
    if options.image_size is not None and options.image_size < 32:
        return f"--image_size is {options.image_size}; give 32 or more."
    return None


def _names(given: list[str]) -> set[str]:
    """Return the names of the options in words."""
    parser = build_parser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return set(vars(parser.parse_args(given)))
