"""The page in a real browser (Debian's Chromium through Playwright), at desktop and phone width."""

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_hf import BUNDLED_MODEL, LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.demo.formats import formats_of
from spade_hf.demo.handlers import ASSETS, FIRST_STRENGTH, Handlers
from spade_hf.demo.keeping import canvas_key, style_key
from spade_hf.demo.painter import Painter
from spade_hf.demo.uploads import MAX_FILE_SIZE, read_mask

from ..tiny_networks import tiny_generator, tiny_style_encoder
from ..waiting import LONGEST
from .conftest import png


sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.pages

LABELS = LabelSet.from_name("landscapes")
WIDTHS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


# every picture that is shown
SEEN = """window.seen = new Set();
const look = () => {
    const picture = document.querySelector("#picture img");
    if (picture && getComputedStyle(picture).visibility === "visible") seen.add(picture.getAttribute("src"));
    requestAnimationFrame(look);
};
look();"""


class Visitor:
    """What a person does on the page, and everything the browser complained about meanwhile."""

    def __init__(self, page: sync_api.Page, url: str) -> None:
        page.set_default_timeout(1000 * LONGEST)
        self.page, self.complaints, self.strangers, self.warned = page, [], [], 0
        self.calls: set[sync_api.Request] = set()  # of the server that are not answered
        page.on("dialog", self.leave)
        page.on("console", self.note_complaint)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.note_stranger(request.url, url))
        page.on("request", lambda request: "/queue/" in request.url and self.calls.add(request))
        for end in ("requestfinished", "requestfailed"):
            page.on(end, lambda request: self.calls.discard(request))
        page.goto(url)
        self.wait_for_page()

    def wait_for_page(self) -> None:
        """Wait for the first picture, and until Gradio's loading screen no longer covers the canvas."""
        self.page.locator("#picture img").wait_for()
        self.page.locator("#canvas canvas").hover(trial=True)

    def note_complaint(self, message: sync_api.ConsoleMessage) -> None:
        # On a busy machine, a new stroke cancels a call before the server has given it a number: Gradio sends both
        # requests without one, which its server refuses. The call's result is outdated, and the page drops it.
        is_cancel = message.location["url"].endswith(("/cancel", "/reset")) and "422" in message.text
        if message.type == "error" and not is_cancel:
            self.complaints.append(message.text)

    def note_stranger(self, address: str, url: str) -> None:
        if not address.startswith((url, "data:", "blob:")):
            self.strangers.append(address)

    def leave(self, dialog: sync_api.Dialog) -> None:
        assert dialog.type == "beforeunload"
        self.warned += 1
        dialog.accept()

    def reload(self, *, kept: bool) -> None:
        """Reload, and wait for the picture of what was kept: its line has a time, the first picture's has none."""
        before = list(self.complaints)
        self.page.reload()
        self.complaints[:] = before  # a page that is left complains of the answers it does not get
        self.wait_for_page()
        if kept:
            self.page.locator("#status b").wait_for()
            self.settle()

    def marked(self, row: str) -> list[str]:
        """The names of the chosen thumbnails."""
        return self.page.locator(f"{row} [aria-pressed=true]").evaluate_all("all => all.map(one => one.title)")

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

    def frame(self) -> tuple[dict, dict]:
        """Where on the page the picture's frame is, and what follows it."""
        boxes = [self.page.locator(place).bounding_box() for place in ("#show", "#styles")]
        scrolled = self.page.evaluate("scrollY")
        return tuple({**box, "y": box["y"] + scrolled} for box in boxes)

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
        """Do something and wait for the last of the new pictures: a slow stroke makes several."""
        before = self.source()
        action()
        self.page.wait_for_function(
            "old => document.querySelector('#picture img')?.getAttribute('src') !== old", arg=before
        )
        self.settle()
        return self.picture()

    def settle(self) -> None:
        """Wait until the picture has stayed the same for a while, and the server has answered all calls."""
        end = time.monotonic() + LONGEST
        while True:
            self.page.wait_for_function("""() => {
                const source = document.querySelector('#picture img').getAttribute('src');
                if (window.settling?.source !== source) window.settling = { source, since: performance.now() };
                return performance.now() - window.settling.since > 400;
            }""")
            if not self.calls:
                return
            assert time.monotonic() < end
            self.page.wait_for_timeout(20)

    def upload(self, place: str, name: str, data: bytes, kind: str = "application/octet-stream") -> None:
        files = {"name": name, "mimeType": kind, "buffer": data}
        with self.page.expect_file_chooser() as chooser:
            self.page.locator(place).click()
        chooser.value.set_files(files)

    def download(self, what: str) -> Path:
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=what, exact=True).click()
        return Path(download.value.path())


@contextmanager
def visit(browser: sync_api.Browser, url: str, width: str, script: str = "") -> Iterator[Visitor]:
    """A visitor with an empty memory; `script` runs before the page's own."""
    context = browser.new_context(viewport=WIDTHS[width], has_touch=width == "phone")
    context.add_init_script(script)
    visitor = Visitor(context.new_page(), url)
    yield visitor
    context.close()
    assert visitor.complaints == []
    assert visitor.strangers == []  # the page loads nothing from elsewhere


@pytest.fixture(params=WIDTHS)
def visitor(request: pytest.FixtureRequest, browser: sync_api.Browser, url: str) -> Iterator[Visitor]:
    with visit(browser, url, request.param) as visitor:
        yield visitor


@pytest.fixture
def desktop(browser: sync_api.Browser, url: str) -> Iterator[Visitor]:
    with visit(browser, url, "desktop") as visitor:
        yield visitor


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
    np.testing.assert_array_equal(np.array(Image.open(visitor.download("Save picture"))), own)
    twice = Image.open(visitor.download("Picture ×2"))
    assert twice.size == (2 * own.shape[1], 2 * own.shape[0])
    assert np.corrcoef(np.array(twice.convert("RGB").reduce(2)).ravel(), own.ravel())[0, 1] > 0.95
    np.testing.assert_array_equal(np.array(Image.open(visitor.download("Gray mask"))), mask)

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
    assert (visitor.canvas()[:256] == LABELS.id_of("sky")).all()
    assert (visitor.canvas()[256:] == LABELS.id_of("grass")).all()

    # without live mode the button paints
    before = visitor.source()
    page.wait_for_timeout(500)
    assert visitor.source() == before
    visitor.after(lambda: page.locator("#paint").click())
    page.locator("#live input").check()
    page.locator("#paint").wait_for(state="hidden")


def test_blend_variants_and_compare(visitor):
    page = visitor.page
    slider = page.locator("#blend input[type=range]")
    slider.scroll_into_view_if_needed()
    visitor.after(lambda: slider.fill("0.5"))
    assert page.locator("#status").inner_text().endswith("style: 50 % sunset + 50 % noon")
    frame = visitor.frame()
    page.locator("#four").click()
    variants = page.locator("#variants img")
    variants.nth(3).wait_for()
    assert visitor.frame() == frame
    variants.nth(1).click()
    page.locator("#variants").wait_for(state="hidden")
    page.locator("#status", has_text="seed").wait_for()
    assert page.locator("#status").evaluate("one => one.scrollWidth <= one.clientWidth")  # none of it is hidden
    page.locator("#compare-view").click()
    assert visitor.frame() == frame and page.locator("#compare-view").get_attribute("aria-pressed") == "true"
    page.locator("#compare input").fill("25")
    shown = "getComputedStyle(document.querySelector('#compare canvas')).clipPath"
    assert page.evaluate(shown) == "inset(0px 75% 0px 0px)"
    page.locator("#compare-view").click()
    assert page.locator("#compare").is_hidden()


def test_work_survives_a_reload_and_leaving_warns(visitor):
    start = visitor.canvas()
    visitor.reload(kept=False)
    assert visitor.warned == 0  # nothing was painted
    visitor.choose("flower")
    visitor.after(lambda: visitor.stroke([(0.1, 0.9), (0.9, 0.8)]))
    picture = visitor.after(lambda: visitor.page.locator("#styles button[title=dusk]").click())
    painted = visitor.canvas()
    visitor.page.add_init_script(SEEN)
    visitor.reload(kept=True)
    assert visitor.page.evaluate("[...seen]") == [visitor.source()]  # and not the example's picture before it
    assert visitor.warned == 1
    visitor.page.locator("#status", has_text="dusk").wait_for()
    np.testing.assert_array_equal(visitor.canvas(), painted)
    np.testing.assert_array_equal(visitor.picture(), picture)
    np.testing.assert_array_equal(np.array(Image.open(visitor.download("Save picture"))), picture)
    assert (visitor.marked("#masks"), visitor.marked("#styles")) == (["lake"], ["dusk"])
    assert visitor.page.locator("#blend-names").inner_text().split() == ["noon", "dusk"]

    # the eraser still knows what there was before
    visitor.page.get_by_role("button", name="Eraser").click()
    visitor.after(lambda: visitor.stroke([(0.1, 0.9), (0.9, 0.8)]))
    np.testing.assert_array_equal(visitor.canvas(), start)
    visitor.reload(kept=True)
    assert visitor.warned == 1


def test_gray_of_16_bits_is_shown_and_saved_as_gray(browser, serve):
    processor = SPADEImageProcessor(label_set=LABELS, image_channels=1, value_range=(0, 65535))
    generator = tiny_generator(num_labels=12, image_channels=1)
    gray = SPADEPipeline(generator, processor, tiny_style_encoder(image_channels=1))
    with visit(browser, serve(gray).local_url, "desktop") as visitor:
        first = visitor.picture()
        dusk = visitor.after(lambda: visitor.page.locator("#styles button[title=dusk]").click())
        assert np.abs(dusk - first).mean() > 1
        assert (dusk[..., :1] == dusk).all() and dusk.std() > 5
        saved = Image.open(visitor.download("Save picture"))
        assert saved.mode == "L"  # of 8 bits, as it is shown
        np.testing.assert_array_equal(np.array(saved), dusk[..., 0])


def test_a_saved_scene_may_be_left(desktop):
    desktop.choose("flower")
    desktop.after(lambda: desktop.stroke([(0.1, 0.9), (0.9, 0.8)]))
    desktop.download("Scene")
    desktop.reload(kept=True)
    assert desktop.warned == 0


@pytest.mark.parametrize(
    "script",
    [
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('', 'SecurityError'); } });",
        """Storage.prototype.getItem = () => '{"mask": "1 1 1 0", "start": "1 1 1 0", "styles": 5}';""",
    ],
    ids=["forbidden", "broken"],
)
def test_a_browser_that_keeps_nothing(browser, url, script):
    with visit(browser, url, "desktop", script) as visitor:
        start = visitor.canvas()
        visitor.choose("flower")
        visitor.after(lambda: visitor.stroke([(0.1, 0.9), (0.9, 0.8)]))
        visitor.reload(kept=False)
        assert visitor.warned == 1
        np.testing.assert_array_equal(visitor.canvas(), start)


def test_a_click_is_answered_at_once(visitor):
    """The clicked thumbnail is marked, and the old picture is dimmed until the new one is here."""
    page = visitor.page
    page.evaluate("""() => {
        window.states = [];
        const frame = document.querySelector("#show");
        const state = () => [frame.ariaBusy, document.querySelector("#picture img").getAttribute("src")];
        new MutationObserver(() => states.push(state())).observe(frame, { attributeFilter: ["aria-busy"] });
    }""")
    click = "(button) => { const before = button.ariaPressed; button.click(); return [before, button.ariaPressed]; }"
    for place in ("#styles button[title=misty]", "#masks button[title=river]"):
        old = visitor.source()
        assert page.locator(place).evaluate(click) == ["false", "true"]
        page.wait_for_function("states.length === 2")
        assert page.evaluate("states.splice(0)") == [["true", old], [None, visitor.source()]]
        assert visitor.source() != old
    page.locator("#seed input").fill("-5")
    page.locator("#seed input").press("Enter")
    page.locator(".toast-body").wait_for()
    page.wait_for_function("states.length === 2 && states[1][0] === null")


def test_what_is_chosen_is_marked(desktop):
    assert (desktop.marked("#masks"), desktop.marked("#styles")) == (["lake"], ["noon"])
    desktop.after(lambda: desktop.page.locator("#styles button[title=dusk]").click())
    desktop.after(lambda: desktop.page.locator("#masks button[title=desert]").click())
    assert (desktop.marked("#masks"), desktop.marked("#styles")) == (["desert"], ["dusk"])
    outlines = "all => all.map(one => getComputedStyle(one.firstChild).outlineStyle)"
    assert desktop.page.locator("#styles button").evaluate_all(outlines).count("solid") == 1
    desktop.after(lambda: desktop.upload("#open", "mask.png", png(np.full((64, 64), 3, np.uint8))))
    assert desktop.marked("#masks") == []
    desktop.after(lambda: desktop.page.locator("#masks button[title=lake]").click())
    desktop.after(lambda: desktop.upload("#open", "mask.png", png(np.full((64, 64), 3, np.uint8))))
    assert desktop.marked("#masks") == []  # the second time, too
    desktop.after(lambda: desktop.page.locator("#blend input[type=range]").fill("0.5"))
    assert desktop.marked("#styles") == []


def test_an_own_or_random_style_has_a_thumbnail(desktop):
    page, styles = desktop.page, desktop.page.locator("#styles button")
    seed, own = page.locator("#seed input"), page.locator("#styles button").nth(6)
    assert styles.count() == 6
    desktop.after(lambda: page.locator("#surprise").click())
    assert desktop.marked("#styles") == [f"seed {seed.input_value()}"] and own.inner_text() == "random"
    (random,) = desktop.marked("#styles")
    page.locator("#four").click()
    page.locator("#variants img").nth(2).click()
    page.wait_for_function("old => document.querySelectorAll('#styles button')[6].title !== old", arg=random)
    own.locator("img[src^='data:image/jpeg;base64,']").wait_for()  # what was painted
    assert desktop.marked("#styles") == [f"seed {seed.input_value()}"]  # which the seed's field follows
    desktop.after(lambda: desktop.upload("#own", "mine.png", png(Image.new("RGB", (90, 60), (250, 120, 0)))))
    assert desktop.marked("#styles") == ["your picture"] and own.inner_text() == "yours"
    image = Image.open(io.BytesIO(base64.b64decode(own.locator("img").get_attribute("src").partition(",")[2])))
    assert np.abs(np.array(image).astype(int) - (250, 120, 0)).max() < 10
    mine = desktop.picture()
    for name in ("dusk", "misty"):
        desktop.after(lambda name=name: page.locator(f"#styles button[title={name}]").click())
    assert desktop.marked("#styles") == ["misty"]
    desktop.reload(kept=True)
    np.testing.assert_array_equal(desktop.after(own.click), mine)  # it can be taken again
    assert desktop.marked("#styles") == ["your picture"]


def test_the_four_styles_go_when_something_else_is_painted(visitor):
    page, variants = visitor.page, visitor.page.locator("#variants img")

    def open_variants() -> None:
        page.locator("#four").click()
        variants.nth(3).wait_for()

    open_variants()
    page.locator("#four").click()
    page.locator("#variants").wait_for(state="hidden")
    visitor.choose("flower")
    for change in (
        lambda: visitor.stroke([(0.1, 0.9), (0.9, 0.8)]),
        lambda: page.locator("#styles button[title=dusk]").click(),
        lambda: page.locator("#surprise").click(),
    ):
        open_variants()
        visitor.after(change)
        page.locator("#variants").wait_for(state="hidden")


def test_a_file_that_is_no_mask_gets_an_answer(visitor):
    visitor.upload("#open", "notes.png", b"hello")
    toast = visitor.page.locator(".toast-body")
    toast.wait_for()
    assert "not a picture that can be read" in toast.inner_text()
    assert "sky" in visitor.page.locator("#canvas").inner_text()  # the page goes on
    assert visitor.page.locator("#sides .wrap:not(.hide) .error").count() == 0  # no mark of failure on a slider
    toast, picture = toast.bounding_box(), visitor.page.locator("#picture").bounding_box()
    assert toast["y"] >= picture["y"] + picture["height"]


def test_a_photograph_is_asked_about(desktop):
    photo, question = (ASSETS / "sunset_style.jpg").read_bytes(), desktop.page.locator("#ask")
    start = desktop.canvas()
    desktop.upload("#open", "photo.jpg", photo)
    question.get_by_text("Is this a photograph?").wait_for()
    desktop.after(lambda: question.get_by_role("button", name="Use as style").click())
    assert "your picture" in desktop.page.locator("#status").inner_text()
    np.testing.assert_array_equal(desktop.canvas(), start)
    question.wait_for(state="hidden")
    desktop.upload("#open", "photo.jpg", photo)
    desktop.after(lambda: question.get_by_role("button", name="Open as mask").click())
    assert (desktop.canvas() != start).any()
    question.wait_for(state="hidden")
    desktop.upload("#open", "photo.jpg", photo)
    question.get_by_role("button", name="Neither").click()
    question.wait_for(state="hidden")


def test_straight_lines_polygons_and_replacing(desktop):
    page, start, said = desktop.page, desktop.canvas(), desktop.page.locator(".said")
    page.locator("#live input").uncheck()
    desktop.choose("rock")
    desktop.stroke([(0.1, 0.1)])
    page.keyboard.down("Shift")
    desktop.stroke([(0.9, 0.1)])
    page.keyboard.up("Shift")
    assert (desktop.canvas()[51, 60:450] == LABELS.id_of("rock")).all()

    page.keyboard.press("p")
    for place in ((0.2, 0.3), (0.8, 0.3), (0.8, 0.6), (0.5, 0.9)):
        desktop.stroke([place])
    page.keyboard.press("Backspace")
    assert said.inner_text().startswith("Corner 3. ")
    desktop.stroke([(0.2, 0.3)])
    assert said.inner_text() == "Polygon of rock painted."
    painted = desktop.canvas()
    row, column = np.mgrid[:512, :512] + 0.5
    inside = (row > 153.6) & (column < 409.6) & (row - 153.6 < (column - 102.4) / 2)
    assert ((painted == LABELS.id_of("rock")) >= inside).mean() > 0.999
    assert (painted != start)[200:].mean() < 0.2
    desktop.stroke([(0.1, 0.9)])
    assert said.inner_text().startswith("Corner 1. ")
    page.keyboard.press("Escape")
    assert said.inner_text() == ""
    assert page.locator(".outline polyline").get_attribute("points") == ""

    desktop.choose("sand")
    page.get_by_role("button", name="Replace").click()
    desktop.stroke([(0.5, 0.1)])
    np.testing.assert_array_equal(desktop.canvas() == LABELS.id_of("sand"), painted == LABELS.id_of("rock"))


def test_a_label_is_picked_from_the_canvas(desktop):
    page, chosen = desktop.page, desktop.page.locator("#canvas .chip input:checked")
    ids, brush = desktop.canvas(), page.get_by_role("button", name="Brush", exact=True)
    page.keyboard.down("Alt")
    desktop.stroke([(0.5, 0.05)])
    page.keyboard.up("Alt")
    assert chosen.get_attribute("value") == LABELS.names[ids[25, 256]]
    page.get_by_role("button", name="Pick a label").click()
    desktop.stroke([(0.5, 0.95)])
    assert chosen.get_attribute("value") == LABELS.names[ids[486, 256]]
    assert brush.get_attribute("aria-pressed") == "true"
    np.testing.assert_array_equal(desktop.canvas(), ids)


def test_a_stroke_may_begin_and_end_outside(desktop):
    desktop.choose("flower")
    desktop.after(lambda: desktop.stroke([(-0.03, 0.5), (1.02, 0.5)]))
    assert (desktop.canvas()[256] == LABELS.id_of("flower")).all()


def test_the_picture_follows_the_pen(desktop):
    page, before = desktop.page, desktop.source()
    canvas = page.locator("#canvas canvas").bounding_box()
    desktop.choose("flower")
    page.mouse.move(canvas["x"] + 30, canvas["y"] + 300)
    page.mouse.down()
    for step in range(10):
        page.mouse.move(canvas["x"] + 30 + 30 * step, canvas["y"] + 300)
        page.wait_for_timeout(60)
    page.wait_for_function("old => document.querySelector('#picture img').getAttribute('src') !== old", arg=before)
    page.mouse.up()


def test_zoom_and_pan(desktop):
    page = desktop.page
    canvas, zoomed = page.locator("#canvas canvas"), page.locator("#canvas .zoomed")
    page.locator("#live input").uncheck()
    start, box = desktop.canvas(), canvas.bounding_box()
    corner = (box["x"] + 10, box["y"] + 10)
    page.mouse.move(*corner)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    zoomed.wait_for()
    wide = canvas.bounding_box()
    assert wide["width"] > 2 * box["width"]
    assert (corner[0] - wide["x"]) / wide["width"] == pytest.approx(10 / box["width"], abs=0.002)  # it stays there
    desktop.choose("flower")
    page.mouse.click(*corner)
    painted = np.argwhere(desktop.canvas() != start).mean(axis=0) / 512
    assert painted == pytest.approx([10 / box["height"], 10 / box["width"]], abs=0.005)
    canvas.focus()
    page.keyboard.down("Space")
    page.mouse.down()
    page.mouse.move(corner[0] - 100, corner[1] - 50)
    page.mouse.up()
    page.keyboard.up("Space")
    moved = canvas.bounding_box()
    assert (moved["x"] - wide["x"], moved["y"] - wide["y"]) == pytest.approx((-100, -50), abs=1)
    zoomed.click()
    assert canvas.bounding_box() == box


def test_two_fingers_zoom_and_paint_nothing(browser, url):
    with visit(browser, url, "phone") as visitor:
        start, box = visitor.canvas(), visitor.page.locator("#canvas canvas").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch = visitor.page.context.new_cdp_session(visitor.page)

        def fingers(kind: str, *places: float) -> None:
            points = [{"x": place, "y": y, "id": number} for number, place in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        fingers("touchStart", x - 20)
        fingers("touchStart", x - 20, x + 20)
        for step in range(1, 5):
            fingers("touchMove", x - 20 - 10 * step, x + 20 + 10 * step)
        fingers("touchEnd")
        visitor.page.locator("#canvas .zoomed").wait_for()
        assert visitor.page.locator("#canvas canvas").bounding_box()["width"] == pytest.approx(
            3 * box["width"], rel=0.1
        )
        np.testing.assert_array_equal(visitor.canvas(), start)


def test_formats(desktop):
    page, start = desktop.page, desktop.canvas()
    wide = desktop.after(lambda: page.locator("#canvas .format select").select_option("3:2"))
    assert wide.shape == (64, 96, 3) and desktop.canvas().shape == (512, 768)
    frame = page.locator("#show").bounding_box()
    assert frame["width"] / frame["height"] == pytest.approx(1.5, abs=0.01)
    np.testing.assert_array_equal(desktop.canvas(), np.pad(start, ((0, 0), (128, 128)), mode="edge"))
    assert np.array(Image.open(desktop.download("Gray mask"))).shape == (64, 96)
    desktop.after(lambda: page.locator("#canvas .format select").select_option("Square"))
    np.testing.assert_array_equal(desktop.canvas(), start)
    desktop.after(lambda: page.get_by_role("button", name="Undo").click())
    assert desktop.canvas().shape == (512, 768)
    desktop.after(lambda: page.locator("#masks button[title=desert]").click())
    desktop.reload(kept=True)
    assert desktop.canvas().shape == (512, 768) and desktop.marked("#masks") == ["desert"]
    square = desktop.after(lambda: desktop.upload("#open", "mask.png", png(np.full((90, 100), 3, np.uint8))))
    assert square.shape == (64, 64, 3)  # the nearest format
    page.get_by_role("button", name="Undo").click()
    assert desktop.canvas().shape == (512, 768)


def test_the_keyboard_alone_paints(desktop):
    page, start = desktop.page, desktop.canvas()
    page.locator("#live input").uncheck()
    page.keyboard.press("4")
    page.locator("#canvas canvas").focus()
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    assert page.locator("#canvas .said").inner_text().startswith(LABELS.names[start[211, 256]])
    page.keyboard.press("Enter")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Enter")
    assert (desktop.canvas()[211, 256:346] == LABELS.ids[3]).all()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(desktop.canvas(), start)


def test_a_phones_photograph_becomes_a_style(desktop):
    noise = np.random.default_rng(0).integers(0, 256, (2400, 3200, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=95)
    assert len(buffer.getvalue()) > MAX_FILE_SIZE
    desktop.after(lambda: desktop.upload("#own", "IMG_1.jpg", buffer.getvalue(), "image/jpeg"))
    assert "your picture" in desktop.page.locator("#status").inner_text()


def test_a_lossless_mask_arrives_as_it_is(desktop):
    """A BMP file of 768x768 pixels is above 1 MB, and an image of the canvas' size is opened pixel by pixel."""
    ids = np.random.default_rng(0).integers(0, 12, (96, 96)).repeat(8, axis=0).repeat(8, axis=1)  # (768, 768)
    buffer = io.BytesIO()
    Image.fromarray(LABELS.colorize(ids)).save(buffer, "BMP")
    assert 1e6 < len(buffer.getvalue()) < MAX_FILE_SIZE
    desktop.after(lambda: desktop.upload("#open", "mask.bmp", buffer.getvalue(), "image/bmp"))
    assert "nearest" not in desktop.page.locator("#status").inner_text()
    expected = read_mask(buffer.getvalue(), SPADEImageProcessor(label_set=LABELS), formats_of((64, 64), 16)).label_map
    np.testing.assert_array_equal(desktop.canvas(), expected)


def test_keys(desktop):
    page, start = desktop.page, desktop.canvas()
    page.keyboard.press("4")
    assert page.locator("#canvas .chip input:checked").get_attribute("value") == LABELS.names[3]
    page.keyboard.press("0")
    assert page.locator("#canvas .chip input:checked").get_attribute("value") == LABELS.names[9]
    desktop.stroke([(0.2, 0.2), (0.8, 0.2)])
    painted = desktop.canvas()
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(desktop.canvas(), start)
    page.keyboard.press("Control+y")
    np.testing.assert_array_equal(desktop.canvas(), painted)
    assert (painted != start).any()


def test_the_labels_fit_their_buttons(desktop):
    chips = desktop.page.locator("#canvas .chip")
    desktop.choose("mountain")  # the longest name, in bold
    for width in (1440, 1024, 390):
        desktop.page.set_viewport_size({"width": width, "height": 768})
        spilling = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)"
        assert chips.evaluate_all(spilling) == []
        heights = chips.evaluate_all("all => all.map((one) => one.lastChild.offsetHeight)")
        assert len(set(heights)) == 1  # one line each


def test_the_canvas_grows_with_the_window(desktop):
    page = desktop.page
    stage, sliders = page.locator("#canvas .stage"), page.locator("#sliders")
    for width, height, side in ((1280, 900, 566), (1920, 1080, 746), (3840, 2160, 926)):
        page.set_viewport_size({"width": width, "height": height})
        box, below = stage.bounding_box(), sliders.bounding_box()
        assert (box["width"], box["height"]) == pytest.approx((side, side), abs=2)
        assert page.locator("#show").bounding_box()["width"] == pytest.approx(side, abs=2)
        assert below["y"] + below["height"] <= height  # all that one paints with is in sight
    page.locator("#canvas .format select").select_option("3:2")
    box = stage.bounding_box()
    assert (box["width"], box["height"]) == pytest.approx((926, 926 / 1.5), abs=2)


def test_a_phone_shows_the_first_labels_and_whole_words(browser, url):
    with visit(browser, url, "phone") as phone:
        page = phone.page
        assert page.locator("#canvas .palette").evaluate("one => one.scrollLeft") == 0
        page.locator("#live input").uncheck()
        page.locator("#paint").wait_for()
        phone.after(lambda: page.locator("#surprise").click())
        spare = "one => { const range = new Range(); range.selectNodeContents(one);"
        spare += " return one.clientWidth - range.getBoundingClientRect().width; }"
        for button in page.locator("#actions button:visible, #pick button:visible").all():
            assert button.evaluate(spare) >= 8, button.inner_text()  # pixels beside the words
        box = page.locator("#live input")
        assert box.evaluate("one => getComputedStyle(one).borderColor !== getComputedStyle(one).backgroundColor")
        seed = page.locator("#seed input")
        assert seed.evaluate("one => one.scrollWidth <= one.clientWidth")


def test_a_model_of_other_labels_has_a_page_of_its_own(browser, serve):
    label_set = LabelSet.from_name("cityscapes")
    generator = tiny_generator(
        num_labels=label_set.num_labels, use_unknown_label=label_set.use_unknown_label, image_size=(64, 128)
    )
    pipeline = SPADEPipeline(generator, SPADEImageProcessor(label_set=label_set), tiny_style_encoder())
    with visit(browser, serve(pipeline).local_url, "desktop") as visitor:
        page = visitor.page
        assert "Draw where sky, building, vegetation and road are" in page.locator("#header").inner_text()
        assert page.locator("#styles").count() == page.locator("#masks").count() == 0
        assert page.locator("#canvas .chip input:checked").get_attribute("value") == "building"
        # without the time that the server's first picture took; Gradio may still show its own clock beside it
        page.locator("#status").get_by_text("128 x 64 pixels · style: seed 0", exact=True).wait_for()
        size = page.evaluate("(({ width, height }) => [width, height])(document.querySelector('#canvas canvas'))")
        assert size == [512, 256]
        visitor.after(lambda: visitor.stroke([(0.1, 0.1), (0.9, 0.1)]))
        assert "ms" in page.locator("#status").inner_text()


class Outliner:
    """A visitor of a page with natural outlines, and what that page should show."""

    def __init__(self, visitor: Visitor, pipeline: SPADEPipeline) -> None:
        self.visitor, self.page, self.on = visitor, visitor.page, Handlers(Painter(pipeline))

    def kept(self, key: Callable[[str], str]) -> dict:
        return self.page.evaluate("key => JSON.parse(localStorage.getItem(key))", key(self.on.painter.fingerprint))

    def mask(self) -> str:
        return self.kept(canvas_key)["mask"]

    def seed(self) -> int:
        return self.kept(style_key)["outline_seed"]

    def expected(self, mask: str, strength: float, seed: int) -> np.ndarray:
        return np.array(self.on.paint(mask, self.on.first_styles(), 1.0, strength, seed)[0]).astype(int)

    def pictures(self) -> list[np.ndarray]:
        """All that were shown, in their order."""
        files = [self.page.request.get(source).body() for source in self.page.evaluate("[...seen]")]
        return [np.array(Image.open(io.BytesIO(file)).convert("RGB")).astype(int) for file in files]

    def wait_until(self, is_so: Callable[[], object]) -> None:
        end = time.monotonic() + LONGEST
        while not is_so():
            assert time.monotonic() < end
            self.page.wait_for_timeout(100)

    def wait_for(self, picture: np.ndarray) -> None:
        self.wait_until(lambda: (self.visitor.picture() == picture).all())


@pytest.fixture(params=WIDTHS)
def outliner(request, browser, serve, outlined) -> Iterator[Outliner]:
    with visit(browser, serve(outlined).local_url, request.param, SEEN) as visitor:
        yield Outliner(visitor, outlined)


def test_natural_outlines_follow_a_stroke_and_can_be_taken_over(outliner):
    visitor, page = outliner.visitor, outliner.page
    visitor.choose("flower")
    visitor.stroke([(0.2, 0.3), (0.8, 0.6)])
    page.wait_for_function("key => localStorage.getItem(key)", arg=canvas_key(outliner.on.painter.fingerprint))
    mask = outliner.mask()
    as_painted, natural = (outliner.expected(mask, strength, 0) for strength in (0, FIRST_STRENGTH))
    outliner.wait_for(natural)
    assert any((picture == as_painted).all() for picture in outliner.pictures())

    # the die draws other outlines in the same style
    visitor.after(lambda: page.locator("#die").click())
    seed = outliner.seed()
    np.testing.assert_array_equal(visitor.picture(), outliner.expected(mask, FIRST_STRENGTH, seed))
    assert seed != 0 and page.locator("#status").inner_text().endswith("style: noon")

    slider = page.locator("#strength input[type=range]")
    for strength in (0, 1):
        visitor.after(lambda strength=strength: slider.fill(str(strength)))
        np.testing.assert_array_equal(visitor.picture(), outliner.expected(mask, strength, seed))

    # the map of the picture becomes the canvas, and a step back
    assert outliner.mask() == mask  # what is saved is what was painted
    page.locator("#take-over").click()
    page.wait_for_function(
        "([key, old]) => JSON.parse(localStorage.getItem(key)).mask !== old",
        arg=[canvas_key(outliner.on.painter.fingerprint), mask],
    )
    taken, _ = outliner.on.take_over(mask, 1, seed)
    assert outliner.mask() == taken
    page.get_by_text("These outlines are on the canvas now.").wait_for()
    np.testing.assert_array_equal(visitor.picture(), outliner.expected(mask, 1, seed))
    page.get_by_role("button", name="Undo").click()
    assert outliner.mask() == mask
    page.get_by_role("button", name="Redo").click()

    # the next stroke, also after a reload, leaves what was taken over as it is
    outliner.wait_until(lambda: outliner.kept(style_key)["strength"] == 0)
    visitor.reload(kept=True)
    assert slider.input_value() == "0" and outliner.mask() == taken
    visitor.choose("snow")
    visitor.after(lambda: visitor.stroke([(0.2, 0.9), (0.8, 0.9)]))
    maps = [outliner.on._read(mask) for mask in (taken, outliner.mask())]
    assert (maps[0] == maps[1])[maps[1] != LABELS.id_of("snow")].all()
    np.testing.assert_array_equal(visitor.picture(), outliner.expected(outliner.mask(), 0, seed))


def test_what_is_not_painted_is_decided_by_the_model(outliner):
    visitor, page = outliner.visitor, outliner.page
    visitor.after(lambda: page.locator("#strength input[type=range]").fill("0"))
    chip = page.locator("#canvas .chip", has_text="not painted")
    assert "repeating-conic-gradient" in chip.locator(".swatch").evaluate("one => getComputedStyle(one).background")
    visitor.choose("not painted")
    visitor.after(lambda: visitor.stroke([(0.2, 0.2), (0.8, 0.2)]))
    erased = outliner.mask()
    assert " 12 " in erased
    outliner.wait_for(outliner.expected(erased, 0, 0))
    colors = page.evaluate("""[16, 32].map((x) => [...document.querySelector("#canvas canvas").getContext("2d")
        .getImageData(200 + x, 102, 1, 1).data])""")
    assert sorted(colors) == [[200, 200, 200, 255], [255, 255, 255, 255]]

    visitor.after(lambda: page.locator("#new-layout").click())
    layout = outliner.mask()
    assert layout != erased and (outliner.on._read(layout) < 12).all()
    page.get_by_role("button", name="Undo").click()
    assert outliner.mask() == erased


def test_a_new_stroke_outdates_the_outlines_of_the_last(browser, serve, outlined):
    url, go_on = serve(outlined).local_url, threading.Event()
    with visit(browser, url, "desktop", SEEN) as visitor:
        outliner = Outliner(visitor, outlined)
        drawn = threading.Event()

        def wait(*_: object) -> None:
            drawn.set()
            go_on.wait(LONGEST)

        hook = outlined.outline_model.register_forward_pre_hook(wait)
        try:
            visitor.choose("flower")
            visitor.stroke([(0.2, 0.3), (0.8, 0.3)])
            outliner.wait_until(drawn.is_set)
            first = outliner.mask()
            visitor.stroke([(0.2, 0.6), (0.8, 0.6)])  # painted while the outlines of the first are drawn
            outliner.wait_for(outliner.expected(outliner.mask(), 0, 0))
        finally:
            hook.remove()
            go_on.set()
        outliner.wait_for(outliner.expected(outliner.mask(), FIRST_STRENGTH, 0))
        outdated = outliner.expected(first, FIRST_STRENGTH, 0)
        assert not any((picture == outdated).all() for picture in outliner.pictures())


def test_a_model_without_outlines_has_no_controls_for_them(desktop):
    assert desktop.page.locator("#outlines").count() == 0
    assert desktop.page.locator("#canvas .chip", has_text="not painted").count() == 0


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
