"""Converts user input (paths, PIL images, arrays, tensors, lists of them) to one array per image.

Label maps must keep their ids: they are opened in the file's own mode, a `P` image gives its indices, and nothing is
converted to RGB. Errors name an input by its argument, its position in a list and its file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch


COLOR_MODES = ("RGB", "RGBA")
PHOTO_DTYPES = (np.uint8, np.float16, np.float32, np.float64)
# Those of pixels: Pillow would hand an EPS file, under any name, to a PostScript interpreter.
RASTER_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA", "ICO")
RASTER_FORMATS += ("PCX", "SGI", "QOI", "PSD")
LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000", "AVIF", "HEIF")  # a JPEG 2000 can be lossless, but nothing in it says so
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
HEADER = "spade_hf_header"  # key in `Image.info`, which copies keep; decoding forgets the header
RAW_MODE = re.compile(r"(?:L|LA|I|RGB|RGBA|RGBX);(?P<bits>\d*)(?P<order>[A-Z]*)")  # Pillow's names of stored forms


@dataclass(frozen=True)
class Header:
    """Facts of a file that its decoded pixels no longer tell.

    Args:
        format (`str`, *optional*): Pillow's name of it.
        is_lossy (`bool`): Whether its compression changes pixels.
        white (`int`, *optional*): The largest number that a channel can store; `None` if it is not known.
        is_inverted (`bool`): Whether 0 is stored for white.
    """

    format: str | None
    is_lossy: bool
    white: int | None
    is_inverted: bool


def header_of(image: PIL.Image.Image) -> Header:
    """Return the header of an image's file, as far as it is known: all of it before the image is decoded."""
    known = image.info.get(HEADER)
    return known if isinstance(known, Header) else _read_header(image)


def is_lossy(image: PIL.Image.Image) -> bool:
    """Return whether an image's file has changed its pixels: JPEG, lossy WebP, JPEG 2000, AVIF, HEIF, JPEG in TIFF."""
    return header_of(image).is_lossy


def share_of_range(image: PIL.Image.Image) -> float | None:
    """Return the largest value of a 16-bit image, as a share of white in [0, 1]; `None` for other images."""
    if image.mode.startswith("I;16"):
        return int(np.array(image).max()) / 65535
    if image.mode in COLOR_MODES and header_of(image).white == 65535:  # Pillow keeps the high bytes
        return int(np.array(image)[..., :3].max()) / 255
    return None


def open_raster(file: str | Path | IO[bytes]) -> PIL.Image.Image:
    """Open a file as `PIL.Image.open` does, but only in a format of pixels; its content decides, not its name."""
    PIL.Image.init()  # this Pillow may lack some
    return PIL.Image.open(file, formats=[name for name in RASTER_FORMATS if name in PIL.Image.OPEN])


def check_not_url(source: str | Path, *, argument: str) -> None:
    """Raise a ValueError for an http(s) URL: fetching what a string names is the caller's decision, and risk."""
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        raise ValueError(
            f"{argument} is a URL; load it first: `diffusers.utils.load_image(url)`, or download the file. For a mask "
            "of ids, add `convert_method=lambda image: image`: `load_image` turns ids into RGB otherwise."
        )


def open_image(source: str | Path, *, argument: str) -> PIL.Image.Image:
    """Open a file in its own mode, turned upright by its EXIF tag; ValueError if that fails, or for a URL."""
    check_not_url(source, argument=argument)
    try:
        image = open_raster(source)
    except Exception as error:  # a broken file makes Pillow raise many kinds of errors
        raise ValueError(
            f"{argument} cannot be read as an image: {error}. Give the path of an image, such as a PNG file."
        ) from error
    limit = PIL.Image.MAX_IMAGE_PIXELS  # Pillow only warns above it, and raises above twice as many pixels
    if limit is not None and image.width * image.height > limit:
        raise ValueError(
            f"{argument} has {image.width}x{image.height} pixels; at most {limit // 10**6} megapixels are read. Make "
            "it smaller, or, if you trust it, set `PIL.Image.MAX_IMAGE_PIXELS`."
        )
    return upright(image, argument=argument)


def upright(image: PIL.Image.Image, *, argument: str) -> PIL.Image.Image:
    """Decode an image and turn it upright by its EXIF tag; ValueError if either fails."""
    try:
        header = header_of(image)
        image.load()  # a cut-off file fails here, not at its first use
        turned = PIL.ImageOps.exif_transpose(image)  # a copy, also where it turns nothing
        turned.info[HEADER] = header
        return turned
    except Exception as error:  # as above; damaged EXIF tags raise even more kinds
        raise ValueError(
            f"{argument} cannot be read as an image: {error}. It is cut off or damaged; save it again."
        ) from error


def flatten(value: Any, argument: str) -> Iterator[tuple[Any, str]]:
    """Yield every single input with its name for messages; open paths, and unpack lists."""
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"`{argument}` is an empty list; give at least one.")
        for index, item in enumerate(value):
            yield from flatten(item, f"{argument}[{index}]")
    elif isinstance(value, str | Path):
        name = f"`{argument}` ({value})"
        yield open_image(value, argument=name), name
    elif isinstance(value, torch.Tensor) and (value.is_meta or value.layout is not torch.strided):
        raise ValueError(f"`{argument}` is a tensor without values or a sparse one; pass `tensor.to_dense()`.")
    elif isinstance(value, PIL.Image.Image | np.ndarray | torch.Tensor):
        yield value, f"`{argument}`"
    else:
        raise ValueError(
            f"`{argument}` is a {type(value).__name__}; give a path, a PIL image, a numpy array, a tensor, or a list "
            "of them."
        )


def photos(value: PIL.Image.Image | np.ndarray | torch.Tensor, argument: str, image_channels: int = 3) -> torch.Tensor:
    """Read one image, or a batch of images, as float32 `(N, I, H, W)` in [0, 1], where I is `image_channels`.

    Raises:
        ValueError: If the mode, shape or dtype is wrong, a float is outside [0, 1] or a pixel is transparent; value
            ranges are never guessed.
    """
    if isinstance(value, PIL.Image.Image):
        image = upright(value, argument=argument)
        value = _rgb(image, argument) if image_channels == 3 else _channels(image, argument, image_channels)
    if isinstance(value, np.ndarray):
        if value.ndim == 2 and image_channels == 1:
            value = value[..., None]  # (H, W, 1)
        if value.ndim not in (3, 4) or value.shape[-1] != image_channels:
            raise ValueError(
                f"{argument} has shape {value.shape}; an array is (H, W, {image_channels}) or (N, H, W, "
                f"{image_channels})."
            )
        if value.dtype not in PHOTO_DTYPES:
            raise ValueError(f"{argument} has dtype {value.dtype}; allowed are uint8 in 0..255 and floats in [0, 1].")
        pixels = torch.from_numpy(np.ascontiguousarray(value)).movedim(-1, -3)  # (..., I, H, W)
    elif value.ndim in (3, 4) and value.shape[-3] == image_channels:
        pixels = value
    else:
        raise ValueError(
            f"{argument} has shape {tuple(value.shape)}; a tensor is ({image_channels}, H, W) or "
            f"(N, {image_channels}, H, W)."
        )
    if 0 in pixels.shape:
        raise ValueError(f"{argument} has shape {tuple(value.shape)}, which holds no pixel.")
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    elif not pixels.is_floating_point():
        raise ValueError(f"{argument} has dtype {pixels.dtype}; allowed are uint8 in 0..255 and floats in [0, 1].")
    pixels = pixels.float()
    low, high = pixels.min().item(), pixels.max().item()
    if not 0 <= low <= high <= 1:  # also false for NaN
        raise ValueError(f"{argument} has values in [{low:.4g}, {high:.4g}]; floats must be in [0, 1]. Rescale it.")
    return pixels if pixels.ndim == 4 else pixels[None]  # (N, I, H, W)


def check_opaque(image: PIL.Image.Image, argument: str) -> None:
    """Raise a ValueError for an image with transparent pixels, whose colors say nothing."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return
    if hidden := int((np.array(image.convert("RGBA"))[..., 3] < 255).sum()):
        raise ValueError(
            f"{argument} has {hidden} transparent pixels, whose colors are unknown. Put it on a background, and save "
            "it without transparency."
        )


def instance_edges(instance_map: torch.Tensor) -> torch.Tensor:
    """Mark the borders between instances, on both of their sides.

    Args:
        instance_map (`torch.Tensor`): Integers `(N, H, W)`, equal within an instance.

    Returns:
        `torch.Tensor`: bool `(N, H, W)`, true where a 4-neighbor inside the image has another id.
    """
    edges = torch.zeros_like(instance_map, dtype=torch.bool)
    across = instance_map[..., :, 1:] != instance_map[..., :, :-1]  # (N, H, W - 1)
    down = instance_map[..., 1:, :] != instance_map[..., :-1, :]  # (N, H - 1, W)
    edges[..., :, 1:] |= across
    edges[..., :, :-1] |= across
    edges[..., 1:, :] |= down
    edges[..., :-1, :] |= down
    return edges


def _rgb(image: PIL.Image.Image, argument: str) -> np.ndarray:
    """Convert to uint8 `(H, W, 3)`, or 16 bits, which `convert` would clip, to float32 in [0, 1]."""
    check_opaque(image, argument)
    if image.mode.startswith("I;16"):
        gray = np.array(image).astype(np.float32) / 65535  # (H, W)
        return np.stack([gray] * 3, axis=-1)
    if image.mode in ("I", "F"):
        raise ValueError(
            f"{argument} has the PIL mode {image.mode!r}: 32 bits, whose white level is unknown. Save it with 8 or 16 "
            "bits."
        )
    return np.array(image.convert("RGB"))


def _channels(image: PIL.Image.Image, argument: str, count: int) -> np.ndarray:
    """Return an image's own channels, uint8 `(H, W, count)` or float32 of 16 bits; nothing is converted."""
    if image.mode == "P":
        raise ValueError(f"{argument} is a palette image, whose numbers are no values. Save it as gray or color.")
    if image.mode.startswith("I;16") and count == 1:
        return np.array(image).astype(np.float32)[..., None] / 65535
    bands = image.getbands()
    if bands[-1] == "A" and len(bands) == count + 1:
        check_opaque(image, argument)
        bands = bands[:-1]
    if len(bands) != count or image.mode in ("I", "F"):
        raise ValueError(
            f"{argument} has the PIL mode {image.mode!r}, with {len(bands)} channels; this model's images have "
            f"{count}. Convert it, or use a model of its number of channels (`image_channels`)."
        )
    pixels = np.array(image.convert("L") if image.mode == "1" else image)
    return pixels.reshape(image.height, image.width, -1)[..., :count]


def _read_header(image: PIL.Image.Image) -> Header:
    lossy = image.format in LOSSY_FORMATS or image.info.get("compression") in LOSSY_TIFF
    if image.format == "WEBP":
        lossy = not _is_lossless_webp(image)
    white, order = None, ""
    for tile in getattr(image, "tile", None) or ():  # how to decode the file; empty afterward
        arguments: tuple[Any, ...] = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if tile[0].startswith("ppm"):
            white = int(arguments[1])
        elif found := RAW_MODE.fullmatch(str(arguments[0])):
            order = found["order"]
            white = 2 ** int(found["bits"]) - 1 if found["bits"] else 255
    return Header(image.format, lossy, white, "I" in order)


def _is_lossless_webp(image: PIL.Image.Image) -> bool:
    """Look for the first image's chunk; a file that is no longer open counts as lossy, the default of writers."""
    file = getattr(image, "fp", None)
    if file is None or not file.seekable():
        return False
    place = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(place)
    start = 12  # after RIFF, size and WEBP
    while start + 8 <= len(data):
        kind, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        start += 24 if kind == b"ANMF" else 8 + size + size % 2  # a frame's chunks follow 16 bytes of its own
    return False
