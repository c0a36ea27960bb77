"""A photograph on the static page, in a real browser: it becomes the canvas, and its light the style."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf.demo.handlers import ASSETS
from spade_hf.demo.mask_canvas import read_canvas
from spade_hf.demo.painter import Painter, Style
from spade_hf.demo.photos import photo_canvas
from spade_hf.demo.uploads import read_photo

from ..photographs import compared, phone_photo
from .conftest import parts_of
from .visitor import WIDTHS, Visitor, wait_for


pytestmark = pytest.mark.pages

STYLE = """() => {
  const [, kept] = Object.entries(localStorage).find(([key]) => key.endsWith("styles"));
  return JSON.parse(kept).styles[1].latents;
}"""


def drop(visitor: Visitor, file) -> np.ndarray:
    """Give the page a photograph; the picture that follows."""
    return visitor.after(lambda: visitor.page.set_input_files("#photo-file", file))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_photograph_becomes_canvas_and_style(browser, photographer, sites, photos_url, width, tmp_path):
    context = browser.new_context(viewport=WIDTHS[width])
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    visitor = Visitor(context.new_page(), photos_url)
    page, painter = visitor.page, Painter(photographer)
    assert not any("segmenter.onnx" in address for address in asked)  # nothing before it is needed
    assert page.locator("#own").inner_text() == "Photo's light"
    visitor.after(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
    start = visitor.mask()
    photo = tmp_path / "IMG_1.jpg"
    tall = Image.open(ASSETS / "noon_style.jpg").convert("RGB").crop((0, 0, 192, 256))
    photo.write_bytes(phone_photo(tall))

    picture = drop(visitor, photo)
    assert sum("segmenter.onnx" in address for address in asked) == 1
    expected = photo_canvas(read_photo(photo.read_bytes()), painter)
    found = read_canvas(visitor.mask(), painter.label_set, painter.formats)
    assert (found == expected.label_map).mean() > 0.95 and len(np.unique(found)) > 1
    assert page.locator("#last").inner_text() == "IMG_1.jpg"
    assert page.locator("#styles button[aria-pressed=true]").all_inner_texts() == ["yours"]
    latents = torch.tensor(page.evaluate(STYLE))
    expected_latents = painter.style_of_image(read_photo(photo.read_bytes()), "").latents[0]
    assert torch.cosine_similarity(latents, expected_latents, dim=0) > 0.98  # browsers reduce it otherwise
    (painted,) = painter.paint(found, [Style("IMG_1.jpg", latents[None])])
    assert np.abs(picture - np.asarray(painted.image, dtype=int)).max() <= 2
    assert visitor.message().startswith("Your photo is the canvas now, and its light is the style. Its edges were cut")

    page.locator("#compare-view").click()
    mask = read_canvas(visitor.mask(), painter.label_set, painter.formats)
    upright = np.asarray(tall.crop((0, 32, 192, 224)).resize((512, 512), Image.Resampling.BICUBIC))
    assert np.abs(compared(visitor.page) - upright).mean() < 6  # a wrong turn or place: above 20
    page.locator("#canvas [data-action=undo]").click()
    assert np.abs(compared(visitor.page) - upright).mean() > 20 and visitor.mask() == start
    page.locator("#canvas [data-action=redo]").click()
    wait_for(page, "document.querySelector('#canvas .photo').complete")
    assert np.abs(compared(visitor.page) - upright).mean() < 6
    np.testing.assert_array_equal(read_canvas(visitor.mask(), painter.label_set, painter.formats), mask)

    visitor.after(lambda: page.locator("#canvas .format select").select_option("3:2"))
    assert np.abs(compared(visitor.page)[:, 128:640] - upright).mean() < 6  # around the same center
    visitor.after(lambda: page.locator("#masks button").nth(1).click())
    assert np.abs(compared(visitor.page)[:, 128:640] - upright).mean() > 20
    assert not visitor.complaints
    context.close()


def test_the_segmenter_works_offline_after_its_first_use(browser, photos_url):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = Visitor(context.new_page(), photos_url)
    page = visitor.page
    wait_for(page, "document.querySelector('#offline').textContent")
    drop(visitor, ASSETS / "noon_style.jpg")
    mask = visitor.mask()
    names = page.evaluate("caches.keys()")
    assert len(names) == 1  # the service worker's own
    page.locator("#compare-view").click()
    photo = compared(visitor.page)
    context.set_offline(True)
    page.reload()
    visitor.wait_for_pictures(1)
    assert visitor.mask() == mask
    page.locator("#compare-view").click()
    wait_for(page, "document.querySelector('#compare canvas').classList.contains('smooth')")
    np.testing.assert_array_equal(compared(visitor.page), photo)  # a reload loses nothing
    drop(visitor, ASSETS / "sunset_style.jpg")
    assert visitor.mask() != mask and page.locator("#last").inner_text() == "sunset_style.jpg"
    context.close()


def test_a_segmenter_that_does_not_arrive_leaves_canvas_and_style(browser, photos_url):
    context = browser.new_context(viewport=WIDTHS["desktop"], service_workers="block")
    visitor = Visitor(context.new_page(), photos_url)
    page = visitor.page
    visitor.after(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
    mask, line = visitor.mask(), page.locator("#status").inner_text()
    context.route("**/segmenter.onnx", lambda route: route.fulfill(status=404, body=""))
    page.set_input_files("#photo-file", ASSETS / "noon_style.jpg")
    assert "The server answered 404 for segmenter.onnx" in visitor.message()
    assert visitor.mask() == mask and page.locator("#last").inner_text() == "noon"
    assert page.locator("#status").inner_text() == line and page.locator("#show[aria-busy]").count() == 0
    context.unroute("**/segmenter.onnx")
    drop(visitor, ASSETS / "noon_style.jpg")
    assert visitor.mask() != mask and page.locator("#last").inner_text() == "noon_style.jpg"
    context.close()


def test_pictures_that_are_no_photograph_are_explained(browser, photos_url, tmp_path):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = Visitor(context.new_page(), photos_url)
    (tmp_path / "text.jpg").write_text("no picture")
    Image.new("RGBA", (64, 64), (200, 90, 40, 0)).save(tmp_path / "clear.png")
    for name, words in (("text.jpg", "text.jpg is not a picture"), ("clear.png", "clear.png has transparent pixels")):
        visitor.page.set_input_files("#photo-file", tmp_path / name)
        visitor.page.locator("#message", has_text=words).wait_for()
    visitor.page.set_input_files("#open-file", ASSETS / "noon_style.jpg")
    visitor.page.locator("#message", has_text="To paint a photo, choose “Your photo”.").wait_for()
    assert visitor.page.locator("#show[aria-busy]").count() == 0 and not visitor.complaints
    context.close()


def test_a_model_without_segmenter_has_the_page_as_it_was(browser, site, url):
    assert json.loads((parts_of(site) / "config.json").read_text())["segmenter"] is None
    context = browser.new_context(viewport=WIDTHS["desktop"])
    page = Visitor(context.new_page(), url).page
    assert page.locator("#photo").is_hidden() and page.locator("#own").inner_text() == "Your picture"
    context.close()
