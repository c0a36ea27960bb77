"""Reads COCO's panoptic format (Kirillov et al. 2019): PNG files of segment ids, JSON with their categories.

A pixel's segment id is R + 256 G + 65536 B; 0 means no segment. Files are decoded when a row is read.
"""

import json
import os
import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image

from ...labels.label_set import LabelSet
from ..image_files import FileImage
from ..listing import list_files
from .folders import files_by_name, normalized
from .mask_format import MaskFormat


CONDITION = "condition"  # column of conditions, which the JSON does not name
SEGMENTS_COLUMN = "panoptic_segments"  # per row: {"id", "category_id"} of each segment in its mask


def load_panoptic(
    panoptic_json: str,
    folders: Mapping[str, str],
    *,
    condition_prefix: str | None = None,
    condition_suffix: str | None = None,
) -> datasets.Dataset:
    """Pair the images and masks that a panoptic JSON file names.

    Args:
        panoptic_json (`str`): The annotations, such as `panoptic_val2017.json`.
        folders (`Mapping[str, str]`): Column -> folder: `image` holds the files of the JSON's `images`, every other
            column those of its `annotations`: `{"image": "val2017", "label": "panoptic_val2017"}`. For a model with
            instance edges also `"instance": "panoptic_val2017"`, because each segment has its own color. The JSON
            has no conditions: those of the folder `condition` have their images' names.
        condition_prefix, condition_suffix (`str`, *optional*): Start and end of the conditions' file names, which
            images do not have, as in [`load_folders`].

    Returns:
        `datasets.Dataset`: These columns, `file_name` of the image and `panoptic_segments`, with which [`PairReader`]
            maps segments to categories; rows in the order of the annotations.

    Raises:
        ValueError: If the JSON does not have this form, or names a file that is missing or elsewhere; if an image
            has no condition.
    """
    folders = dict(folders)
    condition_folder = folders.pop(CONDITION, None)
    try:
        values = json.loads(Path(panoptic_json).read_text(encoding="utf-8"))
        names = {image["id"]: image["file_name"] for image in values["images"]}
        pairs = [(names[row["image_id"]], row["file_name"]) for row in values["annotations"]]
        segments = [
            [{"id": int(one["id"]), "category_id": int(one["category_id"])} for one in row["segments_info"]]
            for row in values["annotations"]
        ]
        columns = {
            column: [str(Path(folder, image if column == "image" else mask)) for image, mask in pairs]
            for column, folder in folders.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"`panoptic_json` {panoptic_json!r} cannot be read ({error!r}). It needs `categories`, `images` with `id` "
            "and `file_name`, and `annotations` with `image_id`, `file_name` and `segments_info`, as COCO's "
            "panoptic_val2017.json."
        ) from error
    if not pairs:
        raise ValueError(f"`panoptic_json` {panoptic_json!r} has no annotations.")
    for column, paths in columns.items():
        folder = os.path.abspath(folders[column])
        if outside := [path for path in paths if not Path(os.path.abspath(path)).is_relative_to(folder)]:
            raise ValueError(
                f"`panoptic_json` {panoptic_json!r} names the file {outside[0]!r}, which is not in {folders[column]}. "
                "Only files of that folder are opened: move it there, and correct its name."
            )
        if missing := [path for path in paths if not Path(path).is_file()]:
            raise ValueError(
                f"{missing[0]}, which {panoptic_json} names, is missing, and {len(missing) - 1} more files of the "
                f"column `{column}`. Give the folder that holds these files."
            )
    images = [image for image, _ in pairs]
    if condition_folder is not None:
        columns[CONDITION] = _conditions(images, condition_folder, condition_prefix or "", condition_suffix)
    features = datasets.Features(
        {column: FileImage() for column in columns}
        | {
            "file_name": datasets.Value("string"),
            SEGMENTS_COLUMN: [{"id": datasets.Value("int64"), "category_id": datasets.Value("int64")}],
        }
    )
    extra = {"file_name": images, SEGMENTS_COLUMN: segments}
    return datasets.Dataset.from_dict(columns | extra, features=features)


def _conditions(images: list[str], folder: str, prefix: str, suffix: str | None) -> list[str]:
    """Find the conditions of images by their names."""
    paths = list_files(folder, is_deep=True)
    found = files_by_name(paths, CONDITION, {CONDITION: folder}, "", prefix, suffix)
    names = [normalized(posixpath.splitext(image)[0]) for image in images]
    if missing := [image for name, image in zip(names, images, strict=True) if name not in found]:
        raise ValueError(
            f"{folder} has no file for the image {missing[0]}, and none for {len(missing) - 1} more. A condition has "
            "its image's name. If it begins or ends otherwise, give `condition_prefix` or `condition_suffix`."
        )
    return [paths[found[name]] for name in names]


def categories_of_segments(
    mask: PIL.Image.Image, segments: list[dict[str, Any]], unknown_id: int | None
) -> PIL.Image.Image:
    """Turn a panoptic PNG into a label map.

    Args:
        mask (`PIL.Image.Image`): Segment ids in RGB.
        segments (`list[dict]`): `id` and `category_id` of each segment.
        unknown_id (`int`, *optional*): Category of pixels without a segment.

    Returns:
        `PIL.Image.Image`: Category ids, mode `I`.

    Raises:
        ValueError: If the mask is not RGB, has a segment without category, or has pixels without a segment and no
            `unknown_id` is given.
    """
    if mask.mode != "RGB":
        raise ValueError(f"the mask has the PIL mode {mask.mode!r}; panoptic masks are RGB images of segment ids.")
    pixels = np.asarray(mask).astype(np.int64)  # (H, W, 3)
    # (H, W, 3) @ (3,) -> (H, W) of segment ids; few are different, so that each is looked up once
    ids, inverse = np.unique(pixels @ np.array([1, 256, 65536]), return_inverse=True)
    category_of = {segment["id"]: segment["category_id"] for segment in segments}
    if unknown_id is not None:
        category_of.setdefault(0, unknown_id)  # 0: no segment
    if strangers := [i for i in ids.tolist() if i not in category_of]:
        raise ValueError(
            f"the mask has the segment ids {strangers[:5]}, which the JSON's `segments_info` of this image lacks"
            + (", and the label set has no unknown label for pixels without a segment (0)." if 0 in strangers else ".")
        )
    categories = np.array([category_of[i] for i in ids.tolist()], dtype=np.int32)
    return PIL.Image.fromarray(categories[inverse].reshape(pixels.shape[:2]))  # (H, W) int32, mode `I`


def _decode(
    segments: list[dict[str, Any]], image: Callable[[], PIL.Image.Image], label_set: LabelSet
) -> PIL.Image.Image:
    return categories_of_segments(image(), segments, label_set.unknown_id)


def _content(segments: Any) -> bytes:
    return repr(segments).encode()  # ids of segments and categories


PANOPTIC = MaskFormat(SEGMENTS_COLUMN, _decode, _content)
