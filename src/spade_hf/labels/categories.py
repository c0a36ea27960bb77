"""COCO's `categories`, the classes in its panoptic, detection and stuff JSON files."""

from collections.abc import Sequence
from typing import Any

from .colors import Color, voc_colors


def read_categories(categories: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Read COCO's `categories`.

    Args:
        categories (`Sequence[dict]`): `id` and `name` of each, and perhaps `color`; classes without one, or with one
            that another class has, are drawn in colours of the PASCAL VOC map.

    Returns:
        `dict`: `labels`, `distinct_colors` and `ignore_index` as [`LabelSet.from_dict`] takes them. The last, of
            pixels of no segment, is 0 or, if that is a category's id, 255 or 65535.
    """
    taken: set[Color] = {tuple(row["color"]) for row in categories if "color" in row}
    free = (color for color in voc_colors() if color not in taken)
    labels, replacements, seen = [], [], set()
    for row in categories:
        color = tuple(row["color"]) if "color" in row else next(free)
        if color in seen:
            replacements.append({"id": row["id"], "color": next(free)})
        seen.add(color)
        labels.append({"id": row["id"], "name": row["name"], "color": color})
    ids = {row["id"] for row in categories}
    unknown_id = next(i for i in (0, 255, 65535) if i not in ids)
    return {"labels": labels, "distinct_colors": replacements, "ignore_index": unknown_id}
