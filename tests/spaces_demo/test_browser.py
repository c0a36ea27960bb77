"""The page in a real browser (Debian's Chromium through Playwright), at desktop and phone width."""

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_hf import BUNDLED_MODEL, LabelSet, SPADEPipeline

from .conftest import png


sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

LABELS = LabelSet.from_name("landscapes")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """What a person does on the page, and everything the browser complained about meanwhile."""

    def __init__(self, page: sync_api.Page, url: str) -> None:
        self.page, self.complaints, self.strangers = page, [], []
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.note_stranger(request.url, url))
        page.goto(url)
        page.locator("#picture img").wait_for()

    def note_stranger(self, address: str, url: str) -> None:
        if not address.startswith((url, "data:", "blob:")):
            self.strangers.append(address)

    def choose(self, label: str) -> None:
        self.page.locator("#canvas .chip", has_text=label).click()

    def stroke(self, points: list[tuple[float, float]]) -> None:
        """A stroke of the mouse; places are shares of the canvas' width and height."""
        canvas = self.page.locator("#canvas canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=5)
        self.page.mouse.up()

    def canvas(self) -> np.ndarray:
        """The canvas' ids, from its pixels."""
        url = self.page.evaluate("document.querySelector('#canvas canvas').toDataURL()")
        data = base64.b64decode(url.split(",")[1])
        return LABELS.ids_from_colors(np.array(Image.open(io.BytesIO(data)).convert("RGB")))

    def source(self) -> str:
        return self.page.locator("#picture img").get_attribute("src")

    def picture(self) -> np.ndarray:
        return np.array(Image.open(io.BytesIO(self.page.request.get(self.source()).body())).convert("RGB")).astype(int)

    def after(self, action: Callable[[], object]) -> np.ndarray:
        """Do something and wait for the new picture."""
        before = self.source()
        action()
        self.page.wait_for_function(
            "old => document.querySelector('#picture img')?.getAttribute('src') !== old", arg=before
        )
        return self.picture()

    def upload(self, place: str, name: str, data: bytes) -> None:
        files = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        with self.page.expect_file_chooser() as chooser:
            self.page.locator(place).click()
        chooser.value.set_files(files)

    def download(self, what: str) -> Path:
        with self.page.expect_download() as download:
            self.page.locator("#save").get_by_role("button", name=what, exact=True).click()
        return Path(download.value.path())


@pytest.fixture(params=WIDTHS)
def visitor(request: pytest.FixtureRequest, browser: sync_api.Browser, url: str) -> Iterator[Visitor]:
    context = browser.new_context(viewport=WIDTHS[request.param], has_touch=request.param == "phone")
    visitor = Visitor(context.new_page(), url)
    yield visitor
    context.close()
    assert visitor.complaints == []
    assert visitor.strangers == []  # the page loads nothing from elsewhere


def test_paint_style_upload_and_download(visitor):
    # two labels, painted as two bars on the lake
    first, ids = visitor.picture(), visitor.canvas()
    visitor.choose("flower")
    visitor.after(lambda: visitor.stroke([(0.1, 0.9), (0.9, 0.9)]))
    visitor.choose("sand")
    second = visitor.after(lambda: visitor.stroke([(0.1, 0.75), (0.9, 0.75)]))
    painted = visitor.canvas()
    assert set(painted[painted != ids]) == {LABELS.id_of("flower"), LABELS.id_of("sand")}
    changed = np.abs(second - first).mean(axis=-1)  # (64, 64)
    assert changed[44:62, 8:56].mean() > 3 * changed[:32].mean()  # where it was painted, and hardly elsewhere

    # a style, and another
    dusk = visitor.after(lambda: visitor.page.locator("#styles button[title=dusk]").click())
    assert np.abs(dusk - second).mean() > 1
    assert "dusk" in visitor.page.locator("#status").inner_text()
    surprise = visitor.after(lambda: visitor.page.locator("#surprise").click())
    assert np.abs(surprise - dusk).mean() > 1

    # a mask of one's own
    mask = np.zeros((64, 64), np.uint8)
    mask[20:] = LABELS.id_of("sea")
    own = visitor.after(lambda: visitor.upload("#open", "mask.png", png(mask)))
    np.testing.assert_array_equal(visitor.canvas()[::8, ::8], mask)

    # what is downloaded is what is seen
    np.testing.assert_array_equal(np.array(Image.open(visitor.download("Picture"))), own)
    np.testing.assert_array_equal(np.array(Image.open(visitor.download("Mask ids"))), mask)

    # a scene that opens again
    scene = visitor.download("Scene").read_bytes()
    visitor.after(lambda: visitor.page.locator("#masks button[title=desert]").click())
    again = visitor.after(lambda: visitor.upload("#open", "scene.spade.json", scene))
    np.testing.assert_array_equal(again, own)


def test_tools(visitor):
    page = visitor.page
    page.locator("#live input").uncheck()
    start = visitor.canvas()
    visitor.choose("rock")
    visitor.stroke([(0.2, 0.2), (0.8, 0.2)])
    stroke = visitor.canvas()
    assert (stroke != start).any()
    page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(visitor.canvas(), start)
    page.get_by_role("button", name="Redo").click()
    np.testing.assert_array_equal(visitor.canvas(), stroke)
    page.get_by_role("button", name="Eraser").click()
    visitor.stroke([(0.1, 0.2), (0.9, 0.2)])
    np.testing.assert_array_equal(visitor.canvas(), start)

    page.get_by_role("button", name="Fill").click()
    visitor.choose("snow")
    visitor.stroke([(0.5, 0.05)])
    filled = visitor.canvas()
    assert (filled[start != 0] == start[start != 0]).all()  # the sky alone
    assert filled[5, 256] == LABELS.id_of("snow")
    page.get_by_role("button", name="Clear").click()
    assert (visitor.canvas() == 0).all()

    # without live mode the button paints
    before = visitor.source()
    page.wait_for_timeout(500)
    assert visitor.source() == before
    visitor.after(lambda: page.locator("#paint").click())


def test_blend_variants_and_compare(visitor):
    page = visitor.page
    slider = page.locator("#blend input[type=range]")
    slider.scroll_into_view_if_needed()
    visitor.after(lambda: slider.fill("0.5"))
    assert "50 %" in page.locator("#status").inner_text()
    page.locator("#four").click()
    variants = page.locator("#variants img")
    variants.nth(3).wait_for()
    variants.nth(1).click()
    page.locator("#picture img").wait_for()
    assert "seed" in page.locator("#status").inner_text()
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare img").first.wait_for()


def test_a_file_that_is_no_mask_gets_an_answer(visitor):
    visitor.upload("#open", "notes.png", b"hello")
    toast = visitor.page.locator(".toast-body")
    toast.wait_for()
    assert "no picture that can be read" in toast.inner_text()
    assert "sky" in visitor.page.locator("#canvas").inner_text()  # the page goes on


@pytest.mark.slow
def test_latency_of_the_bundled_model(browser, serve):
    """From the end of a stroke to the new picture in the browser; both run on the same cores here."""
    if not Path(BUNDLED_MODEL).exists():
        pytest.skip("the bundled model has not landed")
    page = browser.new_page(viewport=WIDTHS["desktop"])
    visitor = Visitor(page, serve(SPADEPipeline.from_pretrained(BUNDLED_MODEL)).local_url)
    times = latencies(visitor, 15)
    page.close()
    print(f"median {np.median(times):.0f} ms, of {sorted(map(round, times))}")
    assert np.median(times) < 500


def latencies(visitor: Visitor, strokes: int) -> list[float]:
    """Milliseconds from each stroke's end to the load of its picture, measured by the page's own clock."""
    visitor.page.evaluate("""() => {
        window.ended = 0; window.times = [];
        const canvas = document.querySelector('#canvas canvas');
        canvas.addEventListener('pointerup', () => { window.ended = performance.now(); });
        document.addEventListener('load', (event) => {
            if (event.target.closest?.('#picture')) window.times.push(performance.now() - window.ended);
        }, true);
    }""")
    for number in range(strokes):
        visitor.choose(["tree", "rock", "sand"][number % 3])
        height = 0.3 + 0.4 * number / strokes
        visitor.after(lambda height=height: visitor.stroke([(0.2, height), (0.8, height)]))
        visitor.page.wait_for_timeout(200)
    return visitor.page.evaluate("window.times")
