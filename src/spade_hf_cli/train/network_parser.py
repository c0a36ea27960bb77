"""What the command lines of programs that train one network share: config files, rules and checks."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..config_file import with_config
from ..declaring import add_options, collect
from ..options import as_typed, options_of
from ..parsing import OneLineParser, OptionParser
from ..unused import Rule, unused_option


RUN_RULES = (
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


def parser_of(kind: type, *, description: str, prog: str | None) -> OptionParser:
    """Build the parser of all options that a class declares."""
    parser = OptionParser(prog=prog, description=description)
    add_options(parser, kind)
    return parser


def parse_network_args(
    kind: type,
    input_args: Sequence[str] | None,
    build: Callable[[], OptionParser],
    rules: Sequence[Rule],
    find_problem: Callable[[Any], str | None],
) -> Any:
    """Parse and check the options; the command line overrides `--config`, which overrides the defaults.

    Args:
        kind (`type`): The class that declares the options, with `resolution` among them.
        input_args (`Sequence[str]`, *optional*): Words instead of those of the command line.
        build (`Callable`): Builds the parser.
        rules (`Sequence[Rule]`): When an option has no effect, beside `RUN_RULES`.
        find_problem (`Callable`): Returns a message if the options are invalid, else `None`.

    Returns:
        The options, with height and width as `resolution`.
    """
    parser = build()
    given = list(sys.argv[1:] if input_args is None else input_args)
    first = OneLineParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config")
    given, chosen = with_config(first.parse_known_args(given)[0].config, given, parser)
    options = collect(kind, parser.parse_args(given))
    problem = (
        find_problem(options)
        or problem_with_run(options)
        or unused_option(options, (*rules, *RUN_RULES), _names(build(), chosen))
    )
    if problem is not None:
        parser.error(as_typed(problem, options_of(parser)))
    return replace(options, resolution=[options.resolution[0], options.resolution[-1]])


def problem_with_run(options: Any) -> str | None:
    """Return an error message if the options of checkpoints and uploads contradict each other, else `None`."""
    if options.overwrite_output_dir and options.resume_from_checkpoint:
        return "--overwrite_output_dir deletes the run that --resume_from_checkpoint continues. Give one of them."
    if options.hub_strategy != "end" and not options.push_to_hub:
        return f"--hub_strategy {options.hub_strategy} needs --push_to_hub."
    return None


def _names(parser: argparse.ArgumentParser, given: list[str]) -> set[str]:
    """Return the names of the options in words."""
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return set(vars(parser.parse_args(given)))
