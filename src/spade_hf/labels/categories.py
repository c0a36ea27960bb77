"""COCO's `categories`, the classes in its panoptic, detection and stuff JSON files."""

from collections.abc import Sequence
from typing import Any

from .colors import Color, voc_colors


def read_categories(categories: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Read COCO's `categories`.

    Args:
        categories (`Sequence[dict]`): `id`, `name` and optionally `color` of each class. A class without a color, or
            with the color of an earlier class, is drawn in a color of the PASCAL VOC map.

    Returns:
        `dict`: `labels`, `distinct_colors` and `ignore_index` as [`LabelSet.from_dict`] takes them. `ignore_index`,
            the id of pixels without segment, is the first of 0, 255, 65535, 65534, ... that is not a category's id.
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
    unknown_id = next((i for i in (0, 255, *range(65535, 0, -1)) if i not in ids), None)
    return {"labels": labels, "distinct_colors": replacements, "ignore_index": unknown_id}
