"""A photograph on the Gradio page, in a real browser: it becomes the canvas, and its light the style."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from spade_hf.demo.handlers import ASSETS
from spade_hf.demo.painter import Painter
from spade_hf.demo.photos import photo_canvas
from spade_hf.demo.uploads import MAX_FILE_SIZE, PHOTO_SIDE, read_photo

from ..photographs import compared, phone_photo


pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from .test_browser import WIDTHS, visit  # noqa: E402


pytestmark = pytest.mark.pages


@pytest.mark.parametrize("width", WIDTHS)
def test_a_phones_photograph_becomes_canvas_and_style(browser, serve, photographer, width):
    painter = Painter(photographer)
    noise = np.random.default_rng(0).normal(0, 30, (4032, 3024, 1))  # so that the file is as large as a phone's
    tall = Image.open(ASSETS / "noon_style.jpg").convert("RGB").crop((0, 0, 192, 256))
    large = np.asarray(tall.resize((3024, 4032), Image.Resampling.BICUBIC)) + noise
    data = phone_photo(Image.fromarray(large.clip(0, 255).astype(np.uint8)))
    assert len(data) > MAX_FILE_SIZE
    with visit(browser, serve(photographer).local_url, width) as visitor:
        page, start = visitor.page, visitor.canvas()
        assert "or start from your photo" in page.locator("#header").inner_text() or width == "phone"
        picture = visitor.after(lambda: visitor.upload("#photo", "IMG_1.jpg", data, "image/jpeg"))
        with Image.open(io.BytesIO(data)) as stored:
            photo = ImageOps.exif_transpose(stored)
        photo.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
        expected = photo_canvas(photo, painter)
        assert (visitor.canvas() == expected.label_map).mean() > 0.95  # browsers reduce it otherwise
        assert visitor.marked("#styles") == ["your photo"] and visitor.marked("#masks") == []
        page.locator(".toast-body", has_text="Your photo is the canvas now, and its light is the style.").wait_for()
        assert picture.std() > 5

        page.locator("#compare-view").click()
        page.locator("#compare canvas.smooth").wait_for()
        upright = np.asarray(tall.crop((0, 32, 192, 224)).resize((512, 512), Image.Resampling.BICUBIC))
        assert np.abs(compared(visitor.page) - upright).mean() < 8  # a wrong turn or place: above 20
        found = visitor.canvas()
        visitor.after(lambda: page.get_by_role("button", name="Undo").click())
        np.testing.assert_array_equal(visitor.canvas(), start)
        assert np.abs(compared(visitor.page) - upright).mean() > 20  # the mask again
        visitor.after(lambda: page.get_by_role("button", name="Redo").click())
        np.testing.assert_array_equal(visitor.canvas(), found)
        visitor.reload(kept=True)
        np.testing.assert_array_equal(visitor.canvas(), found)
        page.locator("#compare-view").click()
        page.locator("#compare canvas.smooth").wait_for()
        assert np.abs(compared(visitor.page) - upright).mean() < 8


def test_an_opened_photograph_can_be_painted(browser, serve, photographer):
    with visit(browser, serve(photographer).local_url, "desktop") as visitor:
        question = visitor.page.locator("#ask")
        visitor.upload("#open", "photo.jpg", (ASSETS / "sunset_style.jpg").read_bytes())
        visitor.after(lambda: question.get_by_role("button", name="Paint it").click())
        question.wait_for(state="hidden")
        image = read_photo((ASSETS / "sunset_style.jpg").read_bytes())
        np.testing.assert_array_equal(visitor.canvas(), photo_canvas(image, Painter(photographer)).label_map)
        assert "your photo" in visitor.page.locator("#status").inner_text()
        visitor.upload("#photo", "notes.jpg", b"hello")
        visitor.page.locator(".toast-body", has_text="not a picture that can be read").wait_for()
        visitor.page.wait_for_function("!document.querySelector('#show').hasAttribute('aria-busy')")


def test_a_model_without_segmenter_has_the_page_as_it_was(browser, url):
    with visit(browser, url, "desktop") as visitor:
        assert visitor.page.locator("#photo").count() == 0
        assert visitor.page.locator("#own").inner_text() == "Your picture"
        question = visitor.page.locator("#ask")
        visitor.upload("#open", "photo.jpg", (ASSETS / "sunset_style.jpg").read_bytes())
        question.get_by_role("button", name="Use as style").wait_for()
        assert question.get_by_role("button", name="Paint it").count() == 0
