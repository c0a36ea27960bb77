"""What each event of the page does, without a browser."""

import json
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from spade_hf.demo.handlers import MASKS, STYLES, VARIANTS, Handlers
from spade_hf.demo.painter import Painter

from .conftest import png


@pytest.fixture(scope="module")
def on(painter: Painter) -> Handlers:
    return Handlers(painter)


def click(index: int) -> SimpleNamespace:
    return SimpleNamespace(index=index)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.array(picture)


def test_painting_shows_picture_mask_and_time(on):
    painting, picture, (mask, same), facts = on.paint(on.first_canvas(), on.first_styles(), 1.0)
    assert picture is same is painting.picture
    assert mask.size == picture.size == (64, 64)
    assert " ms</b>" in facts and "style: sunset" in facts


def test_live_mode_off_paints_nothing(on):
    assert on.paint_live(False, on.first_canvas(), on.first_styles(), 1.0) == gr.skip()


def test_the_style_stays_while_the_mask_changes(on):
    styles = on.pick_example_style(on.first_styles(), click(3))[0]
    paintings = [on.paint(on.pick_example_mask(click(i)), styles, 1.0)[0] for i in range(2)]
    assert {painting.style.name for painting in paintings} == {"dusk"}
    assert (pixels(paintings[0].picture) != pixels(paintings[1].picture)).any()


@pytest.mark.parametrize("index", range(len(MASKS)))
def test_every_example_mask(on, index):
    assert len(np.unique(on._read(on.pick_example_mask(click(index))))) >= 5


@pytest.mark.parametrize("index", range(len(STYLES)))
def test_every_example_style(on, index):
    styles, blend, names = on.pick_example_style(on.first_styles(), click(index))
    assert (styles.last.name, blend) == (STYLES[index], 1.0)
    assert "sunset" in names and STYLES[index] in names  # the one before, and this


def test_the_blend_changes_the_picture_by_degrees(on):
    styles = on.first_styles()
    pictures = [pixels(on.paint(on.first_canvas(), styles, blend)[1]).astype(int) for blend in (0, 0.5, 1)]
    near, far = np.abs(pictures[2] - pictures[1]).mean(), np.abs(pictures[2] - pictures[0]).mean()
    assert 0 < near < far


def test_four_variants_and_going_on_with_one(on):
    canvas, styles = on.first_canvas(), on.first_styles()
    variants, shown = on.paint_variants(canvas)
    assert len(variants) == len(shown) == VARIANTS
    assert len({picture.tobytes() for picture, _ in shown}) == VARIANTS
    styles, blend, names, painting, picture, *_ = on.pick_variant(styles, variants, click(2))
    assert painting is variants[2] and styles.last == variants[2].style
    again = pixels(on.paint(canvas, styles, blend)[1]).astype(int)
    assert np.abs(again - pixels(picture)).max() <= 1  # a batch of four rounds unlike a batch of one


def test_seeds(on):
    styles = on.pick_seed(on.first_styles(), 7)[0]
    assert styles.last.name == "seed 7"
    for seed in (-1, 1.5, None, float("inf"), float("nan"), 2**40):
        with pytest.raises(gr.Error, match="The seed is"):
            on.pick_seed(styles, seed)


def test_own_picture(on):
    styles = on.pick_own_picture(on.first_styles(), png(Image.new("RGB", (80, 40), "orange")))[0]
    assert styles.last.name == "your picture"
    with pytest.raises(gr.Error, match="no picture that can be read"):
        on.pick_own_picture(styles, b"hello")


def test_opening_a_mask_tells_what_was_changed(on, monkeypatch):
    told = []
    monkeypatch.setattr(gr, "Info", lambda message, **_: told.append(message))
    mask = np.full((512, 512, 3), on.label_set.palette[3])
    mask[:128] = (1, 2, 3)
    canvas, *_ = on.open_file(png(mask.astype(np.uint8)), on.first_styles(), 1.0)
    assert (on._read(canvas)[128:] == 3).all()
    assert told == [
        "The mask was changed to fit: 25 % of the pixels were off the palette and took the nearest label's colour."
    ]


def test_a_saved_scene_opens_again(on, cache):
    canvas, styles = on.pick_example_mask(click(2)), on.pick_seed(on.first_styles(), 3)[0]
    path = on.download_scene(cache, canvas, styles, 0.5)
    with open(path, "rb") as file:
        opened, restored, blend, names = on.open_file(file.read(), on.first_styles(), 1.0)
    assert (opened, blend) == (canvas, 0.5)
    assert "seed 3" in names
    before, after = (on.paint(canvas, pair, 0.5)[1] for pair in (styles, restored))
    np.testing.assert_array_equal(pixels(before), pixels(after))


def test_a_scene_of_another_canvas_size_is_resized(on, cache):
    path = on.download_scene(cache, on.first_canvas(), on.first_styles(), 1.0)
    values = json.loads(open(path).read())
    values |= {"size": [2, 2], "mask": "2 2 2 0 2 8"}
    label_map = on._read(on.open_file(json.dumps(values).encode(), on.first_styles(), 1.0)[0])
    assert (label_map[:256] == 0).all() and (label_map[256:] == 8).all()


def test_names_from_a_file_are_no_html(on, cache):
    styles = on.first_styles()
    values = {"name": "<img src=x onerror=alert(1)>", "latents": styles.last.latents[0].tolist()}
    scene = json.loads(open(on.download_scene(cache, on.first_canvas(), styles, 1.0)).read())
    opened = on.open_file(json.dumps({**scene, "styles": [values, values]}).encode(), styles, 1.0)
    assert "<img" not in opened[3]
    assert "<img" not in on.paint(*opened[:3])[3]


def test_a_broken_canvas_is_an_error_in_the_page(on):
    with pytest.raises(gr.Error, match="Please reload the page"):
        on.paint("nonsense", on.first_styles(), 1.0)
