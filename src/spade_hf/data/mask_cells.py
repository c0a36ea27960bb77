"""Masks of a data set without their images, each decoded only when it is needed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import PIL.Image

from .image_files import decode_image, without_decoding
from .pair_reader import check_columns
from .sources import load_rows


Cell = Callable[[], PIL.Image.Image]


def mask_cells(name: str, split: str, mask_column: str, instance_column: str | None) -> list[tuple[Cell, Cell | None]]:
    """Return functions that decode each row's mask and instance map; they raise a ValueError for a broken image.

    Args:
        name (`str`): The data set; see [`load_rows`].
        split (`str`): Its split.
        mask_column (`str`): Column of masks.
        instance_column (`str`, *optional*): Column of instance maps.

    Raises:
        ValueError: If a column is missing or holds no images.
    """
    columns = {"mask_column": mask_column, "instance_column": instance_column}
    columns = {parameter: column for parameter, column in columns.items() if column is not None}
    rows: Any = load_rows(name, split=split, image_columns=columns.values())
    check_columns(rows.features, columns)
    rows, types = without_decoding(rows, columns.values())
    rows = rows.select_columns([*types])

    def read(number: int, column: str) -> PIL.Image.Image:
        return decode_image(rows[number][column], types[column], column)

    return [
        (partial(read, number, mask_column), partial(read, number, instance_column) if instance_column else None)
        for number in range(len(rows))
    ]
