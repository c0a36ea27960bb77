"""Palette images: indices or colors, and that a few odd pixels do not decide it."""

import numpy as np
import PIL.Image
import pytest

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.demo.formats import Format
from spade_hf.demo.uploads import read_mask
from spade_hf.images.palettes import find_disagreement
from spade_hf.labels.colors import voc_color
from spade_hf.labels.label_set import Label

from ..demo.conftest import png


SKY, TREE, ROAD = (10, 20, 200), (30, 110, 40), (130, 70, 140)
PARK = LabelSet("park", (Label(0, "sky", SKY), Label(1, "tree", TREE), Label(2, "road", ROAD)), unknown_id=255)
PROCESSOR = SPADEImageProcessor(label_set=PARK)
IDS = np.random.default_rng(0).integers(0, 3, (16, 16))
REORDERED = [1, 2, 0]  # index -> id
INDEX_OF = np.argsort(REORDERED)


def palette_image(indices: np.ndarray, colors: list) -> PIL.Image.Image:
    image = PIL.Image.frombytes("P", indices.shape[::-1], indices.astype(np.uint8).tobytes())
    image.putpalette(np.array(colors, dtype=np.uint8).tobytes())
    return image


def reordered(stray: tuple[int, int, int] | None = None, pixels: int = 1) -> PIL.Image.Image:
    """In the labels' colors, which the palette has in another order, and with pixels of another color."""
    indices = INDEX_OF[IDS]
    if stray is None:
        return palette_image(indices, [PARK.palette[i] for i in REORDERED])
    indices.flat[:pixels] = 3
    return palette_image(indices, [*(PARK.palette[i] for i in REORDERED), stray])


@pytest.mark.parametrize(
    "image",
    [
        reordered(),
        reordered(stray=(224, 224, 192), pixels=8),  # the border of VOC
        reordered(stray=(99, 0, 99), pixels=100),
        palette_image(INDEX_OF[IDS], [np.array(PARK.palette[i]) + [1, 0, 3] for i in REORDERED]),  # rounded colors
        palette_image(np.zeros((4, 4)), [TREE]),  # of a single color
        palette_image(np.array([[0] * 15 + [1]]), [(0, 0, 0), SKY]),  # mostly unknown
        palette_image(np.array([[0] * 15 + [1, 2]]), [SKY, ROAD, TREE]),  # mostly in order
    ],
    ids=["whole", "stray", "many-strays", "rounded", "one-color", "mostly-unknown", "mostly-in-order"],
)
def test_colors_decide_where_they_contradict_the_indices(image):
    with pytest.raises(ValueError, match=r"`mask` is a palette image in the colors .*'park', but its index \d has"):
        PROCESSOR.preprocess_mask(image)
    drawn = PARK.ids_from_colors(np.array(image.convert("RGB")), color_tolerance=442)
    np.testing.assert_array_equal(PROCESSOR.read_ids(image, color_tolerance=442)[0], drawn)
    opened = read_mask(png(image), PROCESSOR, [Format("own", drawn.shape, drawn.shape)])
    np.testing.assert_array_equal(opened.label_map, drawn)


def test_without_a_tolerance_the_stray_color_is_named():
    image = reordered(stray=(224, 224, 192), pixels=8)
    with pytest.raises(ValueError, match=r"1 color farther than `color_tolerance=0` .*\(224, 224, 192\) on 8 pixels"):
        PROCESSOR.preprocess_mask(image, color_tolerance=0)


def in_order(stray: int | None = None) -> PIL.Image.Image:
    """Ids, with a palette in the order of the labels; one pixel's entry can have another label's color."""
    indices = IDS.copy()
    if stray is not None:
        indices[0, 0] = stray
    return palette_image(indices, [SKY, TREE, ROAD, *[(0, 0, 0)] * 253])


VOC = [voc_color(index) for index in range(256)]
GRAYS = [(v, v, v) for v in range(256)]
TAB = [(0, 0, 0), (31, 119, 180), (255, 127, 14), *[(1, 2, 3)] * 253]


@pytest.mark.parametrize(
    "image",
    [
        in_order(),
        in_order(stray=255),  # black, the unknown label's own color
        palette_image(IDS, [(0, 0, 0)] * 256),
        palette_image(np.zeros((4, 4)), [(0, 0, 0)] * 2),
        palette_image(IDS.clip(min=1), [(1, 2, 3), (0, 0, 0), (0, 0, 0)]),
        palette_image(IDS, TAB),
        palette_image(np.zeros((4, 4)), TAB),
        palette_image(IDS, VOC),
        palette_image(IDS, VOC[:3]),
        palette_image(IDS, GRAYS),
    ],
    ids=[
        "in-order",
        "black",
        "all-black",
        "black-0",
        "repeated",
        "other-colors",
        "other-colors-0",
        "voc",
        "short-voc",
        "gray",
    ],
)
def test_indices_are_ids_where_no_color_contradicts_them(image):
    for tolerance in (None, 442):
        np.testing.assert_array_equal(PROCESSOR.read_ids(image, color_tolerance=tolerance)[0], np.array(image))
    opened = read_mask(png(image), PROCESSOR, [Format("own", IDS.shape, np.array(image).shape)])
    np.testing.assert_array_equal(opened.label_map, np.array(image))


@pytest.mark.parametrize(
    "label_set",
    [LabelSet.from_name("coco-stuff"), LabelSet.anonymous(12), LabelSet.anonymous(21, use_unknown_label=True)],
    ids=lambda label_set: label_set.name,
)
@pytest.mark.parametrize("used", [[0], [0, 1, 2, 3], [1, 2], [0, 7, 255]], ids=str)
def test_voc_numbering_means_ids_whatever_colors_the_labels_have(label_set, used):
    """The labels have VOC's colors, too, each that of another number."""
    image = palette_image(np.array([used]), VOC)
    assert find_disagreement(image, label_set) is None
    if set(used) <= set(label_set.ids):
        assert SPADEImageProcessor(label_set=label_set).read_ids(image)[0].tolist() == [used]


def test_a_stray_color_does_not_turn_voc_numbering_into_colors():
    colors = [*VOC[:255], (255, 255, 255)]  # the border is white
    image = palette_image(np.array([[0, 1, 2, 3] * 64 + [255]]), colors)
    assert find_disagreement(image, LabelSet.anonymous(21, use_unknown_label=True)) is None


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "PCX"])
def test_files_of_every_format(kind, tmp_path):
    reordered(stray=(224, 224, 192)).save(tmp_path / "mask", kind)
    with pytest.raises(ValueError, match="is a palette image in the colors"):
        PROCESSOR.preprocess_mask(tmp_path / "mask")
    in_order().save(tmp_path / "mask", kind)
    assert PROCESSOR.preprocess_mask(tmp_path / "mask").tolist() == [IDS.tolist()]
