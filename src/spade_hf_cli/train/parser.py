"""The command line of training: presets, config files, and checks before anything is loaded."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from ..config_file import with_config
from ..declaring import add_options, collect
from ..options import as_typed, options_of
from ..parsing import OneLineParser, OptionParser
from ..unused import unused_option
from .checks import problem_with
from .options import DESCRIPTIONS, TrainOptions
from .presets import PRESETS, changed_defaults
from .unused_options import RULES


# Parameters in the library's errors whose options have other names.
RENAMED = {
    "batch_size": "--train_batch_size",
    "load_folders": "--image_folder and --mask_folder",
    "private": "--hub_private_repo",
    "repo_id": "--hub_model_id",
}


def build_parser(prog: str | None = None) -> OptionParser:
    """Build the parser of all options; the defaults are the paper's where it states them."""
    parser = OptionParser(prog=prog, description="Train SPADE on images and their label maps.")
    add_options(parser, TrainOptions, descriptions=DESCRIPTIONS)
    return parser


def parse_args(input_args: Sequence[str] | None = None, *, prog: str | None = None) -> TrainOptions:
    """Parse and check the options.

    Later sources override earlier ones: defaults, those of `--discriminator`, `--preset`, `--config`, command line.
    """
    parser = build_parser(prog)
    given = list(sys.argv[1:] if input_args is None else input_args)
    given, chosen = with_config(_first(given).config, given, parser)
    first = _first(given)
    if first.modules:
        _import(first.modules, parser)
        _offer_registered(parser)
    parser.set_defaults(**changed_defaults(first.preset, first.discriminator))
    options = collect(TrainOptions, parser.parse_args(given))
    problem = problem_with(options) or unused_option(options, RULES, _names(chosen, first.modules))
    if problem is not None:
        parser.error(as_typed(problem, options_of(parser)))
    resolution = [options.resolution[0], options.resolution[-1]]
    image_size = options.image_size or resolution
    return replace(
        options,
        import_=[*dict.fromkeys(options.import_)],
        augment_discriminator=[kind for kind in options.augment_discriminator if kind != "none"],
        resolution=resolution,
        image_size=[image_size[0], image_size[-1]],
    )


def _import(modules: list[str], parser: argparse.ArgumentParser) -> None:
    """Import modules from the current folder or from those of Python."""
    if not {"", os.getcwd()} & {*sys.path}:  # a console script's path has only its own folder
        sys.path.append(os.getcwd())
    for name in modules:
        try:
            if not all(part.isidentifier() for part in name.split(".")):  # a path, for example
                raise ModuleNotFoundError(name=name)
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                parser.error(f"--import {name} needs the module {error.name}, which is not there. Install it.")
            parser.error(
                f"--import {name}: there is no such module, neither in this folder nor among the installed ones. Give "
                "a module's name, such as mine for mine.py."
            )


def _offer_registered(parser: argparse.ArgumentParser) -> None:
    """Let the options also take the names that imported modules have added to the library's tables."""
    from spade_hf.layers import MASK_NORMS
    from spade_hf.training import DISCRIMINATORS, GENERATORS

    tables = {"generator": GENERATORS, "mask_norm": MASK_NORMS, "discriminator": DISCRIMINATORS}
    for action in parser._actions:
        if action.dest in tables:
            action.choices = tuple(tables[action.dest])


def _names(given: list[str], modules: list[str]) -> set[str]:
    """Return the names of the options in words that parse once the modules are imported."""
    parser = build_parser()
    if modules:
        _offer_registered(parser)
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return set(vars(parser.parse_args(given)))


def _first(given: list[str]) -> argparse.Namespace:
    """Parse the options that affect the values of the others, or those that they may have."""
    first = OneLineParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", choices=sorted(PRESETS))
    first.add_argument("--config")
    first.add_argument("--discriminator")
    first.add_argument("--import", dest="modules", nargs="*", action="extend", default=[])
    return first.parse_known_args(given)[0]
