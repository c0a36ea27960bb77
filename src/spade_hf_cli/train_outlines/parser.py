"""The command line of training an outline model: config files, and checks before anything is loaded."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from ..config_file import with_config
from ..declaring import add_options, collect
from ..options import as_typed, options_of
from ..parsing import OneLineParser, OptionParser
from ..train.parser import RENAMED
from ..unused import Rule, unused_option
from .options import OutlineOptions


__all__ = ["RENAMED", "build_parser", "parse_args"]
RULES = (
    Rule(
        "dataset_config_name mask_column train_split cache_dir",
        lambda options: options.mask_folder is not None,
        "belongs to --dataset_name; a folder has none. Leave it out.",
    ),
    Rule(
        "mask_suffix mask_prefix",
        lambda options: options.mask_folder is None,
        "belongs to --mask_folder, which is missing.",
    ),
    Rule(
        "block_out_channels num_attention_heads",
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
    description = "Train an outline model, which makes natural label maps of painted ones, on label maps."
    parser = OptionParser(prog=prog, description=description)
    add_options(parser, OutlineOptions)
    return parser


def parse_args(input_args: Sequence[str] | None = None, *, prog: str | None = None) -> OutlineOptions:
    """Parse and check the options; the command line overrides `--config`, which overrides the defaults."""
    parser = build_parser(prog)
    given = list(sys.argv[1:] if input_args is None else input_args)
    first = OneLineParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config")
    given, chosen = with_config(first.parse_known_args(given)[0].config, given, parser)
    options = collect(OutlineOptions, parser.parse_args(given))
    problem = problem_with(options) or unused_option(options, RULES, _names(chosen))
    if problem is not None:
        parser.error(as_typed(problem, options_of(parser)))
    return replace(options, resolution=[options.resolution[0], options.resolution[-1]])


def problem_with(options: OutlineOptions) -> str | None:
    """Return an error message if the options are invalid, else `None`."""
    if (options.dataset_name is None) == (options.mask_folder is None):
        return "Give either --dataset_name or --mask_folder."
    if options.overwrite_output_dir and options.resume_from_checkpoint:
        return "--overwrite_output_dir deletes the run that --resume_from_checkpoint continues. Give one of them."
    if options.hub_strategy != "end" and not options.push_to_hub:
        return f"--hub_strategy {options.hub_strategy} needs --push_to_hub."
    if len(options.resolution) > 2 or any(side < 8 or side % 8 for side in options.resolution):
        return (
            f"--resolution is {' '.join(map(str, options.resolution))}; give one side, or height and width, each a "
            "multiple of 8."
        )
    return None


def _names(given: list[str]) -> set[str]:
    """Return the names of the options in words."""
    parser = build_parser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return set(vars(parser.parse_args(given)))
