"""Parses command lines: both spellings of an option, near misses, one line per error, numbers within bounds.

Nothing of the library is imported, so that `--help` takes a tenth of a second.
"""

import argparse
import difflib
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn


USER_ERROR = 2  # exit status of a wrong command or input, as argparse's own


class DefaultsFormatter(argparse.HelpFormatter):
    """Help that ends with the option's default, if it has one and the text does not state it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        if text is argparse.SUPPRESS or not action.option_strings or action.default in (None, False, [], ()):
            return text
        if action.default is argparse.SUPPRESS or "default:" in (text or ""):
            return text
        value = " ".join(map(str, action.default)) if isinstance(action.default, list | tuple) else str(action.default)
        return f"{text or ''} (default: {value.replace('%', '%%')})".strip()


class OneLineParser(argparse.ArgumentParser):
    """Parser whose errors are one line, without the usage, which would push the error off the screen."""

    def error(self, message: str) -> NoReturn:
        """Print the error, and exit with status 2."""
        message = re.sub(r"^argument (--[\w-]+): is ", r"\1 is ", message)  # messages of `_number`
        self.exit(USER_ERROR, f"error: {message} See --help.\n")


class OptionParser(OneLineParser):
    """Parser that takes `--batch-size` and `--batch_size` for the same option, whichever of them is declared.

    Abbreviations are errors, and an unknown option's error names the one that was probably meant. The help states the
    defaults.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": DefaultsFormatter, "allow_abbrev": False, **kwargs})

    def format_help(self) -> str:
        """Format the help; an option without a text of its own has its default as the text."""
        for action in self._actions:
            if action.help is None and action.default not in (None, False) and action.option_strings:
                action.help = "(default: %(default)s)"
        return super().format_help()

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse, or exit with an error that suggests the option that was meant."""
        words = [self._as_declared(word) for word in (sys.argv[1:] if args is None else args)]
        parsed, unknown = super().parse_known_args(words, namespace)
        if strange := [word for word in unknown if word.startswith("--")]:
            self.error(self._did_you_mean(strange[0].partition("=")[0]))
        return parsed, unknown

    def _as_declared(self, word: str) -> str:
        """Return an option in the spelling in which it is declared; any other word as it is."""
        name, equals, value = word.partition("=")
        if not name.startswith("--") or name in self._option_string_actions:
            return word
        same = [known for known in self._option_string_actions if _spelled_alike(known) == _spelled_alike(name)]
        return f"{same[0]}{equals}{value}" if same else word

    def _did_you_mean(self, name: str) -> str:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        # an option that ends with the word that was typed is meant more often than one with similar letters
        ends = [option for option in known if _spelled_alike(option).endswith(_spelled_alike(name)[1:])]
        near = ends[:1] or difflib.get_close_matches(name, known, n=1, cutoff=0.7)
        return f"There is no option {name}{f'; did you mean {near[0]}?' if near else '.'}"


def _spelled_alike(option: str) -> str:
    return option.replace("_", "-")


def one_line(error: Exception) -> str:
    """Return an error's message in one line, without the traceback that a data loader's worker puts before it."""
    text = str(error)
    if "Original Traceback" in text:
        text = text.rpartition(f"{type(error).__name__}: ")[2]
    return " ".join(text.split()) or type(error).__name__


def _number(kind: type, is_allowed: Callable[[Any], bool], allowed: str) -> Callable[[str], Any]:
    """Build the `type` of an option that is a number within bounds."""

    def parse(text: str) -> Any:
        value = kind(text)
        if kind is float and not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"is {value}; it must be a finite number.")
        if not is_allowed(value):
            raise argparse.ArgumentTypeError(f"is {value}; it must be {allowed}")
        return value

    parse.__name__ = kind.__name__  # argparse says "invalid float value"
    return parse


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # in seconds


def duration(text: str) -> float:
    """Parse a time, such as `90s`, `10m` or `1.5h`, as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"is {text}; give seconds, or a number and s, m, h or d, such as 10m.")
    return seconds


count = _number(int, lambda value: value >= 1, "1 or more.")
natural = _number(int, lambda value: value >= 0, "0 or more.")
seed = _number(int, lambda value: 0 <= value < 2**32, "in 0..4294967295.")
nonnegative = _number(float, lambda value: value >= 0, "0 or more.")
share = _number(float, lambda value: 0 <= value <= 1, "in 0..1.")
positive_share = _number(float, lambda value: 0 < value <= 1, "above 0 and at most 1.")
proper_share = _number(float, lambda value: 0 < value < 1, "above 0 and below 1.")
decay = _number(float, lambda value: 0 <= value < 1, "0 or more and below 1.")
positive_weight = _number(float, lambda value: value > 0, "above 0.")
positive = _number(float, lambda value: value > 0, "above 0. Leave it out to clip nothing.")
