"""Pairs parallel folders of images, masks and instance maps. A zip file is read like a folder.

Layouts:
    photos/1.jpg, masks/1.png                                               equal names
    leftImg8bit/train/ulm/1_leftImg8bit.png, gtFine/train/ulm/1_gtFine_labelIds.png     suffixes, in subfolders
    JPEGImages/1.jpg, SegmentationClass/1.png, SegmentationObject/1.png     PASCAL VOC's layout, CVAT's zip
"""

import logging
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import datasets

from ...images.suffixes import image_suffixes
from ...labels.label_set import LabelSet
from ..image_files import FileImage
from ..listing import has_folder, list_files
from .class_masks import CLASS_MASKS_COLUMN, CLASS_MASKS_FEATURE, SOFT_CLASS_MASKS_COLUMN, group_by_photograph


logger = logging.getLogger(__name__)
VOC_FOLDERS = {"image": "JPEGImages", "label": "SegmentationClass", "instance": "SegmentationObject"}
ARRAY_SUFFIX = ".npy"  # of photographs, masks and conditions, in a folder without images
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp", ".heic", ".avif")  # of photographs rather than of masks


def load_folders(
    folders: Mapping[str, str],
    *,
    suffixes: Mapping[str, str | None] | None = None,
    prefixes: Mapping[str, str | None] | None = None,
    file_list: str | None = None,
    class_masks: LabelSet | None = None,
    soft_class_masks: bool = False,
) -> datasets.Dataset:
    """Pair the files of parallel folders by name.

    Hidden files (`._1.png`) are left out, linked folders are read, and names are compared in Unicode's form NFC.

    Args:
        folders (`Mapping[str, str]`): Column -> folder or zip file of images, such as `{"image": "photos", "label":
            "masks"}`. Several columns can have the same folder. In PASCAL VOC's layout, a subfolder of it is read:
            `JPEGImages` for the column `image`, `SegmentationClass` for `label`, `SegmentationObject` for `instance`.
        suffixes (`Mapping[str, str]`, *optional*): Column -> end of its file names, such as
            `"_gtFine_labelIds.png"`. Files form a pair if their names are equal without suffix (in a column without
            suffix: without the extension). Other files are ignored. Subfolders are also read, and are part of the
            names. Without suffixes, subfolders are ignored unless the masks are in VOC's layout.
        prefixes (`Mapping[str, str]`, *optional*): Column -> start of its file names, such as `"gt_"`, which is not
            part of the name. Other files are ignored.
        file_list (`str`, *optional*): A text file with one name per line, without prefix, suffix or extension, such as
            VOC's `ImageSets/Segmentation/train.txt`; or with a whole file name of the first column, as a run lists
            the pairs that it holds out. Only these files are read. Without it, every file needs a partner; but with
            masks in VOC's layout, images without a mask are skipped.
        class_masks (`LabelSet`, *optional*): Each image has black and white masks, one or more per class of this label
            set, whose names are the image's, the class and optionally a number: `1-grass.png`, `1-grass-2.png` or
            `1/grass.png`. Where masks overlap, the class with the larger id wins.
        soft_class_masks (`bool`, defaults to `False`): With `class_masks`, gray masks are the weights of their
            classes, from black 0 to white 1, and overlaps stay: soft masks.

    Returns:
        `datasets.Dataset`: These columns, and `file_name` of the first one; rows in the order of their names.

    Raises:
        ValueError: If a folder is missing or empty, a name occurs twice in a folder, or a file has no partner.
    """
    suffixes, prefixes = _given("suffixes", suffixes, folders), _given("prefixes", prefixes, folders)
    has_voc_masks = "label" in folders and has_folder(folders["label"], VOC_FOLDERS["label"])
    is_deep = bool(suffixes) or has_voc_masks
    paths, files = {}, {}
    for column, folder in folders.items():
        part = VOC_FOLDERS.get(column, "")
        part = part if part and has_folder(folder, part) else ""
        masks_are_deep = column == "label" and class_masks is not None
        paths[column] = list_files(folder, part, is_deep=is_deep or masks_are_deep)
        prefix, suffix = prefixes.get(column, ""), suffixes.get(column)
        files[column] = files_by_name(paths[column], column, folders, part, prefix, suffix)
    classes = None
    if class_masks is not None:
        classes, strangers = group_by_photograph(files["label"], files["image"], class_masks)
        if strangers and file_list is None:
            raise ValueError(
                f"{folders['label']} has {_some(strangers)}; with `class_masks`, the name of a mask is the image's "
                f"and the class, such as {next(iter(files['image']))}-{class_masks.names[0]}. Rename or remove them."
            )
        files["label"] = {name: masks[0][0] for name, masks in classes.items()}
    if file_list is not None:
        first = next(iter(files.values()))
        whole = {normalized(path): name for name, path in first.items() if normalized(path) not in first}
        names = {whole.get(name, name) for name in _read_names(file_list)}
    elif has_voc_masks:
        names = set(files["label"])
        num_alone = len(set().union(*files.values()) - names)
        if num_alone:
            logger.info("Left out, because %s has no mask for them: %d", folders["label"], num_alone)
    else:
        names = set().union(*files.values())
    _check_partners(names, files, folders, file_list)
    order = sorted(names)
    columns: dict[str, list[Any]] = {
        column: [paths[column][found[name]] for name in order] for column, found in files.items()
    }
    first = next(iter(files.values()))
    columns["file_name"] = [first[name] for name in order]
    features: dict[str, Any] = dict.fromkeys(folders, FileImage()) | {"file_name": datasets.Value("string")}
    if classes is not None:
        column = SOFT_CLASS_MASKS_COLUMN if soft_class_masks else CLASS_MASKS_COLUMN
        features[column] = CLASS_MASKS_FEATURE
        columns[column] = [
            [{"path": paths["label"][file], "label_id": label_id} for file, label_id in classes[name]]
            for name in order
        ]
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def _given(name: str, ends: Mapping[str, str | None] | None, folders: Mapping[str, str]) -> dict[str, str]:
    ends = {column: normalized(end) for column, end in (ends or {}).items() if end is not None}
    if strangers := sorted(set(ends) - set(folders)):
        raise ValueError(f"`{name}` has {', '.join(strangers)}; there are folders for {', '.join(folders)}.")
    return ends


def normalized(name: str) -> str:
    """Return a name in Unicode's form NFC: macOS writes some letters as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def files_by_name(
    paths: Iterable[str], column: str, folders: Mapping[str, str], part: str, prefix: str, suffix: str | None
) -> dict[str, str]:
    """Map the part of each name that partners share to the name in the folder."""
    folder = folders[column]
    found: dict[str, str] = {}
    used = image_suffixes()
    if column != "instance" and not any(posixpath.splitext(path)[1].lower() in used for path in paths):
        used = frozenset([ARRAY_SUFFIX])
    for path in paths:
        name = normalized(path)
        stem, extension = posixpath.splitext(name)
        is_used = extension.lower() in used if suffix is None else name.endswith(suffix)
        directory, base = posixpath.split(stem if suffix is None else name.removesuffix(suffix))
        if not is_used or not base.startswith(prefix):
            continue
        _check_encoding(folder, path)
        key = posixpath.join(directory, base.removeprefix(prefix))
        if key in found:
            raise ValueError(_describe_twins(column, folders, found[key], path))
        found[key] = path
    if not found:
        raise ValueError(_describe_contents(column, folder, part, prefix, suffix))
    return found


def _check_encoding(folder: str, name: str) -> None:
    """Raise a ValueError for a name that is not UTF-8, which Arrow cannot store."""
    path = f"{folder}/{name}"
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise ValueError(
            f"{shown} has a name that is not UTF-8. Rename it; `convmv -f latin1 -t utf8 --notest FILES` renames many."
        ) from None


def _describe_twins(column: str, folders: Mapping[str, str], one: str, other: str) -> str:
    """Explain that two files of a folder have the same name without extension."""
    ends = [posixpath.splitext(name)[1] for name in (one, other)]
    text = f"{folders[column]} has both {one} and {other}."
    if len(set(map(str.lower, ends))) < 2:
        return f"{text} Their names count as equal: rename one of them."
    if "label" in folders and folders.get("image") == folders["label"]:
        image, mask = sorted(ends, key=lambda end: end.lower() not in LOSSY_SUFFIXES)
        return f"{text} If they are an image and its mask, pass `suffixes={ {'image': image, 'label': mask} }`."
    return f"{text} Keep one of them, or choose by the end of the names, such as `suffixes={ {column: ends[0]} }`."


def _describe_contents(column: str, folder: str, part: str, prefix: str, suffix: str | None) -> str:
    """Explain that no file of a folder is used, by what the folder has."""
    everything = list_files(folder, part, is_deep=True)
    if not everything:
        return f"{folder} is empty. Give the folder of the images."
    extensions = Counter(posixpath.splitext(name)[1] for name in everything)
    shown = ", ".join(f"{count} {end or 'without extension'}" for end, count in extensions.most_common(4))
    if prefix or suffix is not None:
        ends = " and ".join(
            [f"starts with {prefix!r}"] * bool(prefix) + [f"ends with {suffix!r}"] * (suffix is not None)
        )
        return (
            f"{folder} has no file that {ends}; files there: {shown}, such as {next(iter(everything))}. A suffix is "
            "the end of the names, extension included, such as '_gtFine_labelIds.png'; a prefix is their start."
        )
    images = [name for name in everything if posixpath.splitext(name)[1].lower() in image_suffixes()]
    if images:
        end = posixpath.splitext(images[0])[1]
        return (
            f"{folder} has its {len(images)} images in subfolders, such as {images[0]}. Pass "
            f"`suffixes={ {column: end} }` to read them with their subfolders."
        )
    if "" in extensions:
        bare = next(name for name in everything if not posixpath.splitext(name)[1])
        return (
            f"{folder} has {extensions['']} files without an extension, such as {bare}. If they are images, pass "
            f"`suffixes={ {column: ''} }`."
        )
    if heic := [end for end in extensions if end.lower() in (".heic", ".heif", ".avif", ".jxl")]:
        return (
            f"{folder} has {extensions[heic[0]]} {heic[0]} files, which Pillow cannot read here. Convert them to JPEG "
            "or PNG, as `heif-convert` or `magick mogrify -format jpg` does."
        )
    return f"{folder} holds no image file; files there: {shown}. Give the folder of the images."


def _read_names(file_list: str) -> set[str]:
    try:
        lines = Path(file_list).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"`file_list` {file_list!r} cannot be read: {error}") from error
    names = {normalized(line.strip()) for line in lines if line.strip()}
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
            "without its prefix (`prefixes`), suffix (`suffixes`) or extension, or a whole name in the first folder."
        )
    raise ValueError(
        f"{'; '.join(lacks)}. {_hint(missing, files)}Files are paired by their names without extension: rename them "
        "so that these are the same in every folder, or give the ends of the names by `suffixes`, their starts by "
        "`prefixes`; remove files without a partner, or list the others in a `file_list`."
    )


def _hint(missing: Mapping[str, list[str]], files: Mapping[str, Mapping[str, str]]) -> str:
    """Explain names without a partner by one that is nearly the same."""
    for column, alone in missing.items():
        same = {name.casefold(): name for name in files[column]}
        for name in alone:
            if name.casefold() in same:
                return f"{name} and {same[name.casefold()]} differ in upper and lower case only. "
    masks, images = missing.get("image", []), missing.get("label", [])
    if len(masks) > len(images) and any(masks[0].startswith(image) for image in images):
        return "If each image has one mask per class, such as 1-grass.png and 1-sky.png, pass `class_masks`. "
    return ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
