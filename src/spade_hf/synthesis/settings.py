"""The folder of a synthesized data set, which a later run with the same settings can resume."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..data.sources import LABELS_FILE
from ..files import write_text
from ..labels.label_set import LabelSet


SETTINGS_FILE = "settings.json"
MASKS_FILE = ".masks"  # a line for each mask: a hash of its file. Hidden: `load_dataset` must not read it.
UNFINISHED = ".unfinished"  # added to the name of a file that is being written


def open_folder(
    folder: Path,
    settings: Mapping[str, Any],
    label_set: LabelSet,
    *,
    masks: Sequence[str],
    find_missing: Callable[[], Iterable[int]],
) -> None:
    """Create the folder with its settings, labels and hashes of masks, or check that these are the same.

    Masks without rows can change, since broken ones get none until they are mended. Settings of a folder without rows
    are replaced, so that a run that failed at its first mask does not block others.

    Args:
        folder (`Path`): The data set's folder.
        settings (`Mapping[str, Any]`): Settings that all rows depend on, as JSON values.
        label_set (`LabelSet`): The model's, for `labels.json`.
        masks (`Sequence[str]`): A hash of each mask.
        find_missing (`Callable`): Lists the masks that lack some or all of their rows.

    Raises:
        ValueError: If the folder holds something else, or rows with other settings or of other masks.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`output_dir` is {folder}, which is a file. Give a folder.")
    file = folder / SETTINGS_FILE
    if not file.is_file() and folder.is_dir() and any(folder.iterdir()):
        raise ValueError(
            f"`output_dir` is {folder}, which is not empty and has no {SETTINGS_FILE} of an earlier run. Give a new "
            "or an empty folder."
        )
    if file.is_file() and _has_rows(folder):
        begun = json.loads(file.read_text(encoding="utf-8"))
        if not (folder / MASKS_FILE).is_file():
            raise ValueError(
                f"`output_dir` is {folder}, whose rows were begun by an older version, which did not keep what masks "
                "it painted. Give another folder."
            )
        for name in {**settings, **begun}:  # also what only one of the two versions has
            if begun.get(name) != settings.get(name):
                raise ValueError(
                    f"`{name}` is {settings.get(name)}, but the rows in {folder} were begun with {begun.get(name)}. "
                    "Give the same value to go on, or another `output_dir`."
                )
        _check_masks(folder, masks, find_missing)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        SETTINGS_FILE: json.dumps(dict(settings), indent=2) + "\n",
        LABELS_FILE: json.dumps(_labels(label_set), indent=2) + "\n",
        MASKS_FILE: "".join(f"{one}\n" for one in masks),
    }
    for name, text in contents.items():
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text:
            write_text(folder / name, text)


def _check_masks(folder: Path, masks: Sequence[str], find_missing: Callable[[], Iterable[int]]) -> None:
    begun = (folder / MASKS_FILE).read_text(encoding="utf-8").split()
    changed = {index for index, (old, new) in enumerate(zip(begun, masks, strict=True)) if old != new}
    if changed and (painted := sorted(changed - set(find_missing()))):
        raise ValueError(
            f"`dataset_name`: {len(painted)} of {len(masks)} masks are others than those that the rows in {folder} "
            f"were painted from; the first one is in row {painted[0]}. Give the same masks to go on, or another "
            "`output_dir`."
        )


def public_name(name: str) -> str:
    """Return a Hub id as it is, and of a path only the last part, so that shared files name no local folders."""
    return Path(name).resolve().name if Path(name).exists() else name


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename what was written there to `path` at the block's end.

    Unlike [`spade_hf.files.atomic`], the temporary name is always the same: no two processes write one file, and a
    resumed run replaces what a killed one left.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    yield unfinished
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
