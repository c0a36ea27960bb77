"""Options that have no effect beside the others are errors, so that nobody relies on them."""

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """Options without effect.

    A value of 0 or false turns an option off, which may be said also where the option would have no effect.

    Args:
        options (`str`): Their names, separated by spaces.
        is_unused (`Callable[[Any], bool]`): Whether the other options, its argument's attributes, leave them without
            effect.
        reason (`str`): What the message says of the option: "belongs to --paste, which is missing." In it,
            `{segmenter}` is an option's value.
        also_zero (`bool`, defaults to `False`): Whether 0 is a value like others.
    """

    options: str
    is_unused: Callable[[Any], bool]
    reason: str
    also_zero: bool = False


def unused_option(options: Any, rules: Sequence[Rule], given: Collection[str] | None = None) -> str | None:
    """Return an error message if an option was given that has no effect, else `None`.

    Args:
        options: Has the values of all options as attributes.
        rules (`Sequence[Rule]`): The command's.
        given (`Collection[str]`, *optional*): Names of the options that were given. Default: all that have a value.
    """
    for rule in rules:
        for name in rule.options.split():
            is_given = (given is None or name in given) and (getattr(options, name) or rule.also_zero)
            if is_given and rule.is_unused(options):
                return f"`{name}` {rule.reason.format_map(vars(options))}"
    return None


def changed(parser: argparse.ArgumentParser, args: argparse.Namespace) -> set[str]:
    """Return the names of the options with other values than their defaults."""
    return {name for name, value in vars(args).items() if value != parser.get_default(name)}
