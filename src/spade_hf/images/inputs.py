"""Converts user input (paths, PIL images, arrays, tensors, lists of them) to one array per image.

Label maps must keep their ids: they are opened in the file's own mode, a `P` image gives its indices, and nothing is
converted to RGB. Errors name an input by its argument, its position in a list and its file.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch


COLOR_MODES = ("RGB", "RGBA")
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
        num_pages (`int`, defaults to 1): Images in a TIFF; of other formats, 1.
    """

    format: str | None
    is_lossy: bool
    white: int | None
    is_inverted: bool
    num_pages: int = 1


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


def check_not_url(source: str | Path | IO[bytes], *, argument: str) -> None:
    """Raise a ValueError for an http(s) URL: fetching what a string names is the caller's decision, and risk."""
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        raise ValueError(
            f"{argument} is a URL; load it first: `diffusers.utils.load_image(url)`, or download the file. For a mask "
            "of ids, add `convert_method=lambda image: image`: `load_image` turns ids into RGB otherwise."
        )


def open_image(source: str | Path | IO[bytes], *, argument: str) -> PIL.Image.Image:
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


def flatten(value: Any, argument: str, open_path: Callable[..., Any] = open_image) -> Iterator[tuple[Any, str]]:
    """Yield every single input with its name for messages; open paths, and unpack lists."""
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"`{argument}` is an empty list; give at least one.")
        for index, item in enumerate(value):
            yield from flatten(item, f"{argument}[{index}]", open_path)
    elif isinstance(value, str | Path):
        name = f"`{argument}` ({value})"
        yield open_path(value, argument=name), name
    elif isinstance(value, torch.Tensor) and (value.is_meta or value.layout is not torch.strided):
        raise ValueError(f"`{argument}` is a tensor without values or a sparse one; pass `tensor.to_dense()`.")
    elif isinstance(value, PIL.Image.Image | np.ndarray | torch.Tensor):
        yield value, f"`{argument}`"
    else:
        raise ValueError(
            f"`{argument}` is a {type(value).__name__}; give a path, a PIL image, a numpy array, a tensor, or a list "
            "of them."
        )


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
    num_pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    return Header(image.format, lossy, white, "I" in order, num_pages)


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
