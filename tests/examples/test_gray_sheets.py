"""The sheets of gray images of 16 bits have their light; a conversion by Pillow would clip it."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline

from ..tiny_networks import NUM_LABELS, tiny_generator, tiny_outlines, tiny_style_encoder


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SIDE = 64


@pytest.fixture(scope="module")
def gray(tmp_path_factory):
    """A pipeline that paints 16 bits, its folder, a mask and a style."""
    folder = tmp_path_factory.mktemp("gray")
    labels = LabelSet.from_dict({"id2label": {str(number): f"label {number}" for number in range(NUM_LABELS)}})
    pipeline = SPADEPipeline(
        tiny_generator(image_channels=1),
        SPADEImageProcessor(label_set=labels, image_channels=1, value_range=(0, 65535)),
        tiny_style_encoder(image_channels=1),
        tiny_outlines(),
    )
    pipeline.save_pretrained(folder / "model")
    Image.fromarray(np.repeat(np.arange(NUM_LABELS, dtype=np.uint8), 16)[:, None].repeat(SIDE, axis=1)).save(
        folder / "mask.png"
    )
    ramp = np.linspace(0, 65535, SIDE).astype(np.uint16)[:, None].repeat(SIDE, axis=1)
    Image.fromarray(ramp).save(folder / "style.png")
    return pipeline, folder


def sheet_of(name, folder, *options):
    with pytest.MonkeyPatch.context() as patch:
        common = ["--model", folder / "model", "--masks", folder / "mask.png", "--size", SIDE]
        patch.setattr(sys, "argv", [name, *map(str, [*common, *options, "--output", folder / "sheet.png"])])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return np.array(Image.open(folder / "sheet.png")).astype(float)


def test_the_table_of_styles_has_their_light_and_that_of_the_images(gray):
    pipeline, folder = gray
    table = sheet_of("style_grid.py", folder, "--styles", folder / "style.png")
    expected = [Image.open(folder / "style.png")]
    expected += pipeline(str(folder / "mask.png"), style_image=str(folder / "style.png")).images
    assert expected[1].mode == "I;16"
    for top, image in enumerate(expected):
        shown = table[top * SIDE : (top + 1) * SIDE, SIDE:]
        assert np.abs(shown - np.array(image)[..., None] / 257).max() <= 1


def test_the_sheet_of_outlines_has_the_light_of_the_images(gray):
    pipeline, folder = gray
    sheet = sheet_of("outline_sheet.py", folder, "--style", folder / "style.png", "--strengths", 0.5, "--steps", 1)
    (image,) = pipeline(str(folder / "mask.png"), style_image=str(folder / "style.png")).images
    assert np.abs(sheet[-SIDE:, SIDE : 2 * SIDE] - np.array(image)[..., None] / 257).max() <= 1
