"""Photographs for the tests of the painting pages: as a phone stores them, and as "Compare" shows them."""

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image


if TYPE_CHECKING:
    from playwright.sync_api import Page


def phone_photo(photo: Image.Image) -> bytes:
    """A JPEG of 12 megapixels, turned upright by its EXIF tag, of a photograph, whose proportions become 3:4."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turned by 90 degrees
    stored = photo.resize((3024, 4032), Image.Resampling.BICUBIC).transpose(Image.Transpose.ROTATE_90)
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


def compared(page: "Page") -> np.ndarray:
    """What "Compare" shows beside the picture, (H, W, 3) of the canvas."""
    text = page.evaluate("document.querySelector('#compare canvas').toDataURL()")
    return np.array(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))).convert("RGB")).astype(int)
