"""Pairs that are held out of training, to look at and to measure."""

import hashlib
import os
from pathlib import Path
from typing import Any

import datasets

from ..data.formats.folders import normalized


NAMES_FILE = "validation_files.txt"  # in the run's folder


def hold_out(rows: datasets.Dataset, share: float) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Split rows by a hash of their file names: a pair stays on its side when others are added or removed.

    Args:
        rows (`datasets.Dataset`): Rows with a column `file_name`.
        share (`float`): Expected share of the second part, in (0, 1).

    Returns:
        `tuple`: The rows to train on, and those held out.

    Raises:
        ValueError: If a part has no row.
    """
    is_out = [_position(name) < share for name in rows["file_name"]]
    parts = tuple(rows.select([row for row, out in enumerate(is_out) if out == which]) for which in (False, True))
    for part, name in zip(parts, ("trains on", "holds out"), strict=True):
        if len(part) == 0:
            raise ValueError(
                f"`validation_share` {share} of {len(rows)} pairs {name} none, as the names of the files decide. Give "
                "another share, or hold pairs out in folders of their own by `validation_image_folder`."
            )
    return parts[0], parts[1]


def check_apart(rows: datasets.Dataset, held_out: datasets.Dataset, column: str) -> None:
    """Raise a ValueError if images of this column are trained on and held out."""
    files, others = (_files(one, column) for one in (rows, held_out))
    if common := sorted(files & others):
        raise ValueError(
            f"{len(common)} of the {len(held_out)} pairs held out are trained on, such as {common[0]}. Give "
            "`validation_image_folder` other images than `image_folder`, or list the others in `file_list`."
        )


def write_names(held_out: datasets.Dataset, output_dir: Path) -> None:
    """List the names of held-out pairs in the run's folder."""
    output_dir.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{name}\n" for name in held_out["file_name"])
    (output_dir / NAMES_FILE).write_text(text, encoding="utf-8")


def _position(name: str) -> float:
    """Return a number in [0, 1) that depends on the name alone."""
    digest = hashlib.blake2b(normalized(name).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _files(rows: datasets.Dataset, column: str) -> set[str]:
    values: Any = rows.cast_column(column, datasets.Image(decode=False))[column]
    return {os.path.realpath(value["path"]) for value in values if value["path"] is not None}
