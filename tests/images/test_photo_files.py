"""Files of values: what is read is what was written, with nothing converted."""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from spade_hf.images.photo_files import open_photo, suffixes_of
from spade_hf_cli.outputs import save_image as save_photo

from ..training_data import png


def numbers(channels: int, dtype: str, size: tuple[int, int] = (6, 9)) -> np.ndarray:
    """Random numbers of the whole range of a type, `(H, W, channels)`."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=(*size, channels)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, (*size, channels), dtype=dtype, endpoint=True)


def png_of_16_bits(values: np.ndarray) -> bytes:
    """A PNG file of color type 2 (RGB), 4 (gray and alpha) or 6 (RGBA)."""
    height, width, channels = values.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def read(source: Path | bytes, channels: int) -> np.ndarray:
    photo = open_photo(source, argument="`image`", image_channels=channels)
    return np.atleast_3d(np.array(photo))


KINDS = [
    (channels, dtype, suffix)
    for channels in (1, 2, 3, 4, 5)
    for dtype in ("uint8", "uint16", "float32")
    for suffix in suffixes_of(channels, np.dtype(dtype))
]


@pytest.mark.parametrize("channels, dtype, suffix", KINDS)
def test_what_is_written_is_read(tmp_path: Path, channels: int, dtype: str, suffix: str):
    """From a path, and from the file's content, as in a row of a data set."""
    values, file = numbers(channels, dtype), tmp_path / f"new folder/1{suffix}"
    save_photo(values, file)
    for source in (file, file.read_bytes()):
        found = read(source, channels)
        assert found.dtype == values.dtype and np.array_equal(found, values)


def test_the_form_of_usual_files(tmp_path: Path):
    """Gray is gray, with 8 or 16 bits; PNG holds nothing that it would change."""
    for dtype, mode in (("uint8", "L"), ("uint16", "I;16")):
        save_photo(numbers(1, dtype), tmp_path / "1.png")
        assert PIL.Image.open(tmp_path / "1.png").mode == mode
    for values in (numbers(5, "uint8"), numbers(3, "uint16"), numbers(1, "float32")):
        with pytest.raises(ValueError, match=r"\.png cannot hold \d channels of .*; formats that can: .tiff, .tif"):
            save_photo(values, tmp_path / "1.png")


@pytest.mark.parametrize("channels", [3, 4])
def test_colors_of_16_bits_in_png_are_whole(tmp_path: Path, channels: int):
    """Pillow reads their high bytes."""
    values = numbers(channels, "uint16", (32, 40))
    data = png_of_16_bits(values)
    assert np.array_equal(read(data, channels), values)
    (tmp_path / "1.png").write_bytes(data)
    assert np.array_equal(read(tmp_path / "1.png", channels), values)


def test_gray_and_alpha_of_16_bits_is_refused():
    with pytest.raises(ValueError, match="has channels of 16 bits in a form that is not read. Save it as TIFF"):
        read(png_of_16_bits(numbers(2, "uint16")), 2)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "uint16"])
def test_other_types_of_gray_tiff(dtype: str):
    values = numbers(1, dtype)[..., 0]
    file = io.BytesIO()
    tifffile.imwrite(file, values)
    assert np.array_equal(read(file.getvalue(), 1)[..., 0], values)


def test_channels_in_separate_planes_are_brought_together():
    values, file = numbers(5, "uint16"), io.BytesIO()
    tifffile.imwrite(file, np.moveaxis(values, -1, 0), photometric="minisblack", planarconfig="separate")
    assert np.array_equal(read(file.getvalue(), 5), values)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_tiff_of_several_pages(channels: int):
    pages, file = numbers(channels, "uint8").squeeze(), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for _ in range(4):
            writer.write(pages, photometric="rgb" if channels == 3 else "minisblack", planarconfig="contig")
    with pytest.raises(ValueError, match="`image` is a TIFF of 4 pages; an image is one page"):
        read(file.getvalue(), channels)


def test_a_turned_tiff_that_pillow_cannot_turn():
    file = io.BytesIO()
    tifffile.imwrite(
        file, numbers(5, "uint8"), photometric="minisblack", planarconfig="contig", extratags=[(274, 3, 1, 6, True)]
    )
    with pytest.raises(ValueError, match="turned by its tag `Orientation`. Save it upright"):
        read(file.getvalue(), 5)


@pytest.mark.parametrize("order", [">u2", ">f4", "<i8"])
def test_arrays_of_any_byte_order(tmp_path: Path, order: str):
    values = numbers(1, np.dtype(order).newbyteorder("=").name)[..., 0].astype(order)
    np.save(tmp_path / "1.npy", values)
    found = read(tmp_path / "1.npy", 1)
    assert found.dtype.isnative and np.array_equal(found[..., 0], values)


@pytest.mark.parametrize("shape", [(6, 9, 5), (5, 6, 9)])
def test_arrays_with_channels_first_or_last(tmp_path: Path, shape: tuple[int, ...]):
    values = np.arange(270, dtype=np.float32).reshape(shape)
    np.save(tmp_path / "1.npy", values)
    expected = values if shape[-1] == 5 else np.moveaxis(values, 0, -1)
    assert np.array_equal(read(tmp_path / "1.npy", 5), expected)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((5, 6, 5), "whose first and last sides both fit 5 channels"),
        ((6, 9), r"with `image_channels` 5, an array is \(H, W, 5\) or \(5, H, W\)"),
        ((6, 9, 4), r"has shape \(6, 9, 4\); with `image_channels` 5"),
        ((1, 6, 9, 5), r"has shape \(1, 6, 9, 5\)"),
    ],
)
def test_arrays_of_other_shapes(tmp_path: Path, shape: tuple[int, ...], message: str):
    np.save(tmp_path / "1.npy", np.zeros(shape))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "1.npy", 5)


def test_arrays_that_are_no_numbers(tmp_path: Path):
    np.save(tmp_path / "1.npy", np.array([["a", "b"]]))
    with pytest.raises(ValueError, match="holds <U1, and not numbers"):
        read(tmp_path / "1.npy", 1)
    np.save(tmp_path / "2.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read as an array of numpy: .*allow_pickle"):
        read(tmp_path / "2.npy", 1)


@pytest.mark.parametrize("start", [b"\x93NUMPY", b"II*\0", b"MM\0*", b"\x89PNG\r\n\x1a\n", b""])
def test_damaged_files(start: bytes):
    with pytest.raises(ValueError, match="cannot be read|cannot identify"):
        read(start + b"nothing more", 5)


def test_without_tifffile_the_error_names_what_to_install(monkeypatch):
    file = io.BytesIO()
    tifffile.imwrite(file, numbers(5, "uint8"), photometric="minisblack", planarconfig="contig")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ImportError, match=r"needs the package tifffile, which is not installed: pip install tifffile"):
        read(file.getvalue(), 5)
    assert read(png(PIL.Image.fromarray(numbers(3, "uint8"))), 3).shape == (6, 9, 3)
