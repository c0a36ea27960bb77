"""The static page in a real browser: a tiny model that onnxruntime-web runs."""

import shutil

import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.demo.handlers import ASSETS
from spade_hf.demo.mask_canvas import read_canvas
from spade_hf.demo.painter import Painter
from spade_hf.export.models import exported_copy

from ..tiny_networks import tiny_generator, tiny_style_encoder
from .visitor import WIDTHS, Visitor, served, wait_for


pytestmark = pytest.mark.pages


@pytest.mark.parametrize("width", WIDTHS)
def test_a_visit(browser, pipeline, site, url, width, tmp_path):
    context = browser.new_context(viewport=WIDTHS[width])
    visitor = Visitor(context.new_page(), url)
    page = visitor.page
    examples = page.locator("#masks button[aria-pressed=true]")
    assert examples.all_inner_texts() == ["lake"]
    assert page.locator("#outlines").is_hidden()  # the model has no outline model

    lake, noon = ASSETS / "lake_mask.png", ASSETS / "noon_style.jpg"
    latents = pipeline.encode_style(str(noon))
    label_map = np.asarray(Image.open(lake).resize((64, 64), Image.Resampling.NEAREST))
    first = np.asarray(pipeline(label_map, latents=latents).images[0], dtype=int)
    assert first.std() > 10 and np.abs(visitor.picture() - first).max() <= 2

    painted = visitor.after(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
    assert np.abs(painted - first).max() > 10
    visitor.after(lambda: visitor.stroke("rock", (0.3, 0.7), (0.7, 0.7)))
    mask = visitor.mask()
    painter = Painter(pipeline)
    label_map = read_canvas(mask, painter.label_set, painter.formats)
    with page.expect_download() as download:
        page.locator("#save-mask").click()
    download.value.save_as(tmp_path / "mask.png")
    saved = painter.label_set.colorize(painter.at_image_size(label_map))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png").convert("RGB")), saved)
    with page.expect_download() as download:
        page.locator("#save-twice").click()
    download.value.save_as(tmp_path / "twice.png")
    twice = Image.open(tmp_path / "twice.png").convert("RGB")
    assert twice.size == (128, 128)
    assert np.corrcoef(np.asarray(twice.reduce(2)).ravel(), visitor.picture().ravel())[0, 1] > 0.95
    sunset = visitor.after(lambda: page.locator("#styles button[data-name=sunset]").click())
    assert page.locator("#status").inner_text().endswith("64 x 64 pixels · style: sunset")
    with page.expect_download() as download:
        page.locator("#save-scene").click()
    download.value.save_as(tmp_path / "scene.json")

    Image.new("RGB", (300, 200), (200, 90, 40)).save(tmp_path / "mine.png")
    own = visitor.after(lambda: page.set_input_files("#own-file", tmp_path / "mine.png"))
    assert np.abs(own - sunset).max() > 10 and page.locator("#last").inner_text() == "mine.png"
    (expected,) = painter.paint(label_map, [painter.style_of_image(Image.open(tmp_path / "mine.png"), "mine.png")])
    assert np.abs(own - np.asarray(expected.image, dtype=int)).max() <= 2
    chosen = page.locator("#styles button[aria-pressed=true]")
    assert chosen.all_inner_texts() == ["yours"] and chosen.get_attribute("title") == "mine.png"
    mine = chosen.locator("img").get_attribute("src")
    visitor.after(lambda: page.locator("#styles button[data-name=dusk]").click())
    visitor.after(lambda: page.locator("#styles button[data-name=noon]").click())
    again = visitor.after(lambda: page.locator("#styles button").nth(6).click())
    assert np.abs(again - own).max() <= 2 and chosen.locator("img").get_attribute("src") == mine
    seeded = visitor.after(lambda: (page.fill("#seed", "7"), page.press("#seed", "Enter")))
    assert chosen.all_inner_texts() == ["random"]
    assert chosen.locator("img").get_attribute("src").startswith("data:image/jpeg;base64,")
    (expected,) = painter.paint(label_map, [painter.style_of_seed(7)])
    assert np.abs(seeded - np.asarray(expected.image, dtype=int)).max() <= 2

    visitor.after(lambda: page.locator("#masks button").nth(1).click())
    assert visitor.mask() != mask
    reopened = visitor.after(lambda: page.set_input_files("#open-file", tmp_path / "scene.json"))
    assert visitor.mask() == mask and np.abs(reopened - sunset).max() <= 2

    blended = visitor.after(lambda: page.locator("#blend").fill("0.25"))
    assert np.abs(blended - sunset).max() > 10 and chosen.count() == 0
    page.evaluate("navigator.serviceWorker.ready")
    wait_for(page, "document.querySelector('#offline').textContent")
    page.reload()
    visitor.wait_for_pictures(1)
    assert visitor.mask() == mask and np.abs(visitor.picture() - blended).max() <= 2
    assert examples.count() == 0  # it started from the scene
    context.set_offline(True)
    page.reload()
    visitor.wait_for_pictures(1)
    visitor.after(lambda: visitor.stroke("snow", (0.1, 0.5), (0.9, 0.5)))

    frame = visitor.frame()
    page.locator("#four").click()
    wait_for(page, "document.querySelectorAll('#variants canvas').length === 4")
    visitor.after(lambda: page.locator("#variants button").nth(2).click())
    assert page.locator("#variants").is_hidden()
    assert chosen.get_attribute("title") == f"seed {page.locator('#seed').input_value()}"
    page.locator("#compare-view").click()
    assert page.locator("#compare canvas").is_visible() and visitor.frame() == frame
    page.locator("#compare-view").click()
    visitor.after(lambda: page.locator("#canvas .format select").select_option("3:2"))
    assert visitor.picture().shape == (64, 96, 3)
    visitor.after(lambda: page.locator("#vividness").fill("0.5"))
    assert "vivid 50 %" in page.locator("#last").inner_text()
    assert not visitor.complaints
    context.close()


def test_the_canvas_grows_with_the_window(browser, url):
    context = browser.new_context(viewport={"width": 1920, "height": 1080}, service_workers="block")
    page = Visitor(context.new_page(), url).page
    for place in ("#canvas .stage", "#show"):
        assert page.locator(place).bounding_box()["width"] == pytest.approx(746, abs=2)
    below = page.locator(".sliders").bounding_box()
    assert below["y"] + below["height"] <= 1080  # all that one paints with is in sight
    context.close()


@pytest.mark.parametrize("count", [1, 5])
def test_gray_is_shown_as_gray_and_of_more_channels_the_first_three(browser, build, parts, count, tmp_path):
    (tmp_path / "runtime").mkdir()
    for name, on_page in build.RUNTIME_FILES.items():
        shutil.copy(parts / "runtime" / on_page, tmp_path / "runtime" / name)
    generator = exported_copy(tiny_generator(num_labels=12, image_channels=count), "int8")
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"), image_channels=count)
    pipeline = SPADEPipeline(generator, processor, tiny_style_encoder(image_channels=count))
    build.build(pipeline, tmp_path / "site", tmp_path / "runtime")
    painter = Painter(pipeline)
    with served(tmp_path / "site") as url:
        context = browser.new_context(viewport=WIDTHS["desktop"])
        visitor = Visitor(context.new_page(), url)
        assert visitor.page.locator("#own").is_hidden()  # styles of pictures are for RGB
        visitor.after(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
        shown = visitor.after(lambda: (visitor.page.fill("#seed", "7"), visitor.page.press("#seed", "Enter")))
        label_map = read_canvas(visitor.mask(), painter.label_set, painter.formats)
        (expected,) = painter.paint(label_map, [painter.style_of_seed(7)])
        pixels = np.asarray(expected.image.convert("RGB"), dtype=int)
        assert pixels.std() > 5 and np.abs(shown - pixels).max() <= 2
        assert (shown == shown[..., :1]).all() == (count == 1)
        context.close()
    assert visitor.complaints == []
