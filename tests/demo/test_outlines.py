"""Natural outlines on the page, without a browser."""

import json

import gradio as gr
import numpy as np
import pytest
import torch

from spade_hf.demo.handlers import FIRST_STRENGTH, Handlers
from spade_hf.demo.painter import LAYOUT_STEPS, Outlines, Painter

from ..tiny_networks import tiny_outlines
from .conftest import png, tiny_pipeline


@pytest.fixture(scope="module")
def on(outlined) -> Handlers:
    return Handlers(Painter(outlined))


@pytest.fixture(scope="module")
def scene(on) -> tuple:
    return on.first_canvas(), on.first_styles(), 1.0


def with_hole(on: Handlers, canvas: str) -> str:
    label_map = on._read(canvas)
    label_map[128:256, 128:256] = 255
    return on._write(label_map)


def test_an_image_is_what_the_pipeline_paints_of_its_natural_map(on, scene, outlined):
    canvas, styles, blend = scene
    image = on.paint(*scene, 0.5, 3)[0]
    label_map = on.painter.at_image_size(on._read(canvas))
    (natural,) = outlined.refine_mask(label_map, 0.5, generator=torch.Generator().manual_seed(3))
    latents = torch.tensor([styles[1]["latents"]])
    np.testing.assert_array_equal(image, outlined(natural, latents=latents).images[0])
    assert (np.array(image) != np.array(on.paint(*scene, 0.5, 4)[0])).any()  # other outlines


def test_a_strength_of_0_paints_the_canvas_as_it_is(on, scene, outlined, monkeypatch):
    as_painted = Handlers(Painter(tiny_pipeline())).paint(*scene)[0]
    monkeypatch.setattr(outlined.outline_model, "forward", None)  # it is not called
    np.testing.assert_array_equal(on.paint(*scene, 0.0, 3)[0], as_painted)


def test_a_stroke_is_painted_as_it_is_and_then_with_outlines(on, scene):
    as_painted, natural = on.paint_live(True, *scene, 0.5, 3)[0], on.paint_natural(True, *scene, 0.5, 3)[0]
    np.testing.assert_array_equal(as_painted, on.paint(*scene, 0.0, 3)[0])
    np.testing.assert_array_equal(natural, on.paint(*scene, 0.5, 3)[0])
    canvas, *style = scene
    assert on.paint_natural(True, None, *style, 0.5, 3) == gr.skip()  # the pen is at work
    assert on.paint_natural(False, *scene, 0.5, 3) == gr.skip()
    assert on.paint_natural(True, *scene, 0, 3) == gr.skip()  # the image is this one


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_what_is_not_painted_is_filled_at_any_strength(on, scene, strength):
    canvas, *style = scene
    holed = with_hole(on, canvas)
    images = [np.array(on.paint(holed, *style, strength, seed)[0]) for seed in (0, 1)]
    assert (images[0] != images[1]).any()
    assert on.painter.refine(on._read(holed), Outlines(strength, 0)).max() < 12


def test_the_natural_map_is_taken_over_pixel_by_pixel(on, scene):
    canvas, *style = scene
    holed = with_hole(on, canvas)
    taken, strength = on.take_over(holed, 0.5, 3)
    assert taken != holed and on._read(taken).max() < 12 and strength == 0
    np.testing.assert_array_equal(on.paint(taken, *style, strength, 3)[0], on.paint(holed, *style, 0.5, 3)[0])


@pytest.mark.parametrize("width", [512, 768])
def test_a_new_layout_each_time_in_the_canvas_format(on, outlined, monkeypatch, width):
    calls, forward = [], outlined.outline_model.forward
    monkeypatch.setattr(outlined.outline_model, "forward", lambda *args: calls.append(1) or forward(*args))
    canvas = on._write(np.zeros((512, width), np.int64))
    layouts = [on.new_layout(canvas) for _ in range(2)]
    maps = [on._read(layout) for layout, _ in layouts]
    assert [one.shape for one in maps] == [(512, width)] * 2 and max(one.max() for one in maps) < 12
    assert layouts[0] != layouts[1] and layouts[0][1] == {"chosen": ""}
    assert len(calls) == 2 * LAYOUT_STEPS


def test_files_keep_what_is_painted_and_what_is_not(on, scene, cache):
    canvas, *style = scene
    holed = with_hole(on, canvas)
    saved = on.painter.at_image_size(on._read(holed))
    for what in ("Scene", "Mask", "Gray mask"):
        with open(on.download(what, cache, holed, *style), "rb") as file:
            opened = on._read(on.open_file(file.read())[0])
        np.testing.assert_array_equal(on.painter.at_image_size(opened), saved, what)
    transparent = np.zeros((64, 64, 4), np.uint8)
    assert (on._read(on.open_file(png(transparent))[0]) == 255).all()


def test_a_scene_with_something_not_painted_is_refused_by_a_model_without_outlines(on, scene, cache):
    canvas, *style = scene
    with open(on.download("Scene", cache, with_hole(on, canvas), *style), "rb") as file:
        data = file.read()
    assert json.loads(data)["labels"][12] == "unknown"
    with pytest.raises(gr.Error, match="labels that this model does not know: unknown"):
        Handlers(Painter(tiny_pipeline())).open_file(data)


def test_what_the_browser_kept_has_its_outlines_again(on, scene):
    canvas, styles, blend = scene
    kept = {"mask": canvas, "start": canvas, "styles": styles, "blend": blend, "strength": 0.8, "outline_seed": 5}
    *_, image, _, strength, seed = on.restore(kept)
    assert (strength, seed) == (0.8, 5)
    np.testing.assert_array_equal(image, on.paint(*scene, 0.8, 5)[0])
    np.testing.assert_array_equal(on.first_image(canvas, styles)[0], on.paint(*scene, FIRST_STRENGTH, 0)[0])


def test_four_styles_share_their_outlines(on, scene):
    canvas, styles, _ = scene
    variants, images = on.paint_variants(canvas, 1.0, 0.5, 3)
    styles, blend, *_ = on.pick_seed(styles, variants["seeds"][1], 1.0)
    again = np.array(on.paint(canvas, styles, blend, 0.5, 3)[0]).astype(int)
    assert np.abs(again - np.array(images[1])).max() <= 1  # a batch of four rounds unlike a batch of one


def test_a_label_with_the_id_of_not_painted_leaves_no_id_for_it():
    """Such a model has the page of one without outlines."""
    pipeline = tiny_pipeline()
    labels = pipeline.image_processor.label_set.to_dict()
    labels["labels"][-1]["id"] = 255
    pipeline.image_processor.__init__(label_set=labels)
    pipeline.register_modules(outline_model=tiny_outlines(num_labels=12))
    painter = Painter(pipeline)
    assert not painter.has_outlines and painter.canvas_labels is painter.label_set
