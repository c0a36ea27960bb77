"""Rows of a data set: only the columns that are read, their images decoded one by one.

So errors can name the row, the column and the file.
"""

import copy
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeVar, cast

import datasets
import PIL.Image

from ..images.photo_files import Photo
from ..labels.label_set import LabelSet
from .formats import FORMATS
from .image_files import ARRAYS, Mask, decode_image, decode_labels, decode_photo


Rows = TypeVar("Rows", datasets.Dataset, datasets.IterableDataset)
ImageTypes = dict[str, Any]  # column -> type of its undecoded images, or arrays


def select_images(rows: Rows, columns: Mapping[str, str | None]) -> tuple[Rows, ImageTypes]:
    """Keep the given columns of images, undecoded, and those that name files or that a mask format needs.

    Args:
        rows (`datasets.Dataset` or `datasets.IterableDataset`): Rows of a data set.
        columns (`Mapping[str, str | None]`): Parameter -> column that it names; `None` is left out.

    Returns:
        `tuple`: The rows, and column -> type of its images, as [`decode_column`] and [`decode_mask`] take it.

    Raises:
        ValueError: If a column is missing or holds no images.
    """
    features = rows.features
    assert features is not None and rows.column_names is not None  # `load_rows` looked at the first row
    named = {parameter: column for parameter, column in columns.items() if column is not None}
    check_columns(features, named)
    kept = [name for name in ("file_name", *(one.column for one in FORMATS)) if name in rows.column_names]
    types: ImageTypes = {}
    for column in named.values():
        if isinstance(features[column], ARRAYS):
            types[column] = features[column]
            continue
        types[column], undecoded = copy.copy(features[column]), copy.copy(features[column])
        types[column].decode, undecoded.decode = True, False
        rows = rows.cast_column(column, undecoded)
    return rows.select_columns([*types, *(name for name in kept if name not in types)]), types


def check_columns(features: datasets.Features, columns: Mapping[str, str]) -> None:
    """Raise a ValueError for a column that is missing or holds no images; all but instance maps can be arrays.

    Args:
        features (`datasets.Features`): Features of the data set.
        columns (`Mapping[str, str]`): Parameter -> column that it names.
    """
    for parameter, column in columns.items():
        if column not in features:
            raise ValueError(
                f"`{parameter}` is {column!r}; the data set has the columns {', '.join(features)}. Name one of these."
            )
        can_be_array = parameter != "instance_column"
        if not isinstance(features[column], (datasets.Image, *ARRAYS) if can_be_array else datasets.Image):
            # `datasets` turns the names of image folders without a metadata file into classes
            is_class = isinstance(features[column], datasets.ClassLabel)
            remedy = (
                "To pair two folders by file names, give both: `image_folder` and `mask_folder`."
                if is_class
                else f"If it holds bytes or names of images, pass `rows.cast_column({column!r}, datasets.Image())`."
            )
            images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
            raise ValueError(
                f"`{parameter}` is {column!r}, which holds {features[column]} and no images; columns of images: "
                f"{', '.join(images) or 'none'}. {remedy}"
            )


def decode_column(row: Mapping[str, Any], column: str, types: ImageTypes) -> PIL.Image.Image:
    """Decode a row's image in one of the columns of `types`; raise a ValueError if that fails."""
    return decode_image(row[column], types[column], column)


def first_photo(rows: Rows, column: str, image_channels: int) -> Photo:
    """Decode the photograph of the first row; raise a ValueError if that fails. See [`decode_photo`]."""
    rows, types = select_images(rows, {"image_column": column})
    for row in rows:
        return decode_photo(cast(dict, row)[column], types[column], column, image_channels)
    raise ValueError("the data set has no rows.")


def decode_mask(row: Mapping[str, Any], column: str, types: ImageTypes, label_set: LabelSet) -> Mask:
    """Decode a row's mask: what its column holds, or the label ids that the row's format makes of it.

    Raises:
        ValueError: If the row is broken.
    """
    image = partial(decode_column, row, column, types)
    for one in FORMATS:
        if (value := row.get(one.column)) is not None:
            return one.decode(value, image, label_set)
    return decode_labels(row[column], types[column], column)


def name_files(row: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Return the file names of a row's undecoded images in brackets, for messages; empty if they have none."""
    columns = list(columns)
    names = [] if "file_name" in columns else [row.get("file_name")]
    names += [value["path"] for value in map(row.get, columns) if isinstance(value, dict)]
    named = ", ".join(name for name in names if name)
    return f" ({named})" if named else ""
