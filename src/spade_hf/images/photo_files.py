"""Files of images that Pillow does not read or write whole: `.npy`, TIFF of any channels, colors of 16 bits.

Legend: I image channels, H W height and width.
"""

import io
import math
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.Image

from .inputs import COLOR_MODES, header_of, open_image, open_raster, upright
from .value_range import OF_IMAGES, ValueOptions


NPY = b"\x93NUMPY"  # first bytes of a file
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TIFF_SUFFIXES = (".tif", ".tiff")
UPRIGHT, ORIENTATION, PALETTE = 1, 274, 3  # a TIFF's tag and its value, and a photometric interpretation

Photo = PIL.Image.Image | np.ndarray  # an image as Pillow reads it, or numbers (H, W, I)


def open_photo(
    source: str | Path | bytes, *, argument: str, image_channels: int, options: ValueOptions = OF_IMAGES
) -> Photo:
    """Open a file of values, upright.

    Args:
        source (`str`, `Path` or `bytes`): A path, or the content.
        argument (`str`): For messages, what is read.
        image_channels (`int`): I, which says what the sides of an array are.
        options (`ValueOptions`, *optional*): For messages, the options of its values.

    Returns:
        `PIL.Image.Image` or `np.ndarray`: An image if Pillow keeps all of its numbers, else these, `(H, W, I')`.

    Raises:
        ValueError: If it cannot be read, has several pages, or is an array of another shape.
    """
    start = _first_bytes(source)
    if start.startswith(NPY):
        return arranged(read_npy(source, argument), image_channels, argument=argument, options=options)
    try:
        image = _open_image(source, argument)
    except ValueError:
        if start[:4] not in TIFF:
            raise
        return _read_tiff(source, argument)  # Pillow has no mode for it
    header = header_of(image)
    if header.num_pages > 1:
        raise _several_pages(argument, header.num_pages)
    if header.white == 65535 and image.mode in COLOR_MODES:  # of which Pillow keeps the high bytes
        return _read_tiff(source, argument) if header.format == "TIFF" else _read_png(source, argument)
    return image


def arranged(
    values: np.ndarray, image_channels: int, *, argument: str, options: ValueOptions = OF_IMAGES
) -> np.ndarray:
    """Bring an array `(H, W)`, `(H, W, I)` or `(I, H, W)` of a file or a row to `(H, W, I)`.

    Raises:
        ValueError: If it has another shape, or both orders fit.
    """
    if values.dtype.kind not in "uif":
        raise ValueError(f"{argument} holds {values.dtype}, and not numbers. Save integers or floats.")
    if values.ndim == 2 and image_channels == 1:
        return values[..., None]
    if values.ndim == 3:
        is_last, is_first = (values.shape[side] == image_channels for side in (2, 0))
        if is_last and is_first:
            raise ValueError(
                f"{argument} has shape {values.shape}, whose first and last sides both fit {image_channels} channels. "
                "Save images of another height, or TIFF."
            )
        if is_last or is_first:
            return values if is_last else np.moveaxis(values, 0, -1)
    shapes = "(H, W), (H, W, 1) or (1, H, W)" if image_channels == 1 else "(H, W, {0}) or ({0}, H, W)"
    raise ValueError(
        f"{argument} has shape {values.shape}; with `{options.channels}` {image_channels}, an array is "
        f"{shapes.format(image_channels)}. Save it so, or give its number of channels."
    )


def fits_pillow(image_channels: int, dtype: np.dtype) -> bool:
    """Return whether Pillow has a mode for images of this kind."""
    return image_channels == 1 or (image_channels <= 4 and dtype == np.uint8)


def suffixes_of(image_channels: int, dtype: np.dtype) -> tuple[str, ...]:
    """Return the suffixes of files that keep all numbers of images of this kind, the usual one first."""
    if fits_pillow(image_channels, dtype) and dtype != np.float32:
        return (".png", *TIFF_SUFFIXES, ".npy")
    return (*reversed(TIFF_SUFFIXES), ".npy")


def to_pillow(values: np.ndarray) -> PIL.Image.Image:
    """Convert numbers `(H, W, I)` to an image of mode L, LA, RGB, RGBA, I;16 or F; see [`fits_pillow`]."""
    return PIL.Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


def write_photo(photo: Photo, file: IO[bytes], *, suffix: str) -> None:
    """Write an image, or numbers `(H, W, I)`, in the format of a suffix, such as `".png"`.

    Raises:
        ValueError: If the format cannot hold the numbers.
        ImportError: If a TIFF of these channels needs tifffile, which is not installed.
    """
    if suffix == ".npy":
        photo = np.atleast_3d(np.array(photo))
    if isinstance(photo, np.ndarray):
        allowed = suffixes_of(photo.shape[-1], photo.dtype)
        if suffix not in allowed:
            raise ValueError(
                f"{suffix} cannot hold {photo.shape[-1]} channels of {photo.dtype}; formats that can: "
                f"{', '.join(allowed)}."
            )
        if suffix != ".npy" and fits_pillow(photo.shape[-1], photo.dtype):
            photo = to_pillow(photo)
    if isinstance(photo, PIL.Image.Image):
        photo.save(file, format=PIL.Image.registered_extensions()[suffix])
    elif suffix == ".npy":
        np.save(file, photo)
    else:
        layout: Any = {"photometric": "minisblack", "planarconfig": "contig"}
        _import_tifffile("the image").imwrite(file, photo, **layout)


def _open_image(source: str | Path | bytes, argument: str) -> PIL.Image.Image:
    if not isinstance(source, bytes):
        return open_image(source, argument=argument)
    try:
        image = open_raster(io.BytesIO(source))
    except Exception as error:  # a broken file makes Pillow raise many kinds of errors
        raise ValueError(str(error)) from error
    return upright(image, argument=argument)


def is_npy(source: str | Path | bytes) -> bool:
    """Return whether a file, or its content, is an array of numpy."""
    return _first_bytes(source).startswith(NPY)


def _first_bytes(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[: len(NPY)]
    try:
        with open(source, "rb") as file:
            return file.read(len(NPY))
    except (OSError, ValueError):  # `open_image` explains what is wrong
        return b""


def _opened(source: str | Path | bytes) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def read_npy(source: str | Path | bytes, argument: str) -> np.ndarray:
    """Read a `.npy` file, or its content; raise a ValueError if that fails."""
    try:
        values = np.load(_opened(source), allow_pickle=False)
    except Exception as error:  # damaged headers raise anything
        raise ValueError(f"{argument} cannot be read as an array of numpy: {error}. Save it again.") from error
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _read_png(source: str | Path | bytes, argument: str) -> np.ndarray:
    """Read colors of 16 bits, uint16 `(H, W, I)`.

    Pillow keeps the first byte of each number. With the order of bytes declared the other way round, it keeps the
    second one.
    """
    halves = []
    for order in "BL":
        image: Any = open_raster(_opened(source))
        if len(image.tile) != 1 or str(image.tile[0][3]) not in ("RGB;16B", "RGBA;16B"):
            raise ValueError(f"{argument} has channels of 16 bits in a form that is not read. Save it as TIFF.")
        tile = image.tile[0]
        arguments = (*tile[:3], f"{tile[3][:-1]}{order}")
        image.tile = [type(tile)(*arguments) if hasattr(tile, "_fields") else arguments]
        halves.append(np.array(upright(image, argument=argument)))
    return halves[0].astype(np.uint16) * 256 + halves[1]


def _read_tiff(source: str | Path | bytes, argument: str) -> np.ndarray:
    """Read a TIFF by tifffile, `(H, W, I)`."""
    tifffile = _import_tifffile(argument)
    try:
        with tifffile.TiffFile(_opened(source)) as file:
            num_pages, page = len(file.pages), file.pages[0]
            orientation = page.tags.valueof(ORIENTATION, default=UPRIGHT)
            axes, photometric = page.axes, int(page.photometric)
            height, width = page.imagelength, page.imagewidth
            if height * width > (PIL.Image.MAX_IMAGE_PIXELS or math.inf):
                raise ValueError(f"it has {width}x{height} pixels, too many for one image")
            values = page.asarray() if num_pages == 1 else None
            if values is not None and values.ndim != len(axes):
                raise ValueError("it holds no image")
    except Exception as error:  # damaged files raise anything
        raise ValueError(f"{argument} cannot be read as TIFF: {error}. Save it again.") from error
    if values is None:
        raise _several_pages(argument, num_pages)
    if photometric == PALETTE:
        raise ValueError(f"{argument} is a palette image, whose numbers are no values. Save it as gray or color.")
    if orientation != UPRIGHT:
        raise ValueError(f"{argument} is a TIFF that is turned by its tag `Orientation`. Save it upright.")
    if axes not in ("YX", "YXS", "SYX"):
        raise ValueError(f"{argument} is a TIFF with the axes {axes}; an image has rows, columns and channels.")
    return values[..., None] if axes == "YX" else np.moveaxis(values, axes.index("S"), -1)


def _several_pages(argument: str, count: int) -> ValueError:
    return ValueError(
        f"{argument} is a TIFF of {count} pages; an image is one page, with its channels side by side. Split it, or "
        "save the pages as the channels of one, as `tifffile.imwrite(name, array, planarconfig='contig')` does for an "
        "array (H, W, channels)."
    )


def _import_tifffile(argument: str) -> Any:
    try:
        import tifffile  # not among the requirements
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{argument}: TIFF of these channels needs the package tifffile, which is not installed: pip install "
            "tifffile. The extra `tiff` brings it."
        ) from error
    return tifffile
