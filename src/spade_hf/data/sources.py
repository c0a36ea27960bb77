"""Loads training data: data sets on the Hub and on disk, and the label set stored with them."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import datasets
from datasets.config import HF_DATASETS_CACHE
from datasets.exceptions import DatasetsError
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ..labels.color_table import read_color_table
from ..labels.label_set import LabelSet
from .image_files import as_own_images
from .listing import read_text


LABELS_FILE = "labels.json"
TABLE_FILES = ("labelmap.txt", "_classes.csv")  # CVAT's and Roboflow's, in the folder or zip file of masks


def load_rows(
    dataset_name: str,
    *,
    config_name: str | None = None,
    split: str = "train",
    cache_dir: str | None = None,
    streaming: bool = False,
    image_columns: Iterable[str] = (),
) -> datasets.Dataset | datasets.IterableDataset:
    """Load one split of a data set.

    Args:
        dataset_name (`str`): A data set on the Hub, a folder that `datasets.load_dataset` reads (parquet, or an
            `imagefolder` with `metadata.jsonl`), a folder that `save_to_disk` wrote, or a parquet file.
        config_name (`str`, *optional*): The data set's configuration.
        split (`str`, defaults to `"train"`): Can be a slice such as `"train[:100]"`. A folder that `save_to_disk`
            wrote from a single data set has its one split, else `"train"`.
        cache_dir (`str`, *optional*): Folder for the prepared data of `datasets`. That of a folder with a card has a
            subfolder for each state of its files.
        streaming (`bool`, defaults to `False`): Stream the rows. Slices of a split cannot be streamed.
        image_columns (`Iterable[str]`): Columns that are read as images although the table does not say that they are:
            bytes, `{"bytes", "path"}`, or names of files in the data set's folder.

    Raises:
        ValueError: If the data set or the split cannot be loaded. When an image is read, if its row names a file that
            is not in the data set's folder.
    """
    path = Path(dataset_name)
    is_saved = (path / "state.json").exists() or (path / "dataset_dict.json").exists()
    if config_name is not None and (is_saved or path.suffix == ".parquet"):
        raise ValueError(
            f"`dataset_config_name` is {config_name!r}, but {dataset_name} is one data set without configurations. "
            "Leave it out."
        )
    if (path / "README.md").exists() and not is_saved:
        cache_dir = _cache_of(path, cache_dir)
    options = {"split": split, "cache_dir": cache_dir, "streaming": streaming}
    try:
        if path.suffix == ".parquet":
            rows = datasets.load_dataset("parquet", data_files={"train": dataset_name}, **options)
        elif is_saved:
            rows = _select_split(datasets.load_from_disk(dataset_name), split)
            rows = rows.to_iterable_dataset() if streaming else rows
        else:
            rows = datasets.load_dataset(dataset_name, config_name, **options)
            if rows.info.builder_name == "imagefolder":  # `datasets` itself listed its files
                return rows
    except (OSError, KeyError, ValueError, DatasetsError) as error:
        raise ValueError(
            f"`dataset_name` {dataset_name!r} (config {config_name!r}, split {split!r}) cannot be loaded: {error}"
        ) from error
    folder = path if path.is_dir() else path.parent
    return as_own_images(rows, list(image_columns), str(folder) if path.exists() else None)


def _cache_of(folder: Path, cache_dir: str | None) -> str:
    """Return a folder for the prepared data of a folder with a card, named by the state of its files.

    If the card names the files by patterns, `datasets` takes the data that it has prepared before for current, also
    when files were added, changed or deleted since.
    """
    names = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    states = [(str(name), (folder / name).stat().st_size, (folder / name).stat().st_mtime_ns) for name in shown]
    digest = hashlib.blake2b(repr(states).encode(), digest_size=8).hexdigest()
    return str(Path(cache_dir or HF_DATASETS_CACHE) / f"{folder.resolve().name}-{digest}")


def _select_split(loaded: datasets.Dataset | datasets.DatasetDict, split: str) -> datasets.Dataset:
    """Select a split, or a slice such as `"train[:100]"`; ValueError if there is none of that name."""
    if isinstance(loaded, datasets.Dataset):
        name = re.match(r"\w*", str(loaded.split or ""))
        loaded = datasets.DatasetDict({name[0] if name and name[0] else "train": loaded})
    instruction = datasets.ReadInstruction.from_spec(split)
    parts = instruction.to_absolute({name: len(rows) for name, rows in loaded.items()})
    rows = [loaded[part.splitname].select(range(part.from_, part.to)) for part in parts]
    return datasets.concatenate_datasets(rows) if len(rows) > 1 else rows[0]


def load_label_set(
    label_set: str | None, *, dataset_name: str | None = None, mask_folder: str | None = None
) -> LabelSet:
    """Load the given label set, or else the one stored with the data.

    Args:
        label_set (`str`, *optional*): A built-in label set, a JSON file or a table of colors; see
            [`LabelSet.from_file`].
        dataset_name (`str`, *optional*): As in [`load_rows`]. Without a `label_set`, `labels.json` is looked for in
            that folder, beside that parquet file, or in that Hub repository.
        mask_folder (`str`, *optional*): The folder or zip file of masks of [`load_folders`], instead of
            `dataset_name`. Without a `label_set`, CVAT's `labelmap.txt` and Roboflow's `_classes.csv` are looked for
            in it, then `labels.json` in the folder that holds it.

    Raises:
        ValueError: If there is none, or it is not valid.
    """
    if label_set in LabelSet.built_in_names():
        return LabelSet.from_name(label_set)
    if label_set is None:
        found = find_label_set(dataset_name=dataset_name, mask_folder=mask_folder)
        if found is not None:
            return found
        where = dataset_name if mask_folder is None else str(Path(mask_folder).parent)
        raise ValueError(
            f"`label_set` is missing, and there is no {LABELS_FILE} with {where!r}. Pass one of "
            f"{', '.join(LabelSet.built_in_names())}, a JSON file such as "
            '{"id2label": {"0": "sky"}, "palette": [[70, 130, 180]]}, or a .txt or .csv file with one line per class '
            "such as sky,70,130,180."
        )
    file = Path(label_set)
    if not file.is_file():
        raise ValueError(
            f"`label_set` is {str(file)!r}, which is neither a file nor one of "
            f"{', '.join(LabelSet.built_in_names())}. Give one of these, or your own JSON file or table of colors."
        )
    return LabelSet.from_file(file)


def find_label_set(*, dataset_name: str | None = None, mask_folder: str | None = None) -> LabelSet | None:
    """Load the label set stored with the data; `None` if there is none. See [`load_label_set`].

    Raises:
        ValueError: If it is not valid.
    """
    if mask_folder is not None:
        for name in TABLE_FILES:
            if (text := read_text(mask_folder, name)) is not None:
                return _from_table(text, name, mask_folder)
    where = dataset_name if mask_folder is None else str(Path(mask_folder).parent)
    assert where is not None, "one of `dataset_name` and `mask_folder`"
    file = _labels_with(where)
    return None if file is None else LabelSet.from_file(file)


def _from_table(text: str, name: str, folder: str) -> LabelSet:
    try:
        return LabelSet.from_dict({"name": Path(folder).stem, **read_color_table(text)})
    except ValueError as error:
        raise ValueError(f"{name} in {folder} cannot be read as a label set: {error}") from error


def _labels_with(dataset_name: str) -> Path | None:
    path = Path(dataset_name)
    if path.exists():
        file = (path if path.is_dir() else path.parent) / LABELS_FILE
        return file if file.is_file() else None
    try:
        return Path(hf_hub_download(dataset_name, LABELS_FILE, repo_type="dataset"))
    except (EntryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, HFValidationError):
        return None
