"""Tables of classes as data sets and annotation tools write them: one line per class.

Forms, by example:
    128 64 128   road        label_colors.txt of CamVid
    road,128,64,128          a CSV file, with or without a header, quotes and an id before the name
    road,#804080             with the color as in web pages, before or after the name
    road:128,64,128::        labelmap.txt of CVAT
    7, road                  an id and no color: _classes.csv of Roboflow; also `7 road` and `7: road`
    road                     a name: classes.txt of Label Studio, labels.txt of labelme
"""

import csv
import re
from typing import Any

from .colors import voc_color


UNKNOWN_NAMES = ("unknown", "unlabelled", "unlabeled", "void")  # names for pixels without class
HEADERS = ("class", "classes", "label", "labels", "name", "names")  # of a single column
LABELME_IGNORE = "__ignore__"  # its first line; the next one has id 0, and masks have 255 for it
HEX = r"#[0-9a-fA-F]{6}"
COMMENT = re.compile(rf"(?:^|\s)(?!{HEX}(?:[\s,;:]|$))#.*")
NUMBER = r"\d{1,9}"  # limits keep the patterns fast, whatever a file holds
COLOR = rf"(?P<color>{HEX}|{NUMBER}[\s,;]{{1,3}}{NUMBER}[\s,;]{{1,3}}{NUMBER})"
FIELDS = (  # of a line, joined by tabs
    re.compile(rf"{COLOR}\t(?P<name>[^\t]+)"),
    re.compile(rf"(?:(?P<id>{NUMBER})\t)?(?P<name>[^\t]+)\t{COLOR}"),
    re.compile(rf"(?P<id>{NUMBER})\t(?P<name>[^\t]+)"),
)
WORDS = (  # of a line whose separator is a space, and whose names can contain some
    re.compile(rf"{COLOR} (?P<name>.+)"),
    re.compile(rf"(?:(?P<id>{NUMBER}) )?(?P<name>.+?) {COLOR}"),
    re.compile(rf"(?P<id>{NUMBER}) (?P<name>.+)"),
)
ONLY_NAME = re.compile(r"[^,;:\t#]+")
NUMBERED = re.compile(r"\d+\s|.*\d\s+\d+(?:\s|$)")  # an id, or a part of a color
Line = tuple[int, str]  # its number, its text


def read_color_table(text: str) -> dict[str, Any]:
    """Read a table of classes.

    Args:
        text (`str`): One line per class, in one of these forms: `r g b name`, `name r g b`, `id name r g b`, `id name`
            or `name`, separated by commas, semicolons, colons, tabs or spaces; the color can also be `#rrggbb`.
            Without colors, the classes have those of the PASCAL VOC map, for masks of ids. Without ids they are
            numbered from 0 in the order of the lines. Empty lines, comments after `#` and a header are left out.

    Returns:
        `dict`: `labels` and `ignore_index` as [`LabelSet.from_dict`] takes them. `ignore_index` is the id of the first
            class called unknown, unlabelled, unlabeled or void, in upper or lower case; `None` if there is none.

    Raises:
        ValueError: If a line has none of these forms, or only some lines have an id or a color.
    """
    lines = [(number, COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    if _are_names(lines):
        names = [line.strip('"') for _, line in lines]
        if names and names[0].casefold() in HEADERS:
            names = names[1:]
        is_labelme = bool(names) and names[0] == LABELME_IGNORE
        labels = [{"id": i, "name": name, "color": voc_color(i)} for i, name in enumerate(names[is_labelme:])]
        return {"labels": labels, "ignore_index": 255 if is_labelme else unknown_id(labels)}
    lines, rows = _table_rows(lines)
    for part, called in (("id", "id before its name"), ("color", "color")):
        has_it = [row.get(part) is not None for row in rows]
        if any(has_it) and not all(has_it):
            raise ValueError(f"line {lines[has_it.index(False)][0]} has no {called}, but other lines have one.")
    ids = [index if row.get("id") is None else int(row["id"]) for index, row in enumerate(rows)]
    labels = [
        {"id": i, "name": row["name"].strip(), "color": _color(row["color"]) if "color" in row else voc_color(i)}
        for i, row in zip(ids, rows, strict=True)
    ]
    return {"labels": labels, "ignore_index": unknown_id(labels)}


def unknown_id(labels: list[dict[str, Any]]) -> int | None:
    """Return the id of the first label whose name says that it has no class; `None` if there is none."""
    unknown = (one["id"] for one in labels if isinstance(one["name"], str) and one["name"].casefold() in UNKNOWN_NAMES)
    return next(unknown, None)


def _are_names(lines: list[Line]) -> bool:
    """Return whether there are only names: no separator but spaces, no id before a name and no part of a color."""
    return all(ONLY_NAME.fullmatch(line) and not NUMBERED.match(line) for _, line in lines)


def _table_rows(lines: list[Line]) -> tuple[list[Line], list[dict[str, str]]]:
    """Split lines by the separator that suits most of them; leave out a header, a first line without numbers."""
    if lines and not re.search(rf"\d|{HEX}", lines[0][1]):
        lines = lines[1:]
    found = [[_row(line, separator) for _, line in lines] for separator in (",", ";", "\t", ":", " ")]
    rows = max(found, key=lambda rows: sum(row is not None for row in rows))
    if None in rows:
        number, line = lines[rows.index(None)]
        raise ValueError(
            f"line {number} is {line!r}; a line is a name and a color, `road,128,64,128`, `128 64 128 road` or "
            "`road,#804080`, or an id, a name and a color, `7,road,128,64,128`, or an id and a name, `7,road`; or "
            "every line is a name."
        )
    return lines, [row for row in rows if row is not None]


def _row(line: str, separator: str) -> dict[str, str] | None:
    if separator == " ":
        forms, text = WORDS, " ".join(line.split())
    else:
        try:
            fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        except csv.Error:  # a NUL, or a field of more than 128 kB
            return None
        fields = [" ".join(field.split()) for field in fields if field.strip()]
        numbers = [field.isdecimal() for field in fields]
        for start in (0, len(fields) - 3):  # a color in three fields
            if len(fields) > 3 and all(numbers[start : start + 3]):
                fields[start : start + 3] = [" ".join(fields[start : start + 3])]
                break
        forms, text = FIELDS, "\t".join(fields)
    match = next(filter(None, (form.fullmatch(text) for form in forms)), None)
    if match is None:
        return None
    row = {part: value for part, value in match.groupdict().items() if value is not None}
    is_roboflow = separator != " " and "color" not in row  # a class can have a number for a name there
    return row if is_roboflow or re.search(r"[^\W\d_]", row["name"]) else None


def _color(text: str) -> tuple[int, ...]:
    if text.startswith("#"):
        return tuple(bytes.fromhex(text[1:]))
    return tuple(map(int, re.findall(r"\d+", text)))
