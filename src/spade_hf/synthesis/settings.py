"""The folder of a synthesized data set, which a later run with the same settings can resume."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.sources import LABELS_FILE
from ..labels.label_set import LabelSet


SETTINGS_FILE = "settings.json"
UNFINISHED = ".unfinished"  # suffix of files that are being written


def open_folder(folder: Path, settings: Mapping[str, Any], label_set: LabelSet) -> None:
    """Create the folder with its settings and labels, or check that its settings are the same.

    Settings of a folder without rows are replaced, so that a run that failed at its first mask does not block others.

    Args:
        folder (`Path`): Of the data set.
        settings (`Mapping[str, Any]`): Settings that all rows depend on, as JSON values.
        label_set (`LabelSet`): The model's, for `labels.json`.

    Raises:
        ValueError: If the folder holds something else, or rows with other settings.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`output_dir` is {folder}, which is a file. Give a folder.")
    file = folder / SETTINGS_FILE
    if not file.is_file() and folder.is_dir() and any(folder.iterdir()):
        raise ValueError(
            f"`output_dir` is {folder}, which is not empty and has no {SETTINGS_FILE} of an earlier run. Give a new "
            "or an empty folder."
        )
    begun = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    if begun == dict(settings) and (folder / LABELS_FILE).is_file():
        return
    if begun is not None and _has_rows(folder):
        for name in {**settings, **begun}:
            if begun.get(name) != settings.get(name):
                raise ValueError(
                    f"`{name}` is {settings.get(name)}, but the rows in {folder} were begun with {begun.get(name)}. "
                    "Give the same value to go on, or another `output_dir`."
                )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(dict(settings), indent=2) + "\n")
    write_text(folder / LABELS_FILE, json.dumps(_labels(label_set), indent=2) + "\n")


def public_name(name: str) -> str:
    """Return a Hub id as it is, and of a path only the last part, so that shared files name no local folders."""
    return Path(name).resolve().name if Path(name).exists() else name


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_name(path.name + UNFINISHED)
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def _has_rows(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) for pattern in ("data/*.parquet", "*/*.png"))


def _labels(label_set: LabelSet) -> dict[str, Any]:
    """Return the label set in the form of data sets on the Hub; see [`LabelSet.from_dict`]."""
    return {
        "name": label_set.name,
        "id2label": {str(i): name for i, name in label_set.id2label.items()},
        "palette": label_set.palette.tolist(),
        "ignore_label": label_set.unknown_id,
    }
