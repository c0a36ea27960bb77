"""One class of a label set."""

from typing import NamedTuple

from .colors import Color


class Label(NamedTuple):
    """One class: its id in label files, its name, and its official color in the data set."""

    id: int
    name: str
    color: Color
