"""Masks to paint, from files, folders and data sets, each read only when it is needed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import PIL.Image

from spade_hf.images.suffixes import image_suffixes, is_hidden


CONDITIONS = (".npy",)  # suffixes of conditions, besides those of images


@dataclass(frozen=True)
class MaskSource:
    """A mask that is not read yet.

    Args:
        name (`str`): Its name in messages.
        stem (`str`): Its image's file name, without suffix.
        read (`Callable`, *optional*): Returns the mask, as the pipeline takes it; `None` for a model without labels.
        read_instances (`Callable`, *optional*): Returns its instance map.
        read_condition (`Callable`, *optional*): Returns its condition.
    """

    name: str
    stem: str
    read: Callable[[], Any] | None
    read_instances: Callable[[], Any] | None = None
    read_condition: Callable[[], Any] | None = None


def find_masks(
    masks: Sequence[str], instance_folder: str | None = None, condition_folder: str | None = None
) -> list[MaskSource]:
    """Find the masks of files and folders, in the given order; a folder's files are sorted by name.

    Args:
        masks (`Sequence[str]`): Paths, as given; without any, the conditions stand for them.
        instance_folder (`str`, *optional*): Folder of instance maps, with the same names as the masks.
        condition_folder (`str`, *optional*): Folder of conditions, with the same names.

    Raises:
        ValueError: If a folder holds no image, two masks have the same name, or a mask has no instance map or
            condition.
    """
    conditions = {} if condition_folder is None else _by_stem(condition_folder, suffixes=CONDITIONS)
    if not masks:
        return [
            MaskSource(name=file, stem=stem, read=None, read_condition=partial(str, file))
            for stem, file in conditions.items()
        ]
    files = [file for mask in masks for file in (images_in(Path(mask)) if Path(mask).is_dir() else [mask])]
    stems = Counter(Path(file).stem for file in files)
    if twice := [stem for stem, count in stems.items() if count > 1]:
        same = [file for file in files if Path(file).stem == twice[0]]
        raise ValueError(
            f"{' and '.join(map(str, same[:2]))} would both become {twice[0]}.png. Rename one of them, or give "
            "different folders."
        )
    maps = {} if instance_folder is None else _by_stem(instance_folder)
    for argument, folder, found in (
        ("instance_map", instance_folder, maps),
        ("condition", condition_folder, conditions),
    ):
        if folder is not None and (alone := sorted(set(stems) - set(found))):
            raise ValueError(f"`{argument}` {folder} has no file for {', '.join(alone[:3])}. Add it.")
    return [
        MaskSource(
            name=str(file),
            stem=stem,
            read=partial(str, file),
            read_instances=partial(str, maps[stem]) if stem in maps else None,
            read_condition=partial(str, conditions[stem]) if stem in conditions else None,
        )
        for file in files
        for stem in [Path(file).stem]
    ]


def _by_stem(folder: str, suffixes: Sequence[str] = ()) -> dict[str, str]:
    return {Path(file).stem: file for file in images_in(Path(folder), suffixes)}


def images_in(folder: Path, suffixes: Sequence[str] = ()) -> list[str]:
    """List the files of a folder that are images or have more suffixes, without hidden ones; ValueError if none is."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder.")
    used = {*image_suffixes(), *suffixes}
    found = [path for path in folder.iterdir() if path.suffix.lower() in used and not is_hidden(path.name)]
    if not (files := sorted(map(str, found))):
        raise ValueError(f"{folder} holds no image file.")
    return files


def rows_of_masks(
    dataset: str,
    split: str,
    mask_column: str | None,
    instance_column: str | None,
    *,
    condition_column: str | None = None,
    condition_channels: int = 0,
) -> list[MaskSource]:
    """List the masks of a data set; reading one raises a ValueError if its image is broken.

    Args:
        dataset (`str`): As in `spade_hf.data.load_rows`.
        split (`str`): Its split.
        mask_column (`str` or `None`): Column of masks; `None` for a model without labels.
        instance_column (`str`, *optional*): Column of instance maps.
        condition_column (`str`, *optional*): Column of conditions.
        condition_channels (`int`, defaults to 0): Their channels.

    Raises:
        ModuleNotFoundError: If the extra `train` is not installed.
        ValueError: If a column is missing or holds no images.
    """
    from spade_hf.data import load_rows
    from spade_hf.data.image_files import decode_photo
    from spade_hf.data.rows import decode_column, select_images
    from spade_hf.images.value_range import OF_CONDITIONS

    columns = {"mask_column": mask_column, "instance_column": instance_column, "condition_column": condition_column}
    names = [column for column in columns.values() if column is not None]
    stored: Any = load_rows(dataset, split=split, image_columns=names)  # no stream
    rows, types = select_images(stored, columns)

    def read(number: int, column: str) -> PIL.Image.Image:
        return decode_column(rows[number], column, types)

    def read_condition(number: int, column: str) -> Any:
        return decode_photo(rows[number][column], types[column], column, condition_channels, OF_CONDITIONS)

    digits = len(str(len(rows) - 1))
    return [
        MaskSource(
            name=f"row {number} of {dataset}",
            stem=f"{number:0{digits}d}",
            read=None if mask_column is None else partial(read, number, mask_column),
            read_instances=None if instance_column is None else partial(read, number, instance_column),
            read_condition=None if condition_column is None else partial(read_condition, number, condition_column),
        )
        for number in range(len(rows))
    ]
