"""The page reads masks as the Gradio page does, and makes colors and codes of labels as the library does."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.demo.formats import NEAR_RATIO, Format
from spade_hf.demo.handlers import ASSETS
from spade_hf.demo.mask_canvas import blank_channel
from spade_hf.demo.uploads import NEAR_COLOR, PHOTO_SHARE, read_mask
from spade_hf.images.inputs import instance_edges


pytestmark = pytest.mark.pages

FORMATS = [Format("square", (8, 8), (32, 32)), Format("wide", (8, 16), (32, 64))]
READ = """
const { file, pixels, width, height, config } = given;
try {
  const picture = { pixels: Uint8ClampedArray.from(pixels), width, height };
  const { grid, notes } = readMask(picture, holdsIds(Uint8Array.from(file)), config);
  return { labels: Array.from(grid.labels), notes };
} catch (error) { return { error: error.message }; }
"""


def config(label_set: LabelSet) -> dict:
    return {
        "labels": [
            {"name": name, "color": color}
            for name, color in zip(label_set.names, label_set.palette.tolist(), strict=True)
        ],
        "label_ids": label_set.ids,
        "canvas": {"blank": blank_channel(label_set)},
        "formats": [{"size": one.size, "canvas_size": one.canvas_size} for one in FORMATS],
        "rules": {"near_ratio": NEAR_RATIO, "near_color": NEAR_COLOR, "photo_share": PHOTO_SHARE},
    }


def read_by_node(node, data: bytes, label_set: LabelSet) -> dict:
    image = Image.open(io.BytesIO(data))
    given = {
        "file": list(data[:26]),
        "pixels": np.array(image.convert("RGBA")).ravel().tolist(),
        "width": image.width,
        "height": image.height,
        "config": config(label_set),
    }
    return node('{ holdsIds, readMask } from "./masks.js"', READ, given)


def file_of(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def example(label_set: LabelSet) -> np.ndarray:
    """A label map of ids, 40x90: neither a canvas' size nor its shape."""
    channels = np.random.default_rng(0).integers(0, label_set.num_channels, (4, 9)).repeat(10, 0).repeat(10, 1)
    return np.array(label_set.ids)[channels]


def transparent(colors: np.ndarray) -> np.ndarray:
    alpha = np.full(colors.shape[:2], 255, np.uint8)
    alpha[:10], alpha[10:20] = 127, 128
    return np.dstack([colors, alpha])


def nearly(colors: np.ndarray) -> np.ndarray:
    return np.where(np.arange(90)[:, None] < 9, colors ^ 1, colors)


MASKS = {
    "colors": lambda ids, colors: file_of(colors),
    "gray ids": lambda ids, colors: file_of(ids.astype(np.uint8)),
    "JPEG": lambda ids, colors: file_of(colors, "JPEG", quality=75),
    "transparent": lambda ids, colors: file_of(transparent(colors)),
    "a few other colors": lambda ids, colors: file_of(nearly(colors)),
    "a canvas": lambda ids, colors: file_of(colors[:32, :64]),
    "gray colors": lambda ids, colors: file_of(np.full((8, 8, 3), 1, np.uint8)),
    "black and white": lambda ids, colors: file_of(Image.new("1", (8, 8), 1)),
    "a photograph": lambda ids, colors: (ASSETS / "noon_style.jpg").read_bytes(),
    "unknown ids": lambda ids, colors: file_of(np.full((8, 8), 200, np.uint8)),
}


@pytest.mark.parametrize("name", ["landscapes", "cityscapes-trainids"])
@pytest.mark.parametrize("form", MASKS)
def test_both_pages_read_the_same_mask(node, form, name):
    label_set = LabelSet.from_name(name)
    ids = example(label_set)
    data = MASKS[form](ids, label_set.colorize(ids))
    found = read_by_node(node, data, label_set)
    try:
        expected = read_mask(data, SPADEImageProcessor(label_set=label_set), FORMATS)
    except ValueError as error:
        assert "label ids [200]" in str(error) and "has the label ids 200; this model knows 0, 1, 2" in found["error"]
        return
    if expected.is_photo:
        assert "of this picture has no label's color, so it is not a mask" in found["error"]
        return
    np.testing.assert_array_equal(found["labels"], label_set.ids_to_channels(expected.label_map).ravel())
    assert found["notes"] == expected.notes


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((8, 8), 3, np.uint16), "16 bits; browsers read 8 of them. Save it with 8 bits"),
        (np.dstack([np.full((8, 8), 3, np.uint8), np.full((8, 8), 0, np.uint8)]), None),
    ],
    ids=["16 bits", "gray and alpha"],
)
def test_what_a_browser_would_read_wrongly(node, image, words):
    """Gray with an alpha channel is read by its colors, on both pages."""
    found = read_by_node(node, file_of(image), LabelSet.from_name("landscapes"))
    assert words in found["error"] if words else "100 % was transparent and became sky" in found["notes"]


def test_transparent_gray_values_have_no_ids(node):
    data = file_of(Image.new("L", (8, 8), 3), transparency=3)
    found = read_by_node(node, data, LabelSet.from_name("landscapes"))
    assert "transparent pixels, whose label ids are lost. Save it without" in found["error"]


def test_codes_have_edges_between_rows_and_columns(node):
    label_map = np.random.default_rng(0).integers(0, 3, (5, 7))
    given = {"labels": label_map.ravel().tolist(), "width": 7}
    body = "return [true, false].map((hasEdges) => Array.from(codesOf(given, 12, hasEdges)));"
    with_edges, without = node('{ codesOf } from "./masks.js"', body, given)
    edges = instance_edges(torch.from_numpy(label_map)[None])[0].numpy()
    np.testing.assert_array_equal(np.reshape(with_edges, (5, 7)), label_map + 12 * edges)
    np.testing.assert_array_equal(np.reshape(without, (5, 7)), label_map)


def test_what_is_not_painted_is_transparent_in_a_file(node):
    body = "return [...colored(Uint16Array.of(1, 0), [{ color: [1, 2, 3] }, { color: [4, 5, 6] }], 0)];"
    assert node('{ colored } from "./masks.js"', body, None) == [4, 5, 6, 255, 1, 2, 3, 0]


@pytest.mark.parametrize(
    ("others", "expected"),
    [(None, [1, 7, 7, 2]), ([[3, 4], [5, 6]], [1, 4, 5, 2]), ([[3, 4, 5, 6]], [1, 7, 7, 2])],
    ids=["alone", "beside another mask", "beside one of another size"],
)
def test_what_is_not_painted_is_filled(node, others, expected):
    body = """
const gridOf = (rows) => rows && new LabelGrid(rows[0].length, rows.length, Uint16Array.from(rows.flat()));
const grid = gridOf([[1, 9], [9, 2]]);
return [...filled(grid, gridOf(given), { canvas: { unpainted: 9 }, stand_in: 7 }).labels];
"""
    names = '{ filled } from "./masks.js"; import { LabelGrid } from "./label_grid.js"'
    assert node(names, body, others) == expected
