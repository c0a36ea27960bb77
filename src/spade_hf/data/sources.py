"""Where training data come from: data sets on the Hub and on disk, and the label set that lies with them."""

from collections.abc import Mapping
from pathlib import Path

import datasets
import PIL.Image
from datasets.exceptions import DatasetsError
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ..labels.label_set import LabelSet


LABELS_FILE = "labels.json"


def load_rows(
    dataset_name: str,
    *,
    config_name: str | None = None,
    split: str = "train",
    cache_dir: str | None = None,
    streaming: bool = False,
) -> datasets.Dataset | datasets.IterableDataset:
    """Load one split.

    Args:
        dataset_name (`str`): A data set on the Hub, a folder that `datasets.load_dataset` reads (parquet, or an
            `imagefolder` with `metadata.jsonl`), a folder that `save_to_disk` wrote, or a parquet file.
        config_name (`str`, *optional*): The data set's configuration.
        split (`str`, defaults to `"train"`): Also slices such as `"train[:100]"`.
        cache_dir (`str`, *optional*): Where `datasets` keeps what it prepared.
        streaming (`bool`, defaults to `False`): Read the rows as they come. Slices of a split cannot be streamed.

    Raises:
        ValueError: If the data set or the split cannot be loaded.
    """
    path = Path(dataset_name)
    options = {"split": split, "cache_dir": cache_dir, "streaming": streaming}
    try:
        if path.suffix == ".parquet":
            return datasets.load_dataset("parquet", data_files={"train": dataset_name}, **options)
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            loaded = datasets.load_from_disk(dataset_name)
            rows = loaded[split] if isinstance(loaded, datasets.DatasetDict) else loaded
            return rows.to_iterable_dataset() if streaming else rows
        return datasets.load_dataset(dataset_name, config_name, **options)
    except (OSError, KeyError, ValueError, DatasetsError) as error:
        raise ValueError(
            f"`dataset_name` {dataset_name!r} (config {config_name!r}, split {split!r}) cannot be loaded: {error}"
        ) from error


def load_folders(folders: Mapping[str, str]) -> datasets.Dataset:
    """Pair the files of parallel folders by their names without extension.

    Args:
        folders (`Mapping[str, str]`): Column -> folder of images, such as `{"image": "photos", "label": "masks"}`.

    Returns:
        `datasets.Dataset`: These columns, and `file_name` of the first one; rows in the order of their names.

    Raises:
        ValueError: If a folder is not there or empty, a name occurs twice in one, or a file has no partner.
    """
    files = {column: _files_by_stem(Path(folder)) for column, folder in folders.items()}
    stems = set().union(*files.values())
    missing = {folder: sorted(stems - set(files[column])) for column, folder in folders.items()}
    if any(missing.values()):
        lacks = [f"{folder} has no file for {_some(alone)}" for folder, alone in missing.items() if alone]
        raise ValueError(
            f"{'; '.join(lacks)}. Files belong together by their names without extension: rename them so that these "
            "are the same in every folder, or take away those without partner."
        )
    order = sorted(stems)
    columns = {column: [str(found[stem]) for stem in order] for column, found in files.items()}
    first = next(iter(files.values()))
    features = datasets.Features(
        {column: datasets.Image() for column in columns} | {"file_name": datasets.Value("string")}
    )
    return datasets.Dataset.from_dict(columns | {"file_name": [first[stem].name for stem in order]}, features=features)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _files_by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder. Name the folders of the images and of their masks.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PIL.Image.registered_extensions():
            continue
        if path.stem in found:
            raise ValueError(f"{folder} has both {found[path.stem].name} and {path.name}. Keep one of them.")
        found[path.stem] = path
    if not found:
        raise ValueError(f"{folder} holds no image file.")
    return found


def load_label_set(label_set: str | None, *, dataset_name: str) -> LabelSet:
    """The label set that a user named, or else the `labels.json` that lies with the data.

    Args:
        label_set (`str`, *optional*): A built-in label set, a JSON file or a table of colours; see
            [`LabelSet.from_file`].
        dataset_name (`str`): As in [`load_rows`]. Without a `label_set`, `labels.json` is looked for in that folder,
            beside that parquet file, or in that Hub repository.

    Raises:
        ValueError: If there is none, or it is not valid.
    """
    if label_set in LabelSet.built_in_names():
        return LabelSet.from_name(label_set)
    file = Path(label_set) if label_set is not None else _labels_with(dataset_name)
    if file is None:
        raise ValueError(
            f"`label_set` is missing, and there is no {LABELS_FILE} with {dataset_name!r}. Pass one of "
            f"{', '.join(LabelSet.built_in_names())}, a JSON file such as "
            '{"id2label": {"0": "sky"}, "palette": [[70, 130, 180]]}, or a .txt or .csv file with a line a class '
            "such as sky,70,130,180."
        )
    if not file.is_file():
        raise ValueError(
            f"`label_set` is {str(file)!r}, which is neither a file nor one of "
            f"{', '.join(LabelSet.built_in_names())}. Name one of these, or your own JSON file or table of colours."
        )
    return LabelSet.from_file(file)


def _labels_with(dataset_name: str) -> Path | None:
    path = Path(dataset_name)
    if path.exists():
        file = (path if path.is_dir() else path.parent) / LABELS_FILE
        return file if file.is_file() else None
    try:
        return Path(hf_hub_download(dataset_name, LABELS_FILE, repo_type="dataset"))
    except (EntryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, HFValidationError):
        return None
