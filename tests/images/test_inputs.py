"""What a file says about its pixels, and which formats are opened."""

import io
from typing import Any

import numpy as np
import PIL.Image
import pytest

from spade_hf.images.inputs import is_lossy, share_of_range, upright


NOISE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
EXIF = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"


def opened(image: PIL.Image.Image, kind: str, **options: Any) -> PIL.Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return PIL.Image.open(buffer)


@pytest.mark.parametrize(
    ("expected", "kind", "options"),
    [
        (True, "JPEG", {"quality": 100}),
        (True, "JPEG2000", {}),
        (True, "AVIF", {"quality": 100}),
        (True, "TIFF", {"compression": "jpeg"}),
        (True, "WEBP", {}),
        (True, "WEBP", {"save_all": True, "append_images": [NOISE.rotate(90)]}),
        (False, "WEBP", {"lossless": True}),
        (False, "WEBP", {"lossless": True, "exif": EXIF}),  # its pixels follow other chunks
        (False, "WEBP", {"lossless": True, "save_all": True, "append_images": [NOISE.rotate(90)]}),
        (False, "PNG", {}),
        (False, "TIFF", {}),
        (False, "GIF", {}),
    ],
)
def test_lossy_files_are_known_before_and_after_decoding(expected, kind, options):
    if kind not in PIL.Image.registered_extensions().values():
        pytest.skip(f"this Pillow cannot write {kind}")
    image = opened(NOISE, kind, **options)
    assert is_lossy(image) == expected
    assert is_lossy(upright(image, argument="`mask`").rotate(90)) == expected


def test_pictures_without_a_file_are_exact():
    assert not is_lossy(NOISE)


def test_share_of_the_range_of_16_bits():
    twelve_bits = np.array([[0, 4095], [7, 100]], np.uint16)
    for kind in ("PNG", "TIFF"):
        assert share_of_range(opened(PIL.Image.fromarray(twelve_bits), kind)) == pytest.approx(1 / 16, rel=1e-3)
    assert share_of_range(PIL.Image.fromarray(twelve_bits * 16)) == pytest.approx(1, rel=1e-3)
    assert share_of_range(NOISE) is None and share_of_range(NOISE.convert("L")) is None
