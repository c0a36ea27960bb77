"""Merges masks of one file per class: black and white ones to label maps, or gray ones to soft masks.

Label Studio and others write such files: `p1-grass-0.png` and `p1-sky-1.png`, or `p1/grass.png` and `p1/sky.png`, for
the photograph `p1.jpg`.
"""

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import PIL.Image

from ...images.inputs import open_raster
from ...labels.label_set import LabelSet
from ..image_files import FileImage, readable_bytes
from ..listing import read_file
from .mask_format import MaskFormat


CLASS_MASKS_COLUMN = "class_masks"  # per row: {"path", "label_id"} of each mask
SOFT_CLASS_MASKS_COLUMN = "soft_class_masks"  # the same, of gray masks that are weights
CLASS_MASKS_FEATURE = [{"path": datasets.Value("string"), "label_id": datasets.Value("int64")}]
BACKGROUND = "background"  # label of pixels in no mask, in a label set without unknown


def group_by_photograph(
    masks: Mapping[str, str], photographs: Mapping[str, str], label_set: LabelSet
) -> tuple[dict[str, list[tuple[str, int]]], list[str]]:
    """Find the photograph and the label in the name of each mask: `NAME-LABEL` or `NAME-LABEL-2`.

    Instead of `-`, any other characters that are neither letters nor digits can stand, and the label's case is free.

    Args:
        masks (`Mapping[str, str]`): Name without suffix or extension -> the rest is returned.
        photographs (`Mapping[str, str]`): Names of the photographs -> anything.
        label_set (`LabelSet`): The labels.

    Returns:
        `tuple`: Photograph -> [(mask, label id)]; and the names that are not of this form.
    """
    id_of = {_word(label): id_ for id_, label in label_set.id2label.items()}
    found: dict[str, list[tuple[str, int]]] = {}
    strangers = []
    for name, file in sorted(masks.items()):
        ends = [match.start() for match in re.finditer(r"[\W_]+", name)]
        for end in reversed(ends):  # the longest name of a photograph first
            rest = _word(name[end:])
            label_id = id_of.get(rest, id_of.get(re.sub(r"_\d+$", "", rest)))
            if name[:end] in photographs and label_id is not None:
                found.setdefault(name[:end], []).append((file, label_id))
                break
        else:
            strangers.append(name)
    return found, strangers


def merge_class_masks(masks: list[dict[str, Any]], label_set: LabelSet) -> PIL.Image.Image:
    """Merge the masks of one photograph: where they overlap, the label with the larger id wins.

    Args:
        masks (`list[dict]`): `path` and `label_id` of each mask.
        label_set (`LabelSet`): The labels. Pixels in no mask are unknown, else the label `background`.

    Returns:
        `PIL.Image.Image`: Label ids, mode `I`.

    Raises:
        ValueError: If a mask is not black and white, masks differ in size, or pixels are in no mask and the label set
            has neither unknown nor `background`.
    """
    ids: np.ndarray | None = None  # (H, W)
    is_free = np.array(True)  # (H, W) after the first mask: pixels in no mask so far
    for mask in sorted(masks, key=lambda mask: mask["label_id"]):  # larger ids come later, and overwrite
        is_inside = _black_and_white(mask["path"])  # (H, W)
        if ids is None:
            ids, is_free = np.zeros(is_inside.shape, np.int32), np.ones(is_inside.shape, bool)
        if is_inside.shape != ids.shape:
            raise _other_sizes(ids.shape, is_inside.shape)
        ids[is_inside] = mask["label_id"]
        is_free &= ~is_inside
    assert ids is not None, "a photograph has at least one mask"
    if is_free.any():
        rest = _rest(label_set)
        if rest is None:
            raise ValueError(
                f"{is_free.sum()} pixels are in none of its {len(masks)} masks, and the label set has neither an "
                f"unknown label nor one called {BACKGROUND!r} for them. Add one to the label set."
            )
        ids[is_free] = rest
    return PIL.Image.fromarray(ids)


def stack_class_masks(masks: list[dict[str, Any]], label_set: LabelSet) -> np.ndarray:
    """Make a soft mask of the gray masks of one photograph: from black, weight 0, to white, weight 1.

    Overlaps stay: a pixel can have several labels. Of several masks of a class, the largest weight counts. What is
    left of 1 is unknown's weight, else that of the label `background`, if there is one.

    Args:
        masks (`list[dict]`): `path` and `label_id` of each mask.
        label_set (`LabelSet`): The labels.

    Returns:
        `np.ndarray`: float32 `(L, H, W)`.

    Raises:
        ValueError: If a mask is not gray, or masks differ in size.
    """
    weights: np.ndarray | None = None  # (L, H, W)
    for mask in masks:
        weight = _shares_of_white(mask["path"])  # (H, W)
        if weights is None:
            weights = np.zeros((label_set.num_channels, *weight.shape), np.float32)
        if weight.shape != weights.shape[1:]:
            raise _other_sizes(weights.shape[1:], weight.shape)
        channel = label_set.ids.index(mask["label_id"])
        weights[channel] = np.maximum(weights[channel], weight)
    assert weights is not None, "a photograph has at least one mask"
    if (rest := _rest(label_set)) is not None:
        channel = label_set.ids.index(rest)
        weights[channel] = np.maximum(weights[channel], 1 - weights.sum(axis=0))
    return weights


def _rest(label_set: LabelSet) -> int | None:
    """Return the id of pixels in no mask, if there is one."""
    background = {_word(label): id_ for id_, label in label_set.id2label.items()}.get(BACKGROUND)
    return background if label_set.unknown_id is None else label_set.unknown_id


def _other_sizes(one: tuple[int, ...], other: tuple[int, ...]) -> ValueError:
    sizes = " and ".join(f"{shape[1]}x{shape[0]}" for shape in (one, other))
    return ValueError(f"the masks of its classes have the sizes {sizes} (width x height); export them again.")


def _decode_soft(masks: list[dict[str, Any]], _: Callable[[], PIL.Image.Image], label_set: LabelSet) -> np.ndarray:
    return stack_class_masks(masks, label_set)


def _decode(masks: list[dict[str, Any]], _: Callable[[], PIL.Image.Image], label_set: LabelSet) -> PIL.Image.Image:
    return merge_class_masks(masks, label_set)


def _content(masks: Sequence[dict[str, Any]] | None) -> bytes:
    """Return label ids and hashes of the masks' files."""
    files = [(mask["label_id"], {"bytes": None, "path": mask["path"]}) for mask in masks or ()]
    return b"".join(
        repr(label_id).encode() + hashlib.blake2b(readable_bytes(file, FileImage())).digest()
        for label_id, file in files
    )


CLASS_MASKS = MaskFormat(CLASS_MASKS_COLUMN, _decode, _content)
SOFT_CLASS_MASKS = MaskFormat(SOFT_CLASS_MASKS_COLUMN, _decode_soft, _content)


def _word(text: str) -> str:
    return re.sub(r"[\W_]+", "_", text).strip("_").casefold()


def _shares_of_white(path: str) -> np.ndarray:
    """Read a gray mask of 8 or 16 bits as float32 `(H, W)` in [0, 1]."""
    pixels = _gray(path)
    if pixels.ndim != 2 or pixels.dtype not in (bool, np.uint8, np.uint16):
        raise ValueError(f"{path} holds {pixels.dtype} of shape {pixels.shape}; the mask of one class is gray.")
    return pixels.astype(np.float32) / (1 if pixels.dtype == bool else np.iinfo(pixels.dtype).max)


def _gray(path: str) -> np.ndarray:
    try:
        image = open_raster(io.BytesIO(read_file(path)))
        if image.mode in ("P", "RGB"):
            image = image.convert("L")
        elif "A" in image.mode:  # white on nothing
            image = PIL.Image.composite(image.convert("L"), PIL.Image.new("L", image.size), image.getchannel("A"))
        return np.array(image)
    except Exception as error:  # decoders raise anything
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _black_and_white(path: str) -> np.ndarray:
    """Read a mask as bool `(H, W)`."""
    pixels = _gray(path)
    values = np.unique(pixels)
    if pixels.ndim != 2 or len(values) > 2 or (len(values) == 2 and values[0] != 0):
        raise ValueError(
            f"{path} has {len(values)} values, from {values[0]} to {values[-1]}; the mask of one class has 0 outside "
            "and one other value inside. Export it without soft edges, or pass `soft_class_masks` if its grays are "
            "weights of the class."
        )
    return pixels > 0
