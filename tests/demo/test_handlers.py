"""What each event of the page does, without a browser."""

import json
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.demo.handlers import ASSETS, FIRST_STRENGTH, MASKS, STYLES, VARIANTS, Handlers
from spade_hf.demo.painter import Painter

from ..tiny_networks import tiny_generator, tiny_style_encoder
from .conftest import png


@pytest.fixture(scope="module")
def on(painter: Painter) -> Handlers:
    return Handlers(painter)


def click(index: int, value: object = None) -> SimpleNamespace:
    return SimpleNamespace(index=index, value=value)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.array(picture)


def test_painting_shows_picture_and_time(on):
    picture, facts, thumbnail = on.paint(on.first_canvas(), on.first_styles(), 1.0)
    assert picture.size == (64, 64)
    assert " ms</b>" in facts and "style: noon" in facts
    assert thumbnail == {}  # an example has its own
    same, line = on.first_image(on.first_canvas(), on.first_styles())
    assert " ms" not in line and (pixels(same) == pixels(picture)).all()


def test_live_mode_off_paints_nothing(on):
    assert on.paint_live(False, on.first_canvas(), on.first_styles(), 1.0) == gr.skip()


def test_the_style_stays_while_the_mask_changes(on):
    styles = on.pick_thumbnail(on.first_styles(), click(3))[0]
    shown = [on.paint(on.example_mask(i), styles, 1.0) for i in range(2)]
    assert all(facts.endswith("style: dusk") for _, facts, _ in shown)
    assert (pixels(shown[0][0]) != pixels(shown[1][0])).any()


@pytest.mark.parametrize("index", range(len(MASKS)))
def test_every_example_mask(on, index):
    canvas = on.pick_example_mask(on.first_canvas(), click(index))
    assert len(np.unique(on._read(canvas))) >= 5
    assert on.name_of_mask(canvas) == MASKS[index]


@pytest.mark.parametrize("index", range(len(STYLES)))
def test_every_example_style(on, index):
    styles, blend, names, seed, thumbnails = on.pick_thumbnail(on.first_styles(), click(index))
    assert (styles[1]["name"], blend) == (STYLES[index], 1.0)
    assert seed == gr.skip() and thumbnails == {"chosen": STYLES[index]}
    assert "noon" in names and STYLES[index] in names  # the one before, and this


def test_the_blend_changes_the_picture_by_degrees(on):
    styles = on.first_styles()
    pictures = [pixels(on.paint(on.first_canvas(), styles, blend)[0]).astype(int) for blend in (0, 0.5, 1)]
    near, far = np.abs(pictures[2] - pictures[1]).mean(), np.abs(pictures[2] - pictures[0]).mean()
    assert 0 < near < far


@pytest.mark.parametrize(("blend", "marked"), [(0, "sunset"), (0.5, ""), (1, "noon")])
def test_the_style_in_the_picture_is_marked_and_a_blend_is_none(on, blend, marked):
    assert on.show_blend(on.first_styles(), blend) == {"chosen": marked}


@pytest.mark.parametrize("vividness", [1.0, 0.5])
def test_four_variants_and_going_on_with_one(on, vividness):
    canvas, styles = on.first_canvas(), on.first_styles()
    variants, shown = on.paint_variants(canvas, vividness)
    assert len(variants["seeds"]) == len(shown) == VARIANTS
    assert len({picture.tobytes() for picture in shown}) == VARIANTS
    styles, blend, names, seed, _ = on.pick_variant(styles, variants, click(2))
    assert styles[1]["name"].startswith(f"seed {variants['seeds'][2]}") and seed == variants["seeds"][2]
    again = pixels(on.paint(canvas, styles, blend)[0]).astype(int)
    assert np.abs(again - pixels(shown[2])).max() <= 1  # a batch of four rounds unlike a batch of one


def test_a_closed_view_of_four_paints_nothing(on):
    assert on.paint_variants(None, 1.0) == gr.skip()


@pytest.mark.parametrize("variants", [None, {}, {"seeds": [1]}])
def test_four_styles_that_are_gone_are_a_message(on, variants):
    with pytest.raises(gr.Error, match="These four styles are gone"):
        on.pick_variant(on.first_styles(), variants, click(1))


def test_what_the_browser_kept_is_painted_again(on):
    start, mask = on.first_canvas(), on.example_mask(1)
    styles = on.pick_seed(on.first_styles(), 3, 1.0)[0]
    kept = {"mask": mask, "start": start, "styles": styles, "blend": 0.5}
    restored, blend, names, seed, thumbnails, marked, picture, _, *outlines = on.restore(kept)
    assert (restored, blend, seed, marked) == (styles, 0.5, 3, {"chosen": "lake"})
    assert thumbnails == {"chosen": "", "own": styles[1]} and outlines == [FIRST_STRENGTH, 0]
    np.testing.assert_array_equal(pixels(picture), pixels(on.paint(mask, styles, 0.5)[0]))
    assert on.restore({**kept, "blend": 1})[4].keys() == {"chosen", "own", "painted"}
    assert on.restore({"mask": mask})[4] == {"chosen": "noon"}  # a stroke, and gone before it was painted


@pytest.mark.parametrize(
    "kept",
    [None, {}, {"mask": "1 1 1 0"}, {"mask": 5}, {"start": 5}, {"styles": [{}, {}]}, {"styles": 5}, {"styles": []},
     {"blend": "x"}, {"styles": [{"name": "a", "latents": [0.0]}] * 2},
     {"styles": [{"name": "a", "latents": [1e999] * 8}] * 2}, {"strength": float("nan")}, {"strength": 2},
     {"outline_seed": -1}],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_restored_is_the_page_as_it_is(on, kept):
    assert list(on.restore(kept)) == [gr.skip()] * 10


def test_seeds(on):
    styles = on.pick_seed(on.first_styles(), 7, 1.0)[0]
    assert styles[1]["name"] == "seed 7"
    for seed in (-1, 1.5, None, float("inf"), float("nan"), 2**40):
        with pytest.raises(gr.Error, match="The seed is"):
            on.pick_seed(styles, seed, 1.0)


def test_own_picture(on):
    styles, *_, thumbnails = on.pick_own_image(on.first_styles(), png(Image.new("RGB", (80, 40), "orange")))
    assert styles[1]["name"] == thumbnails["chosen"] == "your picture"
    own = thumbnails["own"]
    assert own["latents"] == styles[1]["latents"] and own["image"].startswith("data:image/jpeg;base64,")
    with pytest.raises(gr.Error, match="not a picture that can be read"):
        on.pick_own_image(styles, b"hello")


def test_the_own_style_can_be_picked_again(on):
    own = on.pick_seed(on.first_styles(), 7, 1.0)[0][1]
    styles = on.first_styles()
    for index in (1, 2):
        styles = on.pick_thumbnail(styles, click(index))[0]
    styles, _, _, seed, thumbnails = on.pick_thumbnail(styles, click(len(STYLES), own))
    assert (styles[1], seed, thumbnails) == (own, 7, {"chosen": "seed 7", "own": own})
    painted = on.paint(on.first_canvas(), styles, 1.0)[2]["painted"]
    assert painted["name"] == "seed 7" and painted["image"].startswith("data:image/jpeg;base64,")
    assert on.paint(on.first_canvas(), styles, 0.5)[2] == {}
    with pytest.raises(gr.Error, match="another model's"):
        on.pick_thumbnail(styles, click(len(STYLES), {"name": "a", "latents": [0.0]}))


def test_opening_a_mask_tells_what_was_changed(on, monkeypatch):
    told = []
    monkeypatch.setattr(gr, "Info", lambda message, **_: told.append(message))
    mask = np.full((512, 512, 3), on.label_set.palette[3])
    mask[:128] = (1, 2, 3)
    canvas, *picked, marked, question, _ = on.open_file(png(mask.astype(np.uint8)))
    assert (on._read(canvas)[128:] == 3).all()
    assert told == ["The mask was changed to fit: 25 % of the pixels had no label's color and took the nearest one."]
    assert marked == {"chosen": ""} and question["visible"] is False
    assert picked == [gr.skip()] * 5  # the style stays


def test_a_photograph_is_opened_as_a_mask_only_if_meant(on, monkeypatch):
    monkeypatch.setattr(gr, "Info", lambda message, **_: None)
    photo = (ASSETS / "noon_style.jpg").read_bytes()
    canvas, *_, question, text = on.open_file(photo)
    assert canvas == gr.skip() and question["visible"] is True
    assert "Is this a photograph? 98 % of its pixels have no label's color" in text
    canvas, *_, question, text = on.open_file(photo, is_mask=True)
    assert on._read(canvas).shape == (512, 512) and question["visible"] is False


def test_a_wide_canvas_stays_wide(on, cache):
    wide = on._write(np.zeros((512, 768), np.int64))
    canvas = on.pick_example_mask(wide, click(1))
    assert on._read(canvas).shape == (512, 768) and on.name_of_mask(canvas) == MASKS[1]
    picture, facts, _ = on.paint(canvas, on.first_styles(), 1.0)
    assert picture.size == (96, 64) and "96 x 64 pixels" in facts
    with open(on.download("Scene", cache, canvas, on.first_styles(), 1.0), "rb") as file:
        assert on.open_file(file.read())[0] == canvas


def test_a_saved_scene_opens_again(on, cache):
    canvas, styles = on.example_mask(2), on.pick_seed(on.first_styles(), 3, 1.0)[0]
    path = on.download("Scene", cache, canvas, styles, 0.5)
    with open(path, "rb") as file:
        opened, restored, blend, names, seed, thumbnails, *_ = on.open_file(file.read())
    assert (opened, blend, seed) == (canvas, 0.5, 3)
    assert thumbnails == {"chosen": "", "own": styles[1]}
    assert "seed 3" in names
    before, after = (on.paint(canvas, pair, 0.5)[0] for pair in (styles, restored))
    np.testing.assert_array_equal(pixels(before), pixels(after))


def test_a_scene_of_another_canvas_size_is_resized(on, cache):
    path = on.download("Scene", cache, on.first_canvas(), on.first_styles(), 1.0)
    values = json.loads(open(path).read())
    values |= {"size": [2, 2], "mask": "2 2 2 0 2 8"}
    label_map = on._read(on.open_file(json.dumps(values).encode())[0])
    assert (label_map[:256] == 0).all() and (label_map[256:] == 8).all()


@pytest.mark.parametrize(("side", "fits"), [(1254, True), (1255, False)])
def test_a_scene_is_at_most_four_canvases(on, cache, side, fits):
    scene = json.loads(open(on.download("Scene", cache, on.first_canvas(), on.first_styles(), 1.0)).read())
    scene |= {"size": [side, side], "mask": f"{side} {side} {side * side} 0"}
    data = json.dumps(scene).encode()
    if fits:
        assert (on._read(on.open_file(data)[0]) == 0).all()
    else:
        with pytest.raises(gr.Error, match="1255x1255 pixels, allowed are 1 to 1572864"):
            on.open_file(data)


def test_names_from_a_file_are_no_html(on, cache):
    styles = on.first_styles()
    values = {"name": "<img src=x onerror=alert(1)>", "latents": styles[1]["latents"]}
    scene = json.loads(open(on.download("Scene", cache, on.first_canvas(), styles, 1.0)).read())
    opened = on.open_file(json.dumps({**scene, "styles": [values, values]}).encode())
    assert "<img" not in opened[3]
    assert "<img" not in on.paint(*opened[:3])[1]


def test_a_broken_canvas_is_an_error_in_the_page(on):
    with pytest.raises(gr.Error, match="Please reload the page"):
        on.paint("nonsense", on.first_styles(), 1.0)


def test_a_models_label_names_cannot_be_html():
    name = "<img src=x onerror=alert(1)>"
    palette = [[0, 0, 0], [255, 0, 0]]
    processor = SPADEImageProcessor(label_set={"id2label": {"0": name, "1": "b"}, "palette": palette})
    on = Handlers(Painter(SPADEPipeline(tiny_generator(num_labels=2), processor, tiny_style_encoder())))
    assert "&lt;img" in on.invitation() and "<img" not in on.invitation()


@pytest.mark.parametrize(
    ("name", "invitation", "label"),
    [
        ("cityscapes", "Draw where sky, building, vegetation and road are.", "building"),
        ("ade20k", "Draw where sky, building, tree and road are.", "building"),
    ],
)
def test_another_model_starts_with_its_own_labels_and_words(name, invitation, label):
    label_set = LabelSet.from_name(name)
    generator = tiny_generator(num_labels=label_set.num_labels, use_unknown_label=label_set.use_unknown_label)
    pipeline = SPADEPipeline(generator, SPADEImageProcessor(label_set=label_set), tiny_style_encoder())
    on = Handlers(Painter(pipeline))
    assert on.invitation() == f"{invitation} The model paints the picture."
    assert on.first_label() == label
    ids = np.unique(on._read(on.first_canvas())).tolist()
    assert len(ids) == 4 and label_set.unknown_id not in ids
    assert [style["name"] for style in on.first_styles()] == ["seed 1", "seed 0"]  # no landscapes
    assert not on.has_example_styles
