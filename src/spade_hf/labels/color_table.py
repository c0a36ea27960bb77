"""Tables of colours as data sets and annotation tools write them: one line per class, with its name and colour.

Forms:
    128 64 128   road        label_colors.txt of CamVid
    road,128,64,128          a CSV file, with or without a header
    road:128,64,128::        labelmap.txt of CVAT
    7,road,128,64,128        with the class's id
    7, road                  an id and no colour: _classes.csv of Roboflow
"""

import re
from typing import Any

from .colors import Color, voc_color


UNKNOWN_NAMES = ("unknown", "unlabelled", "unlabeled", "void")  # names for pixels without class
COLOR = r"(?P<red>\d+)[\s,;]+(?P<green>\d+)[\s,;]+(?P<blue>\d+)"
NAME = r"(?P<name>[^\W\d][^,;:\t]*?)"  # starts with a letter
LINES = (
    re.compile(rf"{COLOR}[\s,;]+{NAME}"),
    re.compile(rf"(?:(?P<id>\d+)[\s,;]+)?{NAME}[\s,;:]+{COLOR}[\s,;:]*"),
    re.compile(rf"(?P<id>\d+)\s*[,;]\s*{NAME}"),
)


def read_color_table(text: str) -> dict[str, Any]:
    """Read a table of colours.

    Args:
        text (`str`): One line per class: `r g b name`, `name r g b` or `id name r g b`, separated by commas,
            semicolons, tabs or spaces. Or `id, name` in every line, for masks of ids; the colours are then those of
            the PASCAL VOC map. Empty lines, lines that start with `#`, and a first line without digits (a header) are
            left out. Without ids the classes are numbered from 0 in the order of the lines.

    Returns:
        `dict`: `labels` and `ignore_index` as [`LabelSet.from_dict`] takes them. `ignore_index` is the id of the first
            class called unknown, unlabelled, unlabeled or void, in upper or lower case; `None` if there is none.

    Raises:
        ValueError: If a line has none of these forms, or only some lines have an id or a colour.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if lines and not re.search(r"\d", lines[0][1]):
        lines = lines[1:]
    rows = []
    for number, line in lines:
        row = next(filter(None, (form.fullmatch(line) for form in LINES)), None)
        if row is None:
            raise ValueError(
                f"line {number} is {line!r}; a line is a name and a colour, `road,128,64,128` or `128 64 128 road`, "
                "or an id, a name and a colour, `7,road,128,64,128`, or an id and a name, `7,road`."
            )
        rows.append(row.groupdict())
    for part, called in (("id", "id before its name"), ("red", "colour")):
        has_it = [row.get(part) is not None for row in rows]
        if any(has_it) and not all(has_it):
            raise ValueError(f"line {lines[has_it.index(False)][0]} has no {called}, but other lines have one.")
    ids = [index if row.get("id") is None else int(row["id"]) for index, row in enumerate(rows)]
    labels = [{"id": i, "name": row["name"], "color": _color(row, i)} for i, row in zip(ids, rows, strict=True)]
    unknown = (label["id"] for label in labels if label["name"].casefold() in UNKNOWN_NAMES)
    return {"labels": labels, "ignore_index": next(unknown, None)}


def _color(row: dict[str, str], label_id: int) -> Color:
    """Return the row's colour, or the id's colour in the VOC map, where id 0 is black."""
    if row.get("red") is not None:
        return int(row["red"]), int(row["green"]), int(row["blue"])
    return voc_color(label_id)
