"""Uploaded files: checked before they are decoded, and recognized by their content, not by their name."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from ..images.inputs import check_opaque, upright
from ..images.palettes import find_disagreement
from ..images.processor import SPADEImageProcessor
from ..images.resize import resize_labels
from ..labels.colors import NEAR_COLOR, PHOTO_SHARE, pack_colors
from .formats import NEAR_RATIO, Format, nearest_format
from .mask_canvas import blank_channel
from .percent import percent_of_pixels


MAX_FILE_SIZE = 5 * 2**20  # bytes
MAX_PIXELS = 4096 * 4096
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
STYLE_SIDE = 512  # pixels; style encoders read smaller images
PHOTO_SIDE = 1024  # pixels; segmenters read smaller images, and so large is what a browser makes of a large upload
ANY_COLOR = 442.0  # the largest distance in RGB


def open_upload(data: bytes) -> Image.Image:
    """Open an image in its own mode; ValueError for anything else, before any pixel is decoded."""
    if len(data) > MAX_FILE_SIZE:
        raise ValueError(f"The file has {len(data) / 2**20:.1f} MB; at most {MAX_FILE_SIZE // 2**20} MB are taken.")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ValueError(f"The picture is too large; at most {MAX_PIXELS // 10**6} megapixels are taken.") from None
    except Exception as error:  # a broken file makes Pillow raise many kinds of errors
        raise ValueError(f"This file is not a picture that can be read. Send one as {', '.join(FORMATS)}.") from error
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"The picture has {image.width}x{image.height} pixels; at most {MAX_PIXELS // 10**6} megapixels are taken."
        )
    try:
        return upright(image, argument="The picture")
    except ValueError as error:
        raise ValueError("The picture is damaged or cut off. Save it again and retry.") from error


def read_style_image(data: bytes) -> Image.Image:
    """Read a style image: RGB, at most 512 pixels per side."""
    return _read_rgb(data, STYLE_SIDE)


def read_photo(data: bytes) -> Image.Image:
    """Read a photograph, upright: RGB, at most 1024 pixels per side."""
    return _read_rgb(data, PHOTO_SIDE)


def _read_rgb(data: bytes, side: int) -> Image.Image:
    image = open_upload(data)
    check_opaque(image, "The picture")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    elif image.mode.startswith("I;16"):  # 16 bits, which `convert` would clip
        image = Image.fromarray((np.array(image) / 257).round().astype(np.uint8))
    image.thumbnail((side, side))
    return image.convert("RGB")


@dataclass(frozen=True)
class OpenedMask:
    """A mask from a file.

    Args:
        label_map (`np.ndarray`): Ids, int64 `(H, W)`.
        notes (`list[str]`): Changes that the user should know.
        far_share (`float`): Share of the pixels far from every label's color, in [0, 1]; 0 for a mask of ids.
    """

    label_map: np.ndarray
    notes: list[str]
    far_share: float = 0.0

    @property
    def is_photo(self) -> bool:
        """Whether it is more likely a photograph than a mask."""
        return self.far_share > PHOTO_SHARE


def read_mask(data: bytes, processor: SPADEImageProcessor, formats: Sequence[Format]) -> OpenedMask:
    """Read a mask in any common form.

    Args:
        data (`bytes`): An image file: ids (gray or indexed), or the label set's colors. A color off the palette
            becomes the nearest label's; transparent pixels get the label of `blank_channel`.
        processor (`SPADEImageProcessor`): The model's.
        formats (`Sequence[Format]`): The mask is resized to the canvas of the nearest one, by nearest neighbor.

    Raises:
        ValueError: If it cannot be read.
    """
    label_set, notes = processor.label_set, []
    image = open_upload(data)
    size = nearest_format((image.height, image.width), formats).canvas_size
    if abs(image.width * size[0] / (image.height * size[1]) - 1) > NEAR_RATIO:
        notes.append(f"stretched from {image.width}x{image.height} to the canvas' shape")
    if image.size != (size[1], size[0]):
        image = resize_labels(image, size)
    if image.mode == "P" and find_disagreement(image, label_set) is not None:
        image = image.convert("RGBA")
    if image.mode in ("L", "P", "I", "I;16", "I;16B", "I;16L"):
        return OpenedMask(processor.read_ids(image)[0], notes)
    rgba = np.array(image.convert("RGBA"))  # (H, W, 4)
    colors, painted = rgba[..., :3], rgba[..., 3] >= 128  # (H, W, 3), (H, W)
    ids = label_set.ids_from_colors(colors, color_tolerance=ANY_COLOR)
    changed = (painted & ~np.isin(pack_colors(colors), pack_colors(label_set.palette))).mean()
    if changed:
        notes.append(f"{percent_of_pixels(changed)} of the pixels had no label's color and took the nearest one")
    nearest = label_set.colorize(ids).astype(np.int64)  # (H, W, 3)
    far = painted & (((colors - nearest) ** 2).sum(axis=-1) > NEAR_COLOR**2)
    if not painted.all():
        blank = blank_channel(label_set)
        ids[~painted] = label_set.ids[blank]
        notes.append(f"{percent_of_pixels((~painted).mean())} was transparent and became {label_set.names[blank]}")
    return OpenedMask(ids, notes, float(far.mean()))
