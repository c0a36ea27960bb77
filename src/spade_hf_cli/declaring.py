"""Declares options once, as the fields of a dataclass; parsers, cards and warnings derive from them.

    @dataclass(frozen=True, kw_only=True)
    class TrainOptions:
        train_batch_size: int = option(4, "per process", kind=count, group="optimization", card=True)

A field's name is the option's: `train_batch_size` is `--train_batch_size`. The underscore at the end of a name that
is a word of Python is not part of the option: `import_` is `--import`.
"""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar


T = TypeVar("T")


def option(
    default: Any,
    help: str | None = None,
    *,
    group: str | None = None,
    kind: Callable[[str], Any] | None = None,
    choices: Sequence[Any] | None = None,
    many: str | None = None,
    adds: bool = False,
    free: bool = False,
    card: bool = False,
) -> Any:
    """Declare a field.

    Args:
        default: The option's default. A `bool` makes a switch: `False` one that turns on, `True` a pair with `--no-`.
        help (`str`, *optional*): What the option does; the help adds the default.
        group (`str`, *optional*): Heading of the help under which the option stands.
        kind (`Callable`, *optional*): Converts and checks the text, such as `count`. Default: text.
        choices (`Sequence`, *optional*): The allowed values.
        many (`str`, *optional*): argparse's `nargs` of a list: `"+"` or `"*"`.
        adds (`bool`, defaults to `False`): Whether the lists of several uses add up; else the last one counts.
        free (`bool`, defaults to `False`): Whether a resumed run may change it without a warning.
        card (`bool`, defaults to `False`): Whether the model card states it.
    """
    metadata = {"help": help, "group": group, "kind": kind, "choices": choices, "many": many, "adds": adds}
    metadata |= {"free": free, "card": card}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def same_as(declared: type, name: str, **changes: Any) -> Any:
    """Declare a field like that of another program, with its own `default`, `help` or other settings of [`option`]."""
    field = next(field for field in dataclasses.fields(declared) if field.name == name)
    return option(**{"default": default_of(field), **field.metadata, **changes})


def add_options(
    parser: argparse.ArgumentParser, declared: type, *, descriptions: Mapping[str, str] | None = None
) -> None:
    """Add an option for each field, under the heading of its group.

    Args:
        parser (`ArgumentParser`): Gets the options.
        declared (`type`): A dataclass of fields that [`option`] declares.
        descriptions (`Mapping[str, str]`, *optional*): A sentence below the heading, by group.
    """
    groups: dict[str | None, Any] = {None: parser}
    for field in dataclasses.fields(declared):
        about, default = field.metadata, default_of(field)
        if about["group"] not in groups:
            description = (descriptions or {}).get(about["group"])
            groups[about["group"]] = parser.add_argument_group(about["group"], description)
        settings: dict[str, Any] = {"default": default, "help": about["help"]}
        if isinstance(default, bool):
            settings["action"] = argparse.BooleanOptionalAction if default else "store_true"
        else:
            settings |= {"type": about["kind"], "choices": about["choices"], "nargs": about["many"]}
            settings["action"] = "extend" if about["adds"] else "store"
        groups[about["group"]].add_argument(f"--{option_name(field)}", **settings)


def collect(declared: type[T], args: argparse.Namespace) -> T:
    """Build the dataclass from what a parser with its options has read."""
    fields = dataclasses.fields(declared)  # pyright: ignore[reportArgumentType]
    return declared(**{field.name: getattr(args, option_name(field)) for field in fields})


def option_name(field: dataclasses.Field) -> str:
    """Return a field's option, without `--`."""
    return field.name.rstrip("_")


def default_of(field: dataclasses.Field) -> Any:
    """Return a field's default."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def names_with(declared: type, mark: str) -> list[str]:
    """Return the names of the options that are marked, as `free` or `card`."""
    return [option_name(field) for field in dataclasses.fields(declared) if field.metadata[mark]]
