"""The image processor with other channels than RGB's, and with a range of values."""

import logging
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from spade_hf import SPADEImageProcessor

from ..training_data import LABELS, png


def processor(**options) -> SPADEImageProcessor:
    return SPADEImageProcessor(label_set=LABELS, **options)


def gray(mode: str = "L") -> PIL.Image.Image:
    values = np.arange(12).reshape(3, 4)
    return PIL.Image.fromarray((values * 20).astype(np.uint8) if mode == "L" else (values * 5000).astype(np.uint16))


def test_gray_of_8_and_16_bits():
    for mode, white in (("L", 255), ("I;16", 65535)):
        image = gray(mode)
        assert image.mode == mode
        expected = torch.from_numpy(np.array(image).astype(np.float32)) / white * 2 - 1
        reader = processor(image_channels=1)
        for form in (image, np.array(image), np.array(image)[..., None], torch.from_numpy(np.array(image))[None]):
            torch.testing.assert_close(reader.preprocess_image(form), expected[None, None])


def test_a_range_of_values_is_said_with_its_name(tmp_path: Path, caplog):
    """Hounsfield units of a CT: -1024 is air around the table."""
    values = np.array([[-1024, 0], [500, 1000]], np.int16)
    np.save(tmp_path / "ct.npy", values)
    reader = processor(image_channels=1, value_range=(-1000, 1000))
    with caplog.at_level(logging.WARNING):
        pixels = reader.preprocess_image(tmp_path / "ct.npy")
    assert pixels.flatten().tolist() == [-1, 0, 0.5, 1]
    assert "ct.npy) has 25.00% of its values outside of -1000 to 1000, which were clipped." in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        reader.preprocess_image(values.clip(-1000, 1000))
    assert caplog.text == ""


def test_outputs_are_in_the_units_of_the_data():
    images = torch.tensor([-1.0, 0.0, 0.5, 1.0]).view(1, 1, 2, 2)
    ct = processor(image_channels=1, value_range=(-1000, 1000))
    (image,) = ct.postprocess(images)
    assert image.mode == "F" and np.array(image).tolist() == [[-1000, 0], [500, 1000]]
    arrays = ct.postprocess(images, "np", denormalize=True)
    assert arrays.shape == (1, 2, 2, 1) and arrays.dtype == np.float32
    assert arrays[0, ..., 0].tolist() == [[-1000, 0], [500, 1000]]
    assert ct.postprocess(images, "pt", denormalize=True)[0, 0].tolist() == [[-1000, 0], [500, 1000]]
    assert ct.postprocess(images, "np")[0, ..., 0].tolist() == [[0, 0.5], [0.75, 1]]


@pytest.mark.parametrize(
    "channels, value_range, mode",
    [
        (1, None, "L"),
        (1, (0, 65535), "I;16"),
        (1, (0, 255), "L"),
        (3, None, "RGB"),
        (3, (0, 255), "RGB"),
        (2, None, "LA"),
    ],
)
def test_modes_of_images(channels: int, value_range, mode: str):
    images = torch.linspace(-1, 1, 256).expand(2, channels, 4, 256)
    one, _ = processor(image_channels=channels, value_range=value_range).postprocess(images)
    assert one.mode == mode and one.size == (256, 4)
    white = 65535 if mode == "I;16" else 255
    assert np.array_equal(np.atleast_3d(np.array(one))[0, :, 0], np.linspace(0, white, 256).round())


def test_outputs_that_are_not_there():
    many = processor(image_channels=5)
    with pytest.raises(ValueError, match="`output_type` is 'pil', which has no images of 5 channels of uint8"):
        many.postprocess(torch.zeros(1, 5, 2, 2))
    assert many.postprocess(torch.zeros(1, 5, 2, 2), "np").shape == (1, 2, 2, 5)
    with pytest.raises(ValueError, match="`denormalize` was given, but this model has no `value_range`"):
        many.postprocess(torch.zeros(1, 5, 2, 2), "np", denormalize=True)
    with pytest.raises(ValueError, match="`denormalize` is for `output_type` 'np' and 'pt'"):
        processor(value_range=(0, 255)).postprocess(torch.zeros(1, 3, 2, 2), denormalize=True)


RGB = PIL.Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3))


@pytest.mark.parametrize(
    "options, image, message",
    [
        ({"image_channels": 1}, RGB, r"has 3 channels \(PIL mode 'RGB'\), but `image_channels` is 1"),
        ({"image_channels": 5}, RGB, r"has 3 channels \(PIL mode 'RGB'\), but `image_channels` is 5"),
        ({"value_range": (0, 255)}, gray(), r"has 1 channels \(PIL mode 'L'\), but `image_channels` is 3"),
        ({"image_channels": 1}, gray().convert("P"), "is a palette image, whose numbers are no values"),
        ({"value_range": (0, 255)}, RGB.quantize(), "is a palette image, whose numbers are no values"),
        ({"image_channels": 4}, RGB.convert("CMYK"), "has the PIL mode 'CMYK'; allowed are"),
        (
            {"image_channels": 1},
            gray().convert("F"),
            "has the PIL mode 'F': 32 bits, whose white level is unknown. Give `value_range`",
        ),
        ({"image_channels": 1, "value_range": (0, 4095)}, gray(), "has 8 bits, so values up to 255"),
        ({"image_channels": 5}, np.zeros((2, 2, 3), np.uint8), r"has shape \(2, 2, 3\); an array is \(H, W, 5\)"),
        ({"image_channels": 5}, torch.zeros(3, 2, 2), r"has shape \(3, 2, 2\); a tensor is \(5, H, W\)"),
    ],
)
def test_images_of_other_channels_or_values(options: dict, image, message: str):
    """None is converted."""
    with pytest.raises(ValueError, match=f"`image` {message}"):
        processor(**options).preprocess_image(image)


def test_an_opaque_alpha_channel_is_left_out():
    opaque, half = gray().convert("LA"), gray().convert("LA")
    half.putalpha(128)
    torch.testing.assert_close(
        processor(image_channels=1).preprocess_image(opaque), processor(image_channels=1).preprocess_image(gray())
    )
    with pytest.raises(ValueError, match="has 12 transparent pixels"):
        processor(image_channels=1).preprocess_image(half)


def test_rgb_is_read_as_ever(tmp_path: Path):
    """Any mode becomes RGB, and 16 bits stay whole."""
    (tmp_path / "1.png").write_bytes(png(gray()))
    reader = processor()
    expected = torch.from_numpy(np.array(gray()).astype(np.float32)) / 255 * 2 - 1
    torch.testing.assert_close(reader.preprocess_image(tmp_path / "1.png"), expected.expand(1, 3, 3, 4))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_channels": 0}, "`image_channels` is 0; images have at least one channel"),
        ({"image_channels": "3"}, "`image_channels` is '3'; images have at least one channel"),
        ({"value_range": (3, 3)}, "`value_range` is 3 to 3, which holds no values"),
        ({"display_channels": (0, 1, 3)}, r"`display_channels` is \(0, 1, 3\); give three numbers in 0..2"),
    ],
)
def test_bad_options(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        processor(**options)


def test_it_is_saved_and_loaded(tmp_path: Path):
    saved = processor(image_channels=5, value_range=(-1, 7.5), display_channels=(4, 2, 0))
    saved.save_pretrained(tmp_path)
    loaded = SPADEImageProcessor.from_pretrained(tmp_path)
    assert loaded.image_options() == saved.image_options()
    assert loaded.show(torch.arange(5).view(1, 5, 1, 1)).flatten().tolist() == [4, 2, 0]
