"""The visitor's photograph as a canvas: which part of it is painted, and what the page says about it."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..pipelines.segmentation import LOW_CONFIDENCE
from .formats import NEAR_RATIO, nearest_format
from .painter import Painter
from .percent import percent


QUALITY = 85  # of the JPEG that the browser keeps to compare with


@dataclass(frozen=True)
class PhotoCanvas:
    """What the page makes of a photograph.

    Args:
        label_map (`np.ndarray`): Ids, int64 `(H, W)` of the canvas.
        image (`str`): The photograph as the canvas frames it, a data URL.
        confidence (`float`): Mean probability of the labels, in [0, 1].
        note (`str`): What the page says about it.
    """

    label_map: np.ndarray
    image: str
    confidence: float
    note: str


def photo_canvas(photo: Image.Image, painter: Painter) -> PhotoCanvas:
    """Make a canvas of an upright RGB photograph: of its middle, in the nearest format; only if `reads_photos`."""
    size = nearest_format((photo.height, photo.width), painter.formats).canvas_size
    left, top, width, height = middle((photo.height, photo.width), size)
    framed = photo.crop((left, top, left + width, top + height))
    label_map, confidence = painter.label_map_of_photo(framed, size)
    buffer = io.BytesIO()
    framed.resize((size[1], size[0]), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=QUALITY)
    image = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    is_cut = width * height < (1 - NEAR_RATIO) * photo.width * photo.height
    note = note_about(confidence, is_cut=is_cut, is_style=painter.reads_images)
    return PhotoCanvas(label_map, image, confidence, note)


def middle(size: Sequence[int], shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the largest part in the middle of an image that has a shape's proportions.

    Args:
        size (`Sequence[int]`): Height and width of the image.
        shape (`Sequence[int]`): Height and width that have the proportions.
    """
    height = min(size[0], max(1, int(size[1] * shape[0] / shape[1] + 0.5)))
    width = min(size[1], max(1, int(size[0] * shape[1] / shape[0] + 0.5)))
    return (size[1] - width) // 2, (size[0] - height) // 2, width, height


def note_about(confidence: float, *, is_cut: bool, is_style: bool) -> str:
    """Say what became of a photograph and how sure its labels are.

    Args:
        confidence (`float`): Mean probability of the labels, in [0, 1].
        is_cut (`bool`): Whether a part of it that one would miss is not on the canvas.
        is_style (`bool`): Whether its light is the style.
    """
    note = "Your photo is the canvas now" + (", and its light is the style." if is_style else ".")
    if is_cut:
        note += " Its edges were cut off to fit the canvas."
    if confidence >= LOW_CONFIDENCE:
        return f"{note} The model is {percent(confidence)} sure of its labels on average."
    return (
        f"{note} The model is only {percent(confidence)} sure of its labels on average: the photo may show things "
        "that it does not know. Paint over what is wrong."
    )
