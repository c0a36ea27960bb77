"""Pairs parallel folders of images, masks and instance maps. A zip file is read like a folder.

Layouts:
    photos/1.jpg, masks/1.png                                               equal names
    leftImg8bit/train/ulm/1_leftImg8bit.png, gtFine/train/ulm/1_gtFine_labelIds.png     suffixes, in subfolders
    JPEGImages/1.jpg, SegmentationClass/1.png, SegmentationObject/1.png     PASCAL VOC's layout, CVAT's zip
"""

import logging
import posixpath
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import datasets
import PIL.Image


logger = logging.getLogger(__name__)
VOC_FOLDERS = {"image": "JPEGImages", "label": "SegmentationClass", "instance": "SegmentationObject"}


class _Listing(NamedTuple):
    """The files of a folder or zip file: relative name, with `/`, -> path or `zip://` address."""

    files: dict[str, str]
    is_voc: bool  # the files are those of a subfolder in VOC's layout


def load_folders(
    folders: Mapping[str, str],
    *,
    suffixes: Mapping[str, str | None] | None = None,
    file_list: str | None = None,
) -> datasets.Dataset:
    """Pair the files of parallel folders by name.

    Args:
        folders (`Mapping[str, str]`): Column -> folder or zip file of images, such as `{"image": "photos", "label":
            "masks"}`. Several columns can have the same folder. In PASCAL VOC's layout, a subfolder of it is read:
            `JPEGImages` for the column `image`, `SegmentationClass` for `label`, `SegmentationObject` for `instance`.
        suffixes (`Mapping[str, str]`, *optional*): Column -> end of its file names, such as
            `"_gtFine_labelIds.png"`. Files form a pair if their names are equal without suffix (in a column without
            suffix: without the extension). Other files are ignored. Subfolders are also read, and are part of the
            names. Without suffixes, subfolders are ignored unless the masks are in VOC's layout.
        file_list (`str`, *optional*): A text file with one name per line, without suffix or extension, such as VOC's
            `ImageSets/Segmentation/train.txt`. Only these files are read. Without it, every file needs a partner;
            but with masks in VOC's layout, images without a mask are skipped.

    Returns:
        `datasets.Dataset`: These columns, and `file_name` of the first one; rows in the order of their names.

    Raises:
        ValueError: If a folder is missing or empty, a name occurs twice in a folder, or a file has no partner.
    """
    suffixes = {column: suffix for column, suffix in (suffixes or {}).items() if suffix is not None}
    if strangers := sorted(set(suffixes) - set(folders)):
        raise ValueError(f"`suffixes` has {', '.join(strangers)}; there are folders for {', '.join(folders)}.")
    has_voc_masks = "label" in folders and _has_folder(folders["label"], VOC_FOLDERS["label"])
    is_deep = bool(suffixes) or has_voc_masks
    listings = {column: _list(folder, column, is_deep=is_deep) for column, folder in folders.items()}
    files = {
        column: _by_name(listing.files, suffixes.get(column), folders[column]) for column, listing in listings.items()
    }
    if file_list is not None:
        names = _read_names(file_list)
    elif has_voc_masks:
        names = set(files["label"])
        num_alone = len(set().union(*files.values()) - names)
        if num_alone:
            logger.info("Left out, because %s has no mask for them: %d", folders["label"], num_alone)
    else:
        names = set().union(*files.values())
    _check_partners(names, files, folders, file_list)
    order = sorted(names)
    columns = {column: [listings[column].files[found[name]] for name in order] for column, found in files.items()}
    first = next(iter(files.values()))
    features = datasets.Features(
        {column: datasets.Image() for column in columns} | {"file_name": datasets.Value("string")}
    )
    return datasets.Dataset.from_dict(columns | {"file_name": [first[name] for name in order]}, features=features)


def read_text(folder: str, name: str) -> str | None:
    """Read the text of a file in a folder or zip file; return `None` if there is no such file.

    Raises:
        ValueError: If it is not UTF-8.
    """
    if zipfile.is_zipfile(folder):
        with zipfile.ZipFile(folder) as archive:
            return archive.read(name).decode("utf-8-sig") if name in archive.namelist() else None
    path = Path(folder, name)
    return path.read_text(encoding="utf-8-sig") if path.is_file() else None


def _has_folder(folder: str, name: str) -> bool:
    if zipfile.is_zipfile(folder):
        with zipfile.ZipFile(folder) as archive:
            return any(entry.startswith(f"{name}/") for entry in archive.namelist())
    return Path(folder, name).is_dir()


def _list(folder: str, column: str, *, is_deep: bool) -> _Listing:
    """List the files of a column, with those of subfolders if `is_deep`."""
    part = VOC_FOLDERS.get(column, "")
    is_voc = bool(part) and _has_folder(folder, part)
    if zipfile.is_zipfile(folder):
        prefix = f"{part}/" if is_voc else ""
        with zipfile.ZipFile(folder) as archive:
            entries = [name for name in archive.namelist() if name.startswith(prefix) and not name.endswith("/")]
        address = Path(folder).resolve().as_posix()
        files = {name.removeprefix(prefix): f"zip://{name}::{address}" for name in sorted(entries)}
        return _Listing({name: path for name, path in files.items() if is_deep or "/" not in name}, is_voc)
    root = Path(folder, part) if is_voc else Path(folder)
    if not root.is_dir():
        raise ValueError(
            f"{folder} is neither a folder nor a zip file. Give the folders of the images and of their masks."
        )
    paths = sorted(root.rglob("*") if is_deep else root.iterdir())
    return _Listing({path.relative_to(root).as_posix(): str(path) for path in paths}, is_voc)


def _by_name(files: Mapping[str, str], suffix: str | None, folder: str) -> dict[str, str]:
    """Map the part of each name that partners share to the name in the folder."""
    found: dict[str, str] = {}
    for name in files:
        stem, extension = posixpath.splitext(name)
        if suffix is not None:
            if name.endswith(suffix):
                found[name.removesuffix(suffix)] = name
        elif extension.lower() in PIL.Image.registered_extensions():
            if stem in found:
                raise ValueError(f"{folder} has both {found[stem]} and {name}. Keep one of them.")
            found[stem] = name
    if not found and suffix is not None:
        raise ValueError(
            f"{folder} has no file that ends with {suffix!r}. A suffix is the end of the names, extension included, "
            "such as '_gtFine_labelIds.png'."
        )
    if not found:
        raise ValueError(f"{folder} holds no image file.")
    return found


def _read_names(file_list: str) -> set[str]:
    try:
        lines = Path(file_list).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"`file_list` {file_list!r} cannot be read: {error}") from error
    names = {line.strip() for line in lines if line.strip()}
    if not names:
        raise ValueError(f"`file_list` {file_list!r} is empty. It needs one name per line, without extension.")
    return names


def _check_partners(
    names: set[str], files: Mapping[str, Mapping[str, str]], folders: Mapping[str, str], file_list: str | None
) -> None:
    """Raise a ValueError if a column lacks one of the names."""
    missing = {column: sorted(names - set(found)) for column, found in files.items()}
    if not any(missing.values()):
        return
    lacks = [f"{folders[column]} has no file for {_some(alone)}" for column, alone in missing.items() if alone]
    if file_list is not None:
        raise ValueError(
            f"{'; '.join(lacks)}, which `file_list` {file_list} names. A line is a file's name with its subfolders, "
            "without its suffix (`suffixes`) or extension."
        )
    raise ValueError(
        f"{'; '.join(lacks)}. Files are paired by their names without extension: rename them so that these are "
        "the same in every folder, or give the ends of the names by `suffixes`; remove files without a partner, or "
        "list the others in a `file_list`."
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
