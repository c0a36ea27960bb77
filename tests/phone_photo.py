"""A photograph as a phone stores it."""

import io

from PIL import Image


def phone_photo(photo: Image.Image) -> bytes:
    """A JPEG of 12 megapixels, turned upright by its EXIF tag, of a photograph, whose proportions become 3:4."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turned by 90 degrees
    stored = photo.resize((3024, 4032), Image.Resampling.BICUBIC).transpose(Image.Transpose.ROTATE_90)
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()
