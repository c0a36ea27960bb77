"""Checks of the values in a network's config.json, which can come from others."""

import inspect
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


MAX_NUMBER = 10**6  # far above any width, size or number of labels


def check_config(cls: type, config: dict[str, Any]) -> None:
    """Raise a ValueError unless a config has the constructor's arguments, with values of the right types."""
    hints = get_type_hints(cls.__init__)
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name not in config and parameter.default is parameter.empty:
            raise ValueError(f"The config of {cls.__name__} lacks `{name}`. Copy or download config.json again.")
        hint = hints.get(name, Any)
        if name in config and not _fits(config[name], hint):
            raise ValueError(
                f"The config of {cls.__name__} has `{name}` {str(config[name])[:60]!r}; allowed is "
                f"{getattr(hint, '__name__', hint)}. Copy or download config.json again."
            )


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value has an annotated type; True for types that JSON lacks."""
    parts = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in parts
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            return False
        hints = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(value) == len(hints) and all(map(_fits, value, hints))
    if hint in (int, float):
        is_number = isinstance(value, int | hint) and not isinstance(value, bool)
        return is_number and abs(value) <= MAX_NUMBER  # False for NaN as well
    return isinstance(value, hint) if hint in (bool, str, NoneType) else True
