"""Numbers that are no ids, colors that are ids, and alpha channels: each is read as what it is, or refused."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.labels.label_set import Label


ADE = SPADEImageProcessor(label_set=LabelSet.from_name("ade20k"))
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
CUT_OUT = SPADEImageProcessor(label_set=LabelSet("cut", (Label(0, "background", BLACK), Label(1, "thing", WHITE))))
COLORS = [(90, 150, 220), (40, 140, 60), (120, 120, 120)]
STREET = LabelSet(
    "street", tuple(Label(i, name, c) for i, (name, c) in enumerate(zip("abc", COLORS, strict=True))), 255
)
PROCESSOR = SPADEImageProcessor(label_set=STREET)
IDS = np.kron(np.random.default_rng(0).integers(0, 3, (6, 6)), np.ones((8, 8))).astype(np.uint8)
THING = np.kron(np.random.default_rng(1).integers(0, 2, (6, 6)), np.ones((8, 8))).astype(np.uint8)


def saved(folder: Path, image: PIL.Image.Image, kind: str, **options: Any) -> Path:
    if kind not in PIL.Image.registered_extensions().values():
        pytest.skip(f"this Pillow cannot write {kind}")
    image.save(folder / "mask", kind, **options)
    return folder / "mask"


def ids_of(processor: SPADEImageProcessor, mask: Any, color_tolerance: float | None = None) -> np.ndarray:
    return processor.read_ids(mask, color_tolerance=color_tolerance)[0]


LOSSY = [("JPEG", {}), ("JPEG", {"quality": 95}), ("JPEG2000", {}), ("TIFF", {"compression": "jpeg"})]


@pytest.mark.parametrize(("kind", "options"), LOSSY, ids=str)
@pytest.mark.parametrize("processor", [ADE, PROCESSOR], ids=["many-labels", "few-labels"])
def test_ids_are_not_read_from_lossy_files(processor, kind, options, tmp_path):
    numbers = np.array([3, 14, 22], np.uint8)[IDS] if processor is ADE else IDS
    mask = saved(tmp_path, PIL.Image.fromarray(numbers), kind, **options)
    with pytest.raises(
        ValueError, match=r"`mask` .* lossy compression, which changes ids\. Export the mask as an 8-"
    ) as e:
        processor.preprocess_mask(mask)
    assert "color_tolerance" not in str(e.value)
    with pytest.raises(ValueError, match="lossy compression|for one label|farther than|label ids"):
        processor.preprocess_mask(mask, color_tolerance=442)
    for one in (PIL.Image.open(mask), PIL.Image.open(mask).copy()):
        if getattr(one, "format", None) is not None:
            with pytest.raises(ValueError, match="lossy compression"):
                processor.preprocess_mask(one)


def test_ids_in_lossy_files_are_not_taken_for_grays(tmp_path):
    """All of the numbers are ids, and some are nearest to one gray label, others to another."""
    labels = [Label(i, f"{i}", (i, 0, 255)) for i in range(1, 255)]
    label_set = LabelSet("many", (Label(0, "black", BLACK), *labels, Label(255, "white", WHITE)))
    mask = saved(tmp_path, PIL.Image.fromarray(THING * 200), "JPEG")
    with pytest.raises(ValueError, match="changes ids, and its numbers look like ids"):
        SPADEImageProcessor(label_set=label_set).preprocess_mask(mask, color_tolerance=442)


@pytest.mark.parametrize(("kind", "options"), LOSSY, ids=str)
def test_black_and_white_is_read_from_lossy_files_with_a_tolerance(kind, options, tmp_path):
    mask = saved(tmp_path, PIL.Image.fromarray(THING * 255), kind, **options)
    with pytest.raises(
        ValueError, match=r"lossy compression.* if it is a drawing in these, .*pass `color_tolerance=\d+`"
    ):
        CUT_OUT.preprocess_mask(mask)
    np.testing.assert_array_equal(ids_of(CUT_OUT, mask, 442), THING)
    with pytest.raises(ValueError, match="lossy compression"):
        SPADEImageProcessor(label_set=CUT_OUT.label_set, use_instance_edges=True).preprocess_instance_map(mask)


def test_soft_grays_are_read_with_a_tolerance():
    soft = PIL.Image.fromarray(THING * 255).resize((96, 96), PIL.Image.Resampling.BILINEAR)
    with pytest.raises(
        ValueError, match=r"label ids \[.*\. Most of its grays .*pass `color_tolerance=(\d+)`"
    ) as error:
        CUT_OUT.preprocess_mask(soft)
    tolerance = int(str(error.value).split("color_tolerance=")[1].split("`")[0])
    for one in (tolerance, 442):
        np.testing.assert_array_equal(ids_of(CUT_OUT, soft, one), np.array(soft) > 127)
    with pytest.raises(ValueError, match=f"farther than `color_tolerance={tolerance - 1}`"):
        CUT_OUT.preprocess_mask(soft, color_tolerance=tolerance - 1)


def test_many_strange_ids_point_at_soft_edges():
    with pytest.raises(ValueError, match="come from soft edges or from compression such as JPEG"):
        PROCESSOR.preprocess_mask(PIL.Image.fromarray(np.arange(100, 200, dtype=np.uint8)[None]))


@pytest.mark.parametrize("tolerance", [None, 0, 442])
def test_gray_ids_stay_ids_with_a_tolerance(tolerance):
    np.testing.assert_array_equal(ids_of(PROCESSOR, PIL.Image.fromarray(IDS), tolerance), IDS)
    np.testing.assert_array_equal(ids_of(CUT_OUT, PIL.Image.fromarray(THING), tolerance), THING)


def test_numbers_that_are_ids_and_grays_of_other_labels():
    inverted = LabelSet("cut", (Label(0, "thing", WHITE), Label(1, "background", BLACK)))
    black = PIL.Image.fromarray(np.zeros((4, 4), np.uint8))
    processor = SPADEImageProcessor(label_set=inverted)
    assert ids_of(processor, black).max() == 0
    with pytest.raises(ValueError, match=r"its numbers \[0\] are ids as well as the grays of other labels, \[1\]"):
        processor.preprocess_mask(black, color_tolerance=5)


def gray_png(depth: int, stored: np.ndarray) -> bytes:
    """A gray PNG of 1, 2 or 4 bits, which Pillow does not write."""
    bits = (stored[..., None] >> np.arange(depth)[::-1] & 1).astype(np.uint8).reshape(len(stored), -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", stored.shape[1], len(stored), depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_are_no_ids(depth, tmp_path):
    """Pillow spreads them: 3 of 4 bits becomes 51, which is an id of ADE20K."""
    (tmp_path / "mask.png").write_bytes(gray_png(depth, THING))
    message = {1: "mode '1', black and white", 2: "numbers up to 3 only", 4: "numbers up to 15 only, which are spread"}
    for mask in (tmp_path / "mask.png", PIL.Image.open(tmp_path / "mask.png")):
        with pytest.raises(ValueError, match=message[depth]):
            ADE.preprocess_mask(mask)
    (tmp_path / "mask.png").write_bytes(gray_png(depth, THING * (2**depth - 1)))
    np.testing.assert_array_equal(ids_of(CUT_OUT, tmp_path / "mask.png", 0), THING)  # black and white


@pytest.mark.parametrize("white", [2, 11, 1000])
def test_portable_maps_of_few_levels_are_no_ids(white, tmp_path):
    (tmp_path / "mask.pgm").write_bytes(b"P2 2 1 %d 0 1" % white)
    with pytest.raises(ValueError, match=f"stores numbers up to {white} only"):
        ADE.preprocess_mask(tmp_path / "mask.pgm")
    (tmp_path / "mask.pgm").write_bytes(b"P2 2 1 255 0 1")
    assert ids_of(ADE, tmp_path / "mask.pgm").tolist() == [[0, 1]]


def test_inverted_numbers_are_no_ids(tmp_path):
    mask = saved(tmp_path, PIL.Image.fromarray(255 - IDS), "TIFF", tiffinfo={262: 0})  # WhiteIsZero
    with pytest.raises(ValueError, match="stores 0 for white"):
        PROCESSOR.preprocess_mask(mask)


def rgb_png_of_16_bits(pixels: np.ndarray) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", pixels.shape[1], len(pixels), 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_colors_of_16_bits_are_refused(tmp_path):
    """Pillow keeps the high bytes: all of these pixels would be black, the unknown label's color."""
    (tmp_path / "mask.png").write_bytes(rgb_png_of_16_bits(STREET.palette[IDS].astype(np.uint16)))
    for read in (PROCESSOR.preprocess_mask, PROCESSOR.preprocess_instance_map):
        with pytest.raises(ValueError, match="has channels of 16 bits, of which only 8 are read"):
            read(tmp_path / "mask.png")


@pytest.mark.parametrize("tolerance", [None, 158, 442])
@pytest.mark.parametrize(("channels", "name"), [([0, 1, 2], "three equal channels"), ([0], "the red channel")])
def test_ids_in_rgb_files(channels, name, tolerance):
    colors = np.zeros((*IDS.shape, 3), np.uint8)
    colors[..., channels] = IDS[..., None]
    for mask in (PIL.Image.fromarray(colors), colors):
        with pytest.raises(ValueError, match=rf"seems to hold ids in {name}: \[0, 1, 2\]\. .*getchannel") as error:
            PROCESSOR.preprocess_mask(mask, color_tolerance=tolerance)
        assert "color_tolerance" not in str(error.value)


def test_a_tolerance_that_makes_one_label_of_everything_is_refused():
    foreign = np.array([(30, 0, 200), (0, 30, 220), (10, 10, 240)], np.uint8)[IDS]
    with pytest.raises(ValueError, match="3 colors off the palette .*, or use the label set in whose colors") as error:
        PROCESSOR.preprocess_mask(foreign)
    assert "color_tolerance" not in str(error.value)
    with pytest.raises(ValueError, match="3 colors, all of which `color_tolerance` takes for one label, 'a'"):
        PROCESSOR.preprocess_mask(foreign, color_tolerance=442)


def test_a_tolerance_is_advised_for_soft_edges_and_not_for_a_missing_class():
    soft = PIL.Image.fromarray(STREET.palette[IDS]).resize((96, 96), PIL.Image.Resampling.BILINEAR)
    with pytest.raises(ValueError, match="pass `color_tolerance="):
        PROCESSOR.preprocess_mask(soft)
    missing = STREET.palette[IDS]
    missing[:8, :16] = 224, 224, 192
    with pytest.raises(ValueError, match=r"\(224, 224, 192\) on 128 pixels\. .*add labels of these colors") as error:
        PROCESSOR.preprocess_mask(missing)
    assert "color_tolerance" not in str(error.value)


def with_alpha(image: PIL.Image.Image) -> PIL.Image.Image:
    """The left half is transparent."""
    alpha = np.full(IDS.shape, 255, np.uint8)
    alpha[:, :24] = 0
    image.putalpha(PIL.Image.fromarray(alpha))
    return image


def test_transparent_pixels_are_unknown_in_every_form_that_has_colors(tmp_path):
    expected = IDS.copy()
    expected[:, :24] = 255
    drawn = PIL.Image.fromarray(STREET.palette[IDS])
    rgba, gray_alpha = with_alpha(drawn.copy()), with_alpha(PIL.Image.fromarray(IDS))
    keyed = np.array(drawn)
    keyed[:, :24] = 1, 2, 3
    rgb = saved(tmp_path, PIL.Image.fromarray(keyed), "PNG", transparency=(1, 2, 3))
    assert gray_alpha.mode == "LA" and PIL.Image.open(rgb).mode == "RGB"
    for mask in (rgba, gray_alpha, rgb):
        np.testing.assert_array_equal(ids_of(PROCESSOR, mask), expected)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_transparent_ids_are_refused(mode, tmp_path):
    image = PIL.Image.fromarray(IDS)
    if mode == "P":
        image.putpalette(STREET.palette[:3].tobytes())
    mask = saved(tmp_path, image, "PNG", transparency=1)
    with pytest.raises(ValueError, match=rf"has {(IDS == 1).sum()} transparent pixels with the ids \[1\]"):
        PROCESSOR.preprocess_mask(mask)
    with pytest.raises(ValueError, match="transparent pixels"):
        PROCESSOR.preprocess_instance_map(mask)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_images_with_transparent_pixels_are_refused(mode, tmp_path):
    image = PIL.Image.fromarray(STREET.palette[IDS])
    if mode in ("RGBA", "LA"):
        opaque = image.convert(mode)
        assert PROCESSOR.preprocess_image(opaque).shape == (1, 3, 48, 48)
        file = saved(tmp_path, with_alpha(opaque), "PNG")
    elif mode == "P":
        file = saved(tmp_path, image.quantize(4), "PNG", transparency=0)
    else:
        file = saved(tmp_path, image, "PNG", transparency=COLORS[0])
    with pytest.raises(ValueError, match=r"`image` .* has \d+ transparent pixels, whose colors are unknown"):
        PROCESSOR.preprocess_image(file)


def test_negative_and_large_numbers_are_named(tmp_path):
    mask = saved(tmp_path, PIL.Image.fromarray(np.array([[-1, 70000]], np.int32)), "TIFF")
    with pytest.raises(ValueError, match=r"label ids \[-1, 70000\]"):
        PROCESSOR.preprocess_mask(mask)


def test_masks_of_npy_files(tmp_path):
    """Ids, and weights of the labels: soft, or several at a pixel."""
    labels = LabelSet.anonymous(3)
    processor = SPADEImageProcessor(label_set=labels)
    ids = np.array([[0, 1], [2, 2]])
    weights = np.random.default_rng(0).random((3, 2, 2))
    for values, expected in (
        (ids, torch.from_numpy(ids)),
        (weights, torch.from_numpy(weights).float()),
        (weights > 0.5, torch.from_numpy(weights > 0.5).float()),
    ):
        np.save(tmp_path / "mask.npy", values)
        assert processor.preprocess_mask(tmp_path / "mask.npy").equal(expected[None])
    np.save(tmp_path / "mask.npy", weights[0])
    with pytest.raises(ValueError, match=r"mask.npy\) holds float64 of shape \(2, 2\); a mask is integer ids"):
        processor.preprocess_mask(str(tmp_path / "mask.npy"))
