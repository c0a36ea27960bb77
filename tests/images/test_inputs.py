"""What a file says about its pixels, and which formats are opened."""

import io
import os
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.data.image_files import decode_image
from spade_hf.demo.uploads import open_upload
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


def test_images_without_a_file_are_exact():
    assert not is_lossy(NOISE)


def test_share_of_the_range_of_16_bits():
    twelve_bits = np.array([[0, 4095], [7, 100]], np.uint16)
    for kind in ("PNG", "TIFF"):
        assert share_of_range(opened(PIL.Image.fromarray(twelve_bits), kind)) == pytest.approx(1 / 16, rel=1e-3)
    assert share_of_range(PIL.Image.fromarray(twelve_bits * 16)) == pytest.approx(1, rel=1e-3)
    assert share_of_range(NOISE) is None and share_of_range(NOISE.convert("L")) is None


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """A `gs` that comes first on PATH and leaves a file if it runs."""
    trace = tmp_path / "ran"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # Pillow looks for it once
    return trace


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for Ghostscript")
def test_no_program_runs_for_a_mask_whatever_its_name(interpreter, tmp_path):
    with PIL.Image.open(io.BytesIO(EPS)) as image:  # the test's own check
        with pytest.raises(OSError):
            image.load()
    assert interpreter.exists()
    interpreter.unlink()

    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    (tmp_path / "mask.png").write_bytes(EPS)
    value, kind = {"bytes": EPS, "path": None}, datasets.Image()
    for read in (
        lambda: processor.preprocess_mask(tmp_path / "mask.png"),
        lambda: processor.preprocess_image(str(tmp_path / "mask.png")),
        lambda: decode_image(value, kind, "label"),
        lambda: decode_image({"bytes": None, "path": str(tmp_path / "mask.png")}, kind, "label"),
        lambda: open_upload(EPS),
    ):
        with pytest.raises(ValueError, match="cannot be read|not a picture that can be read"):
            read()
    assert not interpreter.exists()
