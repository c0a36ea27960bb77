"""Files of options, YAML or JSON: read as command-line words, so that their values are parsed and checked alike."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


TRUE, FALSE = ("true", "yes", "on"), ("false", "no", "off")


class _Word(str):
    """One of these words without quotes, which YAML takes for a truth value."""


class _TextLoader(yaml.SafeLoader):
    """Loader that keeps the text of a value: `no` can be a choice, and `007` a name."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        """Return the values by name; an error if a name occurs twice, since YAML would drop the first value."""
        names = [key.value for key, _ in node.value]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{repeated[0]} occurs {names.count(repeated[0])} times; give it once")
        return super().construct_mapping(node, deep)


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":int", ":float", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_TextLoader.add_constructor("tag:yaml.org,2002:bool", lambda loader, node: _Word(node.value))


def read_options(file: Path, parser: argparse.ArgumentParser) -> tuple[list[str], bool]:
    """Convert a file to command-line words.

    Args:
        file (`Path`): Maps names of options to values; `null` means that an option was not given.
        parser (`ArgumentParser`): Knows the options.

    Returns:
        `tuple[list[str], bool]`: The words, and whether the file is a run's record: a checkpoint's `arguments.json`
            and a dry run's recipe have the values of all options, those of their own `config` among them.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds something else, or an option that does not exist.
        yaml.YAMLError: If it is neither YAML nor JSON.
    """
    values = yaml.load(file.read_text(encoding="utf-8"), Loader=_TextLoader)  # JSON is YAML
    if not isinstance(values, dict):
        raise ValueError("it must map option names to values, such as `train_batch_size: 8`")
    is_record = "dry_run" in values
    if values.get("config") is not None and not is_record:
        raise ValueError("it names another `config`, which would not be read: copy its options")
    actions = {action.dest: action for action in parser._actions}
    words: list[str] = []
    for name, value in values.items():
        if name not in actions:
            raise ValueError(f"there is no option {name!r}")
        if value is None:
            continue
        if actions[name].nargs == 0:
            words += _switch(actions[name], value)
        elif isinstance(value, list):
            words += [f"--{name}", *(_text(actions[name], one) for one in value)]
        else:
            words.append(f"--{name}={_text(actions[name], value)}")
    return words, is_record


def with_config(file: str | None, given: list[str], parser: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """Put the words of a `--config` file before those that were given, which override them; errors end the program.

    Returns:
        `tuple[list[str], list[str]]`: All words, and those that somebody has chosen: not those of a run's record.
    """
    if file is None:
        return given, given
    try:
        words, is_record = read_options(Path(file), parser)
    except (OSError, ValueError, yaml.YAMLError) as error:
        parser.error(f"--config {file} cannot be used: {' '.join(str(error).split())}.")
    return [*words, *given], given if is_record else [*words, *given]


def as_yaml(options: Mapping[str, Any]) -> str:
    """Return the text of a file of all options of a run, which [`read_options`] takes for its record."""
    return yaml.safe_dump(dict(options), sort_keys=False, allow_unicode=True, default_flow_style=None, width=10_000)


def _switch(action: argparse.Action, value: Any) -> list[str]:
    """Return the words of an option without a value."""
    word = str(value).lower()
    if word not in (*TRUE, *FALSE):
        raise ValueError(f"{action.dest} is {value!r}; it must be true or false")
    if word in TRUE:
        return [f"--{action.dest}"]
    return [f"--no-{action.dest}"] if isinstance(action, argparse.BooleanOptionalAction) else []


def _text(action: argparse.Action, value: Any) -> str:
    """Return a value's text."""
    if isinstance(value, _Word) and action.choices is None:
        raise ValueError(f"{action.dest} is {value}, a truth value in YAML; if it is meant as text, write '{value}'")
    if not isinstance(value, str):
        raise ValueError(f"{action.dest} has {value!r}; it must be a number or a text")
    return value
