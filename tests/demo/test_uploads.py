"""Files from strangers: every form of a mask, and what is refused before it is decoded."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.demo.formats import Format
from spade_hf.demo.handlers import ASSETS, MASKS, STYLES
from spade_hf.demo.uploads import MAX_FILE_SIZE, open_upload, read_mask, read_style_image

from ..damaged_exif import damaged_exif, jpeg_with_damaged_exif
from .conftest import png


LABELS = LabelSet.from_name("landscapes")
PROCESSOR = SPADEImageProcessor(label_set=LABELS)
SIZE = (8, 16)
FORMATS = [Format("own", SIZE, SIZE)]
SQUARE = [Format("square", (64, 64), (64, 64))]
IDS = np.random.default_rng(0).integers(0, 12, SIZE)
COLORS = LABELS.colorize(IDS)


def indexed(indices: np.ndarray, palette: np.ndarray) -> Image.Image:
    image = Image.frombytes("P", indices.shape[::-1], indices.astype(np.uint8).tobytes())
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def read(data: bytes) -> tuple[np.ndarray, list[str]]:
    mask = read_mask(data, PROCESSOR, FORMATS)
    return mask.label_map, mask.notes


@pytest.mark.parametrize(
    "data",
    [
        png(IDS.astype(np.uint8)),
        png(IDS.astype(np.uint16)),
        png(COLORS),
        png(np.dstack([COLORS, np.full(SIZE, 255, np.uint8)])),
        png(indexed(IDS, LABELS.palette)),
        png(indexed(IDS, np.zeros((12, 3)))),  # colors that say nothing
        png(indexed(11 - IDS, LABELS.palette[::-1])),  # the labels' colors in another order: these count
    ],
    ids=["ids", "16-bit-ids", "rgb", "rgba", "indexed", "indexed-black", "indexed-shuffled"],
)
def test_every_form_of_a_mask(data):
    ids, notes = read(data)
    np.testing.assert_array_equal(ids, IDS)
    assert notes == []


def test_colors_off_the_palette_become_the_nearest_and_are_counted():
    colors = COLORS.copy()
    colors[:4] = np.clip(colors[:4].astype(int) + 1, 0, 255)
    moved = (colors != COLORS).any(axis=-1).mean()
    ids, notes = read(png(colors))
    np.testing.assert_array_equal(ids, IDS)
    assert notes == [
        f"{moved:.0%}".replace("%", " %") + " of the pixels had no label's color and took the nearest one"
    ]


def test_transparent_pixels_become_sky():
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[:, :4] = 0
    ids, notes = read(png(np.dstack([COLORS, alpha])))
    assert (ids[:, :4] == 0).all()
    np.testing.assert_array_equal(ids[:, 4:], IDS[:, 4:])
    assert notes == ["25 % was transparent and became sky"]


def test_another_size_is_brought_to_the_canvas():
    ids, notes = read(png(np.kron(IDS, np.ones((2, 2))).astype(np.uint8)))
    np.testing.assert_array_equal(ids, IDS)
    assert notes == []  # nothing is lost
    assert read(png(IDS[:, :8].astype(np.uint8)))[1] == ["stretched from 8x8 to the canvas' shape"]


def test_a_jpeg_of_a_mask_is_read_by_the_nearest_colors():
    data = jpeg(Image.fromarray(np.kron(COLORS, np.ones((16, 16, 1))).astype(np.uint8)), 90)
    ids, notes = read(data)
    assert (ids == IDS).mean() > 0.9
    assert "no label's color" in notes[-1]


@pytest.mark.parametrize("name", LabelSet.built_in_names())
def test_photographs_are_told_from_masks(name):
    processor = SPADEImageProcessor(label_set=LabelSet.from_name(name))
    for style in STYLES:
        assert read_mask((ASSETS / f"{style}_style.jpg").read_bytes(), processor, SQUARE).is_photo


@pytest.mark.parametrize("mask", MASKS)
def test_jpegs_of_masks_are_no_photographs(mask):
    with Image.open(ASSETS / f"{mask}_mask.png") as image:
        colors = Image.fromarray(LABELS.colorize(np.array(image)))
    for image in (jpeg(colors, 30), png(colors.resize((300, 300), Image.Resampling.LANCZOS))):
        opened = read_mask(image, PROCESSOR, SQUARE)
        assert 0 < opened.far_share and not opened.is_photo


def test_unknown_ids_are_refused_by_name():
    with pytest.raises(ValueError, match=r"label ids \[200\]"):
        read(png(np.full(SIZE, 200, np.uint8)))


def enormous_png() -> bytes:
    """30000x30000 pixels that would fill 900 MB, in a few bytes: decoding a row of it is an error."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (enormous_png(), "too large; at most 16 megapixels"),
        (png(Image.new("1", (5000, 5000))), "5000x5000 pixels; at most 16 megapixels"),
        (b"\0" * (MAX_FILE_SIZE + 1), "5.0 MB; at most 5 MB"),
        (b"%PDF-1.4 hello", "not a picture that can be read"),
        (b"", "not a picture that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture that can be read"),
        (png(np.random.default_rng(0).integers(0, 9, (99, 99), np.uint8))[:300], "damaged or cut off"),
    ],
    ids=["30000x30000", "25-megapixels", "too-many-bytes", "pdf", "empty", "svg", "cut-off"],
)
def test_what_is_refused(data, message, monkeypatch):
    if "megapixels" in message:
        monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match=message):
        open_upload(data)


@damaged_exif
def test_damaged_exif_tags(error):
    with pytest.raises(ValueError, match="The picture is damaged or cut off"):
        open_upload(jpeg_with_damaged_exif(error))


def test_pictures_of_16_bits_keep_their_range():
    ramp = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_allclose(np.array(read_style_image(png(ramp)))[..., 1], ramp / 257, atol=0.51)


def test_pictures_are_small_and_rgb():
    for mode in ("RGB", "L", "P", "RGBA", "CMYK"):
        image = Image.new("RGB", (1000, 500), (200, 100, 0)).convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG" if mode == "CMYK" else "PNG")
        picture = read_style_image(buffer.getvalue())
        assert (picture.mode, picture.size) == ("RGB", (512, 256))


def test_pictures_with_transparent_pixels_are_refused():
    """Their hidden colors would become a part of the style."""
    image = Image.fromarray(np.dstack([COLORS, np.full(SIZE, 255, np.uint8)]))
    assert read_style_image(png(image)).mode == "RGB"
    image.putpixel((0, 0), (1, 2, 3, 0))
    with pytest.raises(ValueError, match="The picture has 1 transparent pixels, whose colors are unknown"):
        read_style_image(png(image))
    buffer = io.BytesIO()
    indexed(IDS, LABELS.palette).save(buffer, "PNG", transparency=int(IDS[0, 0]))
    with pytest.raises(ValueError, match="transparent pixels, whose colors"):
        read_style_image(buffer.getvalue())


def test_ids_in_a_jpeg_are_refused():
    with pytest.raises(ValueError, match="lossy compression, which changes ids"):
        read(jpeg(Image.fromarray(IDS.astype(np.uint8)), 90))
