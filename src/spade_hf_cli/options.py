"""Errors of the library in the words of the options."""

import argparse
import ast
import re
import shlex
from collections.abc import Mapping


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
        return f"--image_{end}, --mask_{end}, --instance_{end} and --condition_{end}"
    option_of = {"image": "image", "label": "mask", "instance": "instance", "condition": "condition"}
    ends = ast.literal_eval(value)
    return " ".join(f"--{option_of[column]}_{end} {shlex.quote(text)}" for column, text in ends.items())


def options_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Map parameters to options; see [`as_typed`]."""
    actions = [action for action in parser._actions if action.option_strings]
    return {action.dest: next(name for name in action.option_strings if name.startswith("--")) for action in actions}
