"""Declares a program's options once, as the fields of a dataclass; parser, defaults, card and warnings derive from it.

    @dataclass
    class TrainOptions:
        train_batch_size: int = option(4, "per process", kind=count, group="optimization")

A field's name is the option's, its default the option's default, and its metadata says the rest.
"""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def option(
    default: Any,
    help: str,
    *,
    group: str,
    kind: Callable[[str], Any] | None = None,
    choices: Sequence[Any] | None = None,
    many: str | None = None,
    free: bool = False,
    on_card: bool = False,
) -> Any:
    """Declare a field.

    Args:
        default: The option's default. A `bool` makes a switch: `False` one that turns on, `True` a pair with `--no-`.
        help (`str`): What the option does, without its default, which the help adds.
        group (`str`): Heading of the help under which the option stands.
        kind (`Callable`, *optional*): Converts and checks the text; such as `count`. Default: text.
        choices (`Sequence`, *optional*): The allowed values.
        many (`str`, *optional*): argparse's `nargs` of a list: `"+"` or `"*"`.
        free (`bool`, defaults to `False`): Whether a resumed run may change it without a warning.
        on_card (`bool`, defaults to `False`): Whether the model card states it.
    """
    metadata = {"help": help, "group": group, "kind": kind, "choices": choices, "many": many}
    metadata |= {"free": free, "on_card": on_card}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def add_options(
    parser: argparse.ArgumentParser, declared: type, *, descriptions: Mapping[str, str] | None = None
) -> None:
    """Add an option for each field, under the heading of its group.

    Args:
        parser (`argparse.ArgumentParser`): The parser.
        declared (`type`): A dataclass of fields that [`option`] declares.
        descriptions (`Mapping[str, str]`, *optional*): A sentence below the heading, by group.
    """
    groups: dict[str, Any] = {}
    for field in dataclasses.fields(declared):
        about = field.metadata
        if about["group"] not in groups:
            description = (descriptions or {}).get(about["group"])
            groups[about["group"]] = parser.add_argument_group(about["group"], description)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        settings: dict[str, Any] = {"default": default, "help": about["help"]}
        if isinstance(default, bool):
            settings["action"] = argparse.BooleanOptionalAction if default else "store_true"
        else:
            settings |= {"type": about["kind"], "choices": about["choices"], "nargs": about["many"]}
        groups[about["group"]].add_argument(f"--{field.name}", **settings)


def names_with(declared: type, mark: str) -> tuple[str, ...]:
    """Return the names of the fields that are marked, as `free` or `on_card`."""
    return tuple(field.name for field in dataclasses.fields(declared) if field.metadata[mark])
