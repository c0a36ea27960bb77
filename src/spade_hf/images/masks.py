"""Reads masks: which numbers of a file are ids, which are colors, and which are neither.

A number counts as an id only where the file keeps numbers: not in a lossy format, and not where Pillow spreads few
bits over 0..255. The colors of a palette count where they contradict its indices.
"""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from ..labels.colors import MAX_COLOR_TOLERANCE, NEAR_COLOR, nearest_rows, pack_colors, rows_of_colors
from ..labels.label_set import LabelSet
from .inputs import COLOR_MODES, check_opaque, flatten, header_of, is_lossy, open_image, upright
from .palettes import find_disagreement
from .photo_files import is_npy, read_npy


ID_MODES = ("L", "P", "I;16", "I;16B", "I;16L", "I")  # one integer per pixel
GRAY_MODES = ("1", "L", "LA")  # eight bits at most: they can also be colors
OPAQUE_ALPHA = 128  # with `color_tolerance`, a brush's soft edge counts as painted from this alpha on
SOFT_SHARE = 0.5  # of a drawing with soft edges, this share of the pixels has nearly a label's color
MANY_IDS = 8  # from this many unknown ids on, a message thinks of soft edges


def read_ids(
    value: PIL.Image.Image | np.ndarray | torch.Tensor,
    label_set: LabelSet,
    *,
    color_tolerance: float | None,
    argument: str,
) -> np.ndarray:
    """Read one mask, or a batch of an array: integers `(N, H, W)`, ids that can still be unknown to the label set.

    Raises:
        ValueError: If the form is not allowed, or the numbers are neither ids nor the labels' colors.
    """
    # Arrays say what they hold by dtype and shape.
    if not isinstance(value, PIL.Image.Image):
        maps = _array_maps(value, argument)  # (N, H, W) or (N, H, W, 3 | 4)
        return _ids_of_colors(maps, label_set, color_tolerance, argument) if maps.ndim == 4 else maps
    _check_mode(value, argument, (*ID_MODES, *GRAY_MODES, *COLOR_MODES))
    image = upright(value, argument=argument)
    # A palette image's indices are ids, unless its colors say otherwise.
    if image.mode == "P" and (found := find_disagreement(image, label_set)) is not None:
        if color_tolerance is None:
            raise ValueError(
                f"{argument} is a palette image in the colors of label set '{label_set.name}', but its index "
                f"{found.index} has the color of id {found.drawn_id}. Save it as RGB to have its colors read, or "
                "pass `color_tolerance=0`; if its indices are the ids, save them as a gray image."
            )
        image = image.convert("RGBA")
    if image.mode == "RGB" and "transparency" in image.info:  # one color stands for transparent pixels
        image = image.convert("RGBA")
    # Colors: uint8 (H, W, 3 | 4).
    if image.mode in COLOR_MODES:
        return _ids_of_colors(np.array(image)[None], label_set, color_tolerance, argument)
    # Numbers beside transparency: (H, W) each.
    if image.mode == "LA":
        gray, alpha = (np.array(channel) for channel in image.split())
        transparent = _transparent(alpha, label_set, color_tolerance, argument)
        ids = np.full(gray.shape, label_set.unknown_id or 0, dtype=np.int64)
        ids[~transparent] = _ids_of_numbers(image, gray[~transparent], label_set, color_tolerance, argument)
        return ids[None]
    # Numbers alone; a transparent one is an id all the same, so it must be the unknown one.
    numbers = np.array(image.convert("L") if image.mode == "1" else image)  # (H, W)
    ids = _ids_of_numbers(image, numbers, label_set, color_tolerance, argument)
    if "transparency" in image.info:
        hidden = np.array(image.convert("RGBA"))[..., 3] < 255
        if other_ids := sorted(set(ids[hidden].tolist()) - {label_set.unknown_id}):
            raise ValueError(
                f"{argument} has {int(hidden.sum())} transparent pixels with the ids {other_ids[:10]}. Save it "
                "without transparency if the ids count, or give these pixels the id of the unknown label."
            )
    return ids[None]


def read_instances(value: PIL.Image.Image | np.ndarray | torch.Tensor, argument: str) -> np.ndarray:
    """Read one instance map, or a batch of an array: int64 `(N, H, W)`; every color is one instance."""
    if isinstance(value, PIL.Image.Image):
        _check_mode(value, argument, (*ID_MODES, *COLOR_MODES))
        if is_lossy(value):
            raise ValueError(f"{argument} {_why_no_ids(value)}. Export the instance map as PNG.")
        image = upright(value, argument=argument)
        if image.mode != "RGBA":  # an error below, also if it is opaque
            check_opaque(image, argument)
        maps = np.array(image)[None]
    else:
        maps = _array_maps(value, argument)
    if maps.ndim == 4 and maps.shape[-1] == 4:
        raise ValueError(f"{argument} has an alpha channel; an instance map has ids, or RGB colors. Save it without.")
    return (pack_colors(maps) if maps.ndim == 4 else maps).astype(np.int64)


def read_instance_maps(instance_map: Any) -> list[torch.Tensor]:
    """Read every instance map at its own size: int64 `(H, W)`."""
    instance_maps: list[torch.Tensor] = []
    for value, name in flatten(instance_map, "instance_map"):
        ids = torch.from_numpy(read_instances(value, name))  # (N, H, W)
        instance_maps.extend(ids.to(value.device) if isinstance(value, torch.Tensor) else ids)
    return instance_maps


def open_mask(source: str | Path, *, argument: str) -> PIL.Image.Image | np.ndarray:
    """Open the file of a mask: an image, or `.npy` of ids `(H, W)`, or of the labels' weights `(L, H, W)`.

    Returns:
        `PIL.Image.Image` or `np.ndarray`: Weights as float32 `(1, L, H, W)`.
    """
    if not is_npy(source):
        return open_image(source, argument=argument)
    numbers = numbers_of_mask(read_npy(source, argument), argument)
    return numbers[None] if numbers.ndim == 3 else numbers


def numbers_of_mask(numbers: np.ndarray, argument: str) -> np.ndarray:
    """Return ids `(H, W)` as they are, and weights `(L, H, W)` as float32; 0 and 1 can have any type.

    Raises:
        ValueError: For numbers of another shape or type.
    """
    kind, shape = numbers.dtype.kind, numbers.shape
    if numbers.ndim == 2 and kind in "iu":
        return numbers
    if numbers.ndim != 3 or kind not in "biuf":
        raise ValueError(
            f"{argument} holds {numbers.dtype} of shape {shape}; a mask is integer ids (H, W), or the weights of the "
            "labels (L, H, W). Save one of these."
        )
    if kind in "iu" and numbers.size and not 0 <= numbers.min() <= numbers.max() <= 1:
        raise ValueError(
            f"{argument} holds {numbers.dtype} of shape {shape} with values in {numbers.min()}..{numbers.max()}; of "
            "integers, the weights (L, H, W) of labels are 0 and 1. Save floats, or ids (H, W)."
        )
    return numbers.astype(np.float32)


def ids_of_red(mask: PIL.Image.Image, argument: str = "`mask`") -> PIL.Image.Image:
    """Return the ids in the red channel of an RGB mask, as a gray image of ids.

    CARLA saves them so, with 0 or numbers of objects in the other channels; so do programs that write gray as RGB.

    Raises:
        ValueError: If it is not an RGB image, or its compression changes numbers.
    """
    if mask.mode not in COLOR_MODES:
        raise ValueError(
            f"{argument} has the PIL mode {mask.mode!r}, but `ids_in_red` is for RGB images with ids in the red "
            "channel. Leave it out for masks of ids."
        )
    if is_lossy(mask):
        raise ValueError(f"{argument} {_why_no_ids(mask)}. Export the mask as an 8-bit PNG file.")
    return upright(mask, argument=argument).getchannel("R")


def soft_masks(value: torch.Tensor, label_set: LabelSet, argument: str) -> torch.Tensor:
    """Read one-hot or soft masks as float32 `(N, L, H, W)`; ValueError for another shape, or weights below 0."""
    num_channels = label_set.num_channels
    if value.ndim != 4 or value.shape[1] != num_channels or 0 in value.shape:
        raise ValueError(
            f"{argument} has shape {tuple(value.shape)}; a float mask is (N, {num_channels}, H, W), one channel "
            f"per label of '{label_set.name}' and none for edges. Ids must have an integer dtype."
        )
    value = value.float()
    low, high = value.min().item(), value.max().item()
    if not 0 <= low <= high < float("inf"):  # also false for NaN
        raise ValueError(f"{argument} has values in [{low:.4g}, {high:.4g}]; weights are finite and 0 or more.")
    return value


def _array_maps(value: np.ndarray | torch.Tensor, argument: str) -> np.ndarray:
    """Return integers `(N, H, W)` of ids, or uint8 `(N, H, W, 3 | 4)` of colors."""
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    if array.dtype.kind not in "iu":
        raise ValueError(f"{argument} has dtype {array.dtype}; ids are integers. Convert it first.")
    is_color = isinstance(value, np.ndarray) and array.dtype == np.uint8 and array.ndim in (3, 4)
    if is_color and array.shape[-1] in (3, 4):
        maps = array if array.ndim == 4 else array[None]
    elif array.ndim in (2, 3):
        maps = array if array.ndim == 3 else array[None]
    else:
        forms = "(H, W) and (N, H, W) of ids" + (
            "" if isinstance(value, torch.Tensor) else ", and uint8 (H, W, 3) of colors"
        )
        raise ValueError(f"{argument} has shape {tuple(array.shape)}; allowed are {forms}.")
    if 0 in maps.shape:
        raise ValueError(f"{argument} has shape {tuple(array.shape)}, which holds no pixel.")
    return maps


def _check_mode(image: PIL.Image.Image, argument: str, modes: tuple[str, ...]) -> None:
    """Raise a ValueError for a mode that is not read, or of which Pillow keeps only a part."""
    if image.mode not in modes:
        raise ValueError(
            f"{argument} has the PIL mode {image.mode!r}; allowed are {', '.join(ID_MODES[:3])} and I (ids), and "
            f"{' and '.join(COLOR_MODES)} (colors). Save it in one of them."
        )
    if image.mode in ("L", "LA", *COLOR_MODES) and (header_of(image).white or 255) > 255:
        raise ValueError(
            f"{argument} has channels of 16 bits, of which only 8 are read. Save its colors with 8 bits per channel, "
            "and ids as a gray image of 8 or 16 bits."
        )


def _why_no_ids(image: PIL.Image.Image) -> str | None:
    """Say why the numbers of an image cannot be ids; `None` if they can."""
    header = header_of(image)
    if header.is_lossy:
        return f"is a {header.format or 'file'} with lossy compression, which changes ids"
    if image.mode == "1":
        return "has the PIL mode '1', black and white, which has no ids"
    usual = 65535 if image.mode == "I" else 255
    if image.mode in ("L", "LA", "I") and (header.white or usual) < usual:
        return f"stores numbers up to {header.white} only, which are spread over 0..{usual} and are no ids any more"
    if header.is_inverted:
        return "stores 0 for white, so that its numbers are inverted and are no ids any more"
    return None


def _ids_of_numbers(
    image: PIL.Image.Image, numbers: np.ndarray, label_set: LabelSet, color_tolerance: float | None, argument: str
) -> np.ndarray:
    """Read numbers `(...)` of an image: as ids, or with `color_tolerance` as grays that are labels' colors."""
    reason, are_ids = _why_no_ids(image), bool(np.isin(numbers, label_set.ids).all())
    # the labels whose color is a gray, which a gray image can mean by that number
    colors = label_set.palette  # (L, 3)
    grays = np.flatnonzero((colors == colors[:, :1]).all(axis=1)) if image.mode in GRAY_MODES else np.zeros(0, int)
    id_of_gray = {int(colors[channel, 0]): label_set.ids[channel] for channel in grays}
    if reason is None and are_ids:
        values = np.unique(numbers).tolist()
        drawn = [id_of_gray.get(value) for value in values]
        if color_tolerance is not None and drawn != values and not {None, label_set.unknown_id} & set(drawn):
            raise ValueError(
                f"{argument} is gray, and its numbers {values} are ids as well as the grays of other labels, {drawn}. "
                "Leave out `color_tolerance` if they are ids; otherwise save it as RGB."
            )
        return numbers
    if color_tolerance is None or len(grays) == 0:
        if reason is not None:
            export = "Export the mask as an 8-bit PNG file."
            remedy = "" if are_ids else _gray_remedy(numbers, colors[grays])
            raise ValueError(f"{argument} {reason}. {export}{remedy}")
        try:
            label_set.ids_to_channels(numbers, argument=argument)
        except ValueError as error:
            raise ValueError(f"{error}{_gray_remedy(numbers, colors[grays])}") from None
    drawn = np.repeat(numbers[..., None], 3, axis=-1)  # (..., 3)
    rows = rows_of_colors(
        drawn, colors[grays], color_tolerance=color_tolerance, argument=argument, palette_name=label_set.name
    )
    ids = np.array(label_set.ids)[grays[rows]]
    if image.mode != "1" and are_ids and (ids != numbers).any():
        raise ValueError(f"{argument} {reason}, and its numbers look like ids. Export the mask as an 8-bit PNG file.")
    _check_merging(drawn, ids, label_set, argument)
    return ids


def _gray_remedy(numbers: np.ndarray, grays: np.ndarray) -> str:
    """Advise a tolerance where most numbers are those of several grays of labels, uint8 `(G, 3)`."""
    values, counts = np.unique(numbers, return_counts=True)
    if len(grays) and values.max(initial=0) < 256:
        rows, distances = nearest_rows(values[:, None].repeat(3, axis=1), grays)
        is_near = distances <= NEAR_COLOR
        if len(set(rows[is_near].tolist())) > 1 and counts[is_near].sum() >= SOFT_SHARE * counts.sum():
            return (
                " Most of its grays are colors of labels: if it is a drawing in these, perhaps with soft edges or "
                f"saved as JPEG, pass `color_tolerance={int(np.ceil(distances.max()))}`."
            )
    if len(values) >= MANY_IDS:
        return " So many different numbers come from soft edges or from compression such as JPEG: export it without."
    return ""


def _ids_of_colors(maps: np.ndarray, label_set: LabelSet, color_tolerance: float | None, argument: str) -> np.ndarray:
    """Convert colors, uint8 `(N, H, W, 3 | 4)`, to ids, int64 `(N, H, W)`; transparent pixels are unknown."""
    colors = maps[..., :3]
    if maps.shape[-1] == 3:
        transparent = np.zeros(maps.shape[:-1], dtype=bool)
    else:
        transparent = _transparent(maps[..., 3], label_set, color_tolerance, argument)
    opaque = colors[~transparent]  # (P, 3), P opaque pixels
    _check_numbers_as_colors(opaque, label_set, argument)
    ids = np.full(transparent.shape, label_set.unknown_id or 0, dtype=np.int64)
    ids[~transparent] = label_set.ids_from_colors(opaque, color_tolerance=color_tolerance, argument=argument)
    _check_merging(opaque, ids[~transparent], label_set, argument)
    return ids


def _transparent(alpha: np.ndarray, label_set: LabelSet, color_tolerance: float | None, argument: str) -> np.ndarray:
    """Return where pixels count as unknown, bool of the shape of `alpha`."""
    if color_tolerance is not None:
        alpha = np.where(alpha >= OPAQUE_ALPHA, 255, 0)
    if half := int(((alpha > 0) & (alpha < 255)).sum()):
        raise ValueError(
            f"{argument} has {half} half-transparent pixels; allowed are alpha 0 (unknown) and 255. Draw without soft "
            f"edges, or pass `color_tolerance={MAX_COLOR_TOLERANCE}` to take the nearest label for every color."
        )
    transparent = alpha == 0
    if transparent.any() and not label_set.use_unknown_label:
        raise ValueError(
            f"{argument} has {int(transparent.sum())} transparent pixels, and label set '{label_set.name}' has "
            "no unknown label for them. Give every pixel a label's color."
        )
    return transparent


def _check_numbers_as_colors(colors: np.ndarray, label_set: LabelSet, argument: str) -> None:
    """Raise a ValueError for ids in the channels of RGB, `(v, v, v)` or `(v, 0, 0)`, uint8 `(P, 3)`."""
    numbers = colors[:, :1]
    is_gray, is_red = bool((colors == numbers).all()), not colors[:, 1:].any()
    if not (is_gray or is_red) or not np.isin(numbers, label_set.ids).all():
        return
    if np.isin(pack_colors(colors), pack_colors(label_set.palette)).all():
        return
    channels = "three equal channels" if is_gray else "the red channel"
    raise ValueError(
        f"{argument} is an RGB image that seems to hold ids in {channels}: {np.unique(numbers).tolist()[:10]}. "
        "Data are read so with `ids_in_red`. Or save one channel as a gray image (with Pillow: `mask.getchannel(0)`), "
        "or give the labels these colors."
    )


def _check_merging(colors: np.ndarray, ids: np.ndarray, label_set: LabelSet, argument: str) -> None:
    """Raise a ValueError where a tolerance makes one label of several colors, few of which are its own."""
    if ids.size == 0 or (ids != ids.flat[0]).any():
        return
    packed, label_id = pack_colors(colors), int(ids.flat[0])
    own = pack_colors(label_set.palette[label_set.ids.index(label_id)])
    if (packed != packed.flat[0]).any() and (packed == own).mean() < SOFT_SHARE:
        raise ValueError(
            f"{argument} has {len(np.unique(packed))} colors, all of which `color_tolerance` takes for one label, "
            f"{label_set.id2label[label_id]!r}. Use the label set in whose colors it is drawn, or a smaller "
            "tolerance."
        )
