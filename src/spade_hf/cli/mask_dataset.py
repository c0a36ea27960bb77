"""Masks to paint, of the rows of a data set (extra `train`), each read only when its turn comes."""

from functools import partial
from typing import Any

import datasets
import PIL.Image

from ..data.pair_reader import check_columns, decode_image
from ..data.sources import load_rows
from .mask_sources import MaskSource


def masks_of_dataset(name: str, split: str, mask_column: str, instance_column: str | None) -> list[MaskSource]:
    """The masks of a data set's rows, named by their numbers; ValueError if a column is not there or has no images."""
    rows: Any = load_rows(name, split=split)
    columns = {"mask_column": mask_column, "instance_column": instance_column}
    columns = {parameter: column for parameter, column in columns.items() if column is not None}
    check_columns(rows.features, columns)
    types = {column: datasets.Image(mode=rows.features[column].mode) for column in columns.values()}
    for column in types:  # decoded when its turn comes, where an error is this row's own
        rows = rows.cast_column(column, datasets.Image(decode=False))
    rows = rows.select_columns([*types])

    def read(number: int, column: str) -> PIL.Image.Image:
        return decode_image(rows[number][column], types[column], column)

    digits = len(str(len(rows) - 1))
    return [
        MaskSource(
            name=f"row {number} of {name}",
            stem=f"{number:0{digits}d}",
            read=partial(read, number, mask_column),
            read_instances=None if instance_column is None else partial(read, number, instance_column),
        )
        for number in range(len(rows))
    ]
