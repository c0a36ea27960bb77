"""Photographs whose EXIF tags break Pillow."""

import io

import PIL.Image
import pytest


# Bytes, counted from the word Exif, that make the first of two tags one of another type: Pillow then fails with these.
DAMAGES = {"struct.error": {17: 0x52}, "TypeError": {17: 0x1A, 45: 0x8D}}
damaged_exif = pytest.mark.parametrize("error", DAMAGES)


def jpeg_with_damaged_exif(error: str, image: PIL.Image.Image | None = None) -> bytes:
    """A JPEG that is decoded without complaint, but `exif_transpose` raises `error`."""
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "hello world this"  # orientation, description
    buffer = io.BytesIO()
    (image or PIL.Image.new("RGB", (20, 10))).save(buffer, "JPEG", exif=exif)
    data = bytearray(buffer.getvalue())
    start = data.index(b"Exif")
    for position, value in DAMAGES[error].items():
        data[start + position] = value
    return bytes(data)
