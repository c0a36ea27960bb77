"""Images of a row: in the row itself, or in files, of which foreign data may name only their own."""

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
from datasets.utils.file_utils import xopen

from ..images.inputs import open_raster, upright
from ..images.masks import numbers_of_mask
from ..images.photo_files import NPY, Photo, arranged, open_photo, read_npy
from ..images.value_range import OF_IMAGES, ValueOptions
from .listing import read_file


ORIENTATION = 0x0112  # EXIF tag; 1 is upright
ARRAYS = (datasets.Array2D, datasets.Array3D)  # types of columns that can hold photographs and masks, besides images

Mask = (
    PIL.Image.Image | np.ndarray
)  # ids or colors; or numbers: ids (H, W), or weights of the labels, float32 (L, H, W)


class FileImage(datasets.Image):
    """Column of images that rows hold, or whose files [`list_files`] found.

    Such a file is opened by its path alone, while `datasets` takes `::` in it for an address. A zip file stays open.
    """

    def __repr__(self) -> str:
        """Name the type as messages about columns do."""
        return f"Image(mode={self.mode})"

    def encode_example(self, value: Any) -> dict[str, Any]:
        """Keep a row's bytes; `datasets` drops them if a file of the row's `path` exists."""
        if isinstance(value, dict) and value.get("bytes") is not None:
            return {"bytes": value["bytes"], "path": value.get("path")}
        return super().encode_example(value)

    def decode_example(self, value: dict[str, Any], token_per_repo_id: dict | None = None) -> PIL.Image.Image:
        """Decode a row's image."""
        return super().decode_example(self.with_bytes(value), token_per_repo_id)

    def with_bytes(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the value with the content of its file."""
        if value["bytes"] is not None or value["path"] is None:
            return value
        return {"bytes": read_file(value["path"]), "path": value["path"]}


class OwnImage(FileImage):
    """Column of images that rows hold, or whose files are in the data set's own folder.

    A table of unknown origin can name any file of this machine, which would be trained on and published.

    Args:
        folder (`str`, *optional*): That folder. `None`: the rows must hold the images.
        mode (`str`, *optional*): As in `datasets.Image`.
    """

    def __init__(self, folder: str | None, mode: str | None = None) -> None:
        super().__init__(mode=mode)
        self.folder = folder

    def with_bytes(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the value with the content of its file; raise a ValueError if it names a file elsewhere."""
        path = value["path"]
        if value["bytes"] is not None or path is None:
            return value
        if self.folder is None:
            raise ValueError(f"it is the name of a file, {path!r}, and not the file. Data must hold their images.")
        folder = os.path.abspath(self.folder)
        file = os.path.normpath(os.path.join(folder, path))
        if "://" in path or not Path(file).is_relative_to(folder):
            raise ValueError(
                f"it names the file {path!r}, which is not in {self.folder}. Only files of the data set's own folder "
                "are opened: move them there, or store the images in the rows."
            )
        return super().with_bytes({"bytes": None, "path": file})


def as_own_images(rows: Any, columns: Iterable[str], folder: str | None) -> Any:
    """Read columns of images as [`OwnImage`].

    Args:
        rows (`datasets.Dataset` or `datasets.IterableDataset`): Rows of a table.
        columns (`Iterable[str]`): Columns that are images even if the table does not say so: bytes, `{"bytes",
            "path"}` or names of files.
        folder (`str`, *optional*): The data set's own folder.
    """
    for column, feature in list((rows.features or {}).items()):
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(column, OwnImage(folder, feature.mode))
        elif column in columns and _can_be_image(feature):
            rows = rows.cast_column(column, OwnImage(folder))
    return rows


def _can_be_image(feature: Any) -> bool:
    if isinstance(feature, dict):
        return bool(feature) and set(feature) <= {"bytes", "path"}
    return isinstance(feature, datasets.Value) and feature.dtype in (
        "binary",
        "large_binary",
        "string",
        "large_string",
    )


def decode_photo(
    value: Any, image_type: Any, column: str, image_channels: int, options: ValueOptions = OF_IMAGES
) -> Photo:
    """Decode a row's photograph, also an array or an image of any channels; raise a ValueError if that fails.

    Args:
        value: The row's value in that column.
        image_type (`datasets.Image`, `datasets.Array2D` or `datasets.Array3D`): The column's type.
        column (`str`): Its name, for messages.
        image_channels (`int`): Channels of the image, which say what the sides of an array are.
        options (`ValueOptions`, *optional*): For messages, the options of its values.

    Returns:
        `PIL.Image.Image` or `np.ndarray`: See [`open_photo`].
    """
    if value is None:
        raise ValueError(f"column `{column}` is empty.")
    if isinstance(image_type, ARRAYS):
        numbers = np.asarray(value, dtype=image_type.dtype)
        return arranged(numbers, image_channels, argument=f"column `{column}`", options=options)
    try:
        file = stored_bytes(value, image_type)
        photo = open_photo(file, argument="it", image_channels=image_channels, options=options)
        if isinstance(photo, PIL.Image.Image) and image_type.mode not in (None, photo.mode):
            return photo.convert(image_type.mode)
        return photo
    except ImportError:  # of a package for TIFF: no fault of the row
        raise
    except Exception as error:  # decoders raise anything: a bad PNG a SyntaxError, bad EXIF a struct.error
        raise ValueError(f"column `{column}` holds an image that cannot be read: {error}") from error


def decode_labels(value: Any, image_type: Any, column: str) -> Mask:
    """Decode a row's mask: an image, or an array of ids or of the labels' weights, also of a `.npy` file.

    Raises:
        ValueError: If that fails.
    """
    if value is None:
        raise ValueError(f"column `{column}` is empty.")
    argument = f"column `{column}`"
    if isinstance(image_type, ARRAYS):
        return numbers_of_mask(np.asarray(value, dtype=image_type.dtype), argument)
    try:
        file = stored_bytes(value, image_type)
    except Exception:  # the decoder below says what is wrong
        file = b""
    return (
        numbers_of_mask(read_npy(file, argument), argument)
        if file.startswith(NPY)
        else decode_image(value, image_type, column)
    )


def decode_image(value: dict[str, Any] | None, image_type: datasets.Image, column: str) -> PIL.Image.Image:
    """Decode a row's image in a column of undecoded images; raise a ValueError if that fails."""
    if value is None:
        raise ValueError(f"column `{column}` is empty.")
    try:
        image = upright(stored_image(value, image_type), argument="it")
        return image if image_type.mode in (None, image.mode) else image.convert(image_type.mode)
    except Exception as error:  # decoders raise anything: a bad PNG a SyntaxError, bad EXIF a struct.error
        raise ValueError(f"column `{column}` holds an image that cannot be read: {error}") from error


def stored_bytes(value: dict[str, Any], image_type: datasets.Image) -> bytes:
    """Return the file of a row's image."""
    if isinstance(image_type, FileImage):
        return image_type.with_bytes(value)["bytes"]
    if value["bytes"] is not None:
        return value["bytes"]
    with xopen(value["path"], "rb") as file:  # a path, or an address within a streamed archive
        return file.read()


def readable_bytes(value: Any, image_type: Any) -> bytes:
    """Return what a hash of a row's image covers: its file, or the numbers of an array.

    It is b"" if the file can't be read, which is reported where it is decoded.
    """
    if isinstance(image_type, ARRAYS):
        values = np.asarray([] if value is None else value, dtype=image_type.dtype)
        return f"{values.shape}{values.dtype}".encode() + values.tobytes()
    if value is None or (value["bytes"] is None and value["path"] is None):
        return b""
    try:
        return stored_bytes(value, image_type)
    except Exception:  # a damaged archive raises anything
        return b""


def stored_image(value: dict[str, Any], image_type: datasets.Image) -> PIL.Image.Image:
    """Open a row's image as it is stored: not turned, and with the format and the EXIF tags of its file."""
    return open_raster(io.BytesIO(stored_bytes(value, image_type)))


def is_turned(image: PIL.Image.Image) -> bool:
    """Return whether a stored image has an EXIF tag that turns or mirrors it."""
    return image.getexif().get(ORIENTATION, 1) not in (0, 1)
