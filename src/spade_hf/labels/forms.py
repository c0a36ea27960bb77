"""Label sets as plain values: our own form, and those of other programs' JSON files."""

from collections.abc import Mapping, Sequence
from typing import Any

from .categories import read_categories
from .color_table import unknown_id
from .colors import voc_color


KEYS = ("labels", "id2label", "categories", "label_map", "label_dict")  # of which every form but the simplest has one


def read_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a label set's values into one form.

    Args:
        values (`dict`): See [`LabelSet.from_dict`].

    Returns:
        `dict`: `labels`, a list of `id`, `name` and `color`, `distinct_colors` and `ignore_index`.

    Raises:
        KeyError, TypeError, AttributeError or ValueError: If they are in none of the forms.
    """
    if isinstance(values.get("label_dict"), Mapping):  # MONAI's
        values = values["label_dict"]
    if "categories" in values and not {"labels", "id2label"} & set(values):
        return read_categories(values["categories"])
    if "id2label" in values:
        labels = _numbered(values["id2label"], values.get("palette"), "palette")
    elif "label_map" in values:  # datumaro's
        labels = _numbered(values["label_map"], values.get("segmentation_colors"), "segmentation_colors")
        return {"labels": labels, "distinct_colors": [], "ignore_index": unknown_id(labels)}
    elif "labels" in values:
        labels, are_numbered = _listed(values["labels"])
        if not are_numbered and not {"ignore_index", "ignore_label"} & set(values):
            return {"labels": labels, "distinct_colors": [], "ignore_index": unknown_id(labels)}
    else:
        labels = _mapped(values)
        return {"labels": labels, "distinct_colors": [], "ignore_index": unknown_id(labels)}
    ignored = [values[key] for key in ("ignore_index", "ignore_label") if values.get(key) is not None]
    return {
        "labels": labels,
        "distinct_colors": values.get("distinct_colors", ()),
        "ignore_index": ignored[0] if ignored else None,
    }


def _numbered(names: Mapping[Any, Any], colors: Sequence[Any] | None, key: str) -> list[dict[str, Any]]:
    """Join names by id with colors in ascending order of the ids, or those of the VOC map."""
    rows = sorted((int(i), name) for i, name in names.items())
    if colors is None:
        colors = [voc_color(_natural(i)) for i, _ in rows]
    if len(rows) != len(colors):
        raise ValueError(f"`{key}` has {len(colors)} colors for {len(rows)} names.")
    return [{"id": i, "name": name, "color": color} for (i, name), color in zip(rows, colors, strict=True)]


def _listed(rows: Sequence[Any]) -> tuple[list[dict[str, Any]], bool]:
    """Read a list of names, or of objects with `name` and optionally `id` and `color`; and whether there are ids."""
    rows = [{"name": row} if isinstance(row, str) else row for row in rows]
    are_numbered = any("id" in row for row in rows)
    if not are_numbered:  # Mapillary's: their order numbers them
        rows = [{"id": index, **row} for index, row in enumerate(rows)]
    if not any("color" in row for row in rows):
        rows = [{**row, "color": voc_color(_natural(row["id"]))} for row in rows]
    return [{part: row[part] for part in ("id", "name", "color")} for row in rows], are_numbered


def _mapped(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read id -> name or name -> id."""
    rows = {key: value for key, value in values.items() if key != "name" or isinstance(value, int)}
    if rows and all(isinstance(value, int) and not isinstance(value, bool) for value in rows.values()):
        if len(set(rows.values())) < len(rows):
            raise ValueError("two names have the same id; make each one unique.")
        return _numbered({value: key for key, value in rows.items()}, None, "")
    if rows and all(isinstance(value, str) and str(key).isdecimal() for key, value in rows.items()):
        return _numbered(rows, None, "")
    raise KeyError("labels")


def _natural(label_id: Any) -> int:
    """Return an id that has a color in the VOC map; `LabelSet` refuses the others."""
    return label_id if isinstance(label_id, int) and 0 <= label_id < 2**24 else 0
