"""Identifies data by content: the rows, the labels of their masks, and how masks are read.

Whoever keeps a result that depends on data (a checkpoint, a cache, a half-finished data set) keeps the fingerprint
beside it, and compares it before the result is used again. Names of files and data sets play no part.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from ..labels.label_set import LabelSet
from .formats import FORMATS
from .image_files import readable_bytes


Fingerprint = dict[str, Any]  # values of JSON, so that what a file holds compares equal


def fingerprint(
    rows: datasets.Dataset | datasets.IterableDataset,
    columns: Sequence[str | None],
    *,
    label_set: LabelSet | None,
    color_tolerance: float | None = None,
    ids_in_red: bool = False,
    max_rows: int | None = None,
) -> Fingerprint:
    """Describe what training, an evaluation or a synthesis reads.

    Args:
        rows (`datasets.Dataset` or `datasets.IterableDataset`): Rows whose images are not decoded.
        columns (`Sequence[str | None]`): Columns of images, masks, instance maps and conditions; `None` is left out.
        label_set (`LabelSet` or `None`): Labels of the masks, if there are any.
        color_tolerance (`float`, *optional*): How masks in colors are read; see [`LabelSet.ids_from_colors`].
        ids_in_red (`bool`, defaults to `False`): See [`PairReader`].
        max_rows (`int`, *optional*): Hash this many rows at most, at equal distances (of a stream: the first ones).
            `None`: all.

    Returns:
        `dict`: `num_rows` (`None` for a stream), `labels` (a list of id, name and color for each label), `unknown_id`,
            `color_tolerance` and `content`, a hash of the rows; `ids_in_red` if it is true. All are values of JSON.
    """
    assert rows.features is not None
    image_types: dict[str, Any] = {column: rows.features[column] for column in columns if column is not None}
    chosen: Any = rows
    if isinstance(rows, datasets.IterableDataset):
        num_rows = None
        chosen = itertools.islice(rows, max_rows)
    else:
        num_rows = len(rows)
        if max_rows is not None and num_rows > max_rows:
            chosen = rows.select([number * num_rows // max_rows for number in range(max_rows)])  # evenly spread
    digest = hashlib.blake2b(digest_size=16)
    for row in chosen:
        digest.update(hash_row(row, image_types))
    return {
        "num_rows": num_rows,
        **describe_labels(label_set, color_tolerance),
        **({"ids_in_red": True} if ids_in_red else {}),
        "content": digest.hexdigest(),
    }


def describe_labels(label_set: LabelSet | None, color_tolerance: float | None) -> Fingerprint:
    """Describe how masks are read: the values of a fingerprint that do not depend on the rows."""
    if label_set is None:
        return {"labels": [], "unknown_id": None, "color_tolerance": color_tolerance}
    return {
        "labels": [
            [label_id, name, color]
            for label_id, name, color in zip(label_set.ids, label_set.names, label_set.palette.tolist(), strict=True)
        ],
        "unknown_id": label_set.unknown_id,
        "color_tolerance": color_tolerance,
    }


def hash_row(row: Mapping[str, Any], image_types: Mapping[str, datasets.Image]) -> bytes:
    """Hash the undecoded images of a row in the columns of `image_types`, and what its format adds: 16 bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for column, image_type in image_types.items():
        # a hash of each file, so that the border between two files counts
        digest.update(hashlib.blake2b(readable_bytes(row[column], image_type), digest_size=16).digest())
    for one in FORMATS:
        if one.column in row:
            digest.update(one.content(row[one.column]))
    return digest.digest()


def first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Describe the first difference of two fingerprints, or return `None`.

    Args:
        before (`Mapping[str, Any]`): A saved fingerprint. A value that it lacks, as older ones do, is not compared.
        now (`Mapping[str, Any]`): The current one.
    """
    for old, new in zip(before.get("labels", now["labels"]), now["labels"], strict=False):
        if old != new:
            return f"the label {_describe_label(new)} was {_describe_label(old)}"
    for name in ("labels", "num_rows"):
        old, new = before.get(name, now[name]), now[name]
        if isinstance(new, list):
            name, old, new = "number of labels", len(old), len(new)
        if old != new:
            return f"the {name.replace('num_rows', 'number of rows')} was {old} and is {new}"
    for name in ("unknown_id", "color_tolerance"):
        if before.get(name, now[name]) != now[name]:
            return f"`{name}` was {before[name]} and is {now[name]}"
    if before.get("ids_in_red", False) != now.get("ids_in_red", False):
        return f"`ids_in_red` was {before.get('ids_in_red', False)} and is {now.get('ids_in_red', False)}"
    if before.get("content", now["content"]) != now["content"]:
        return "the images or masks of the rows are others, or in another order"
    return None


def _describe_label(label: Sequence[Any]) -> str:
    label_id, name, color = label
    return f"{label_id} = {name!r} in color {tuple(color)}"
