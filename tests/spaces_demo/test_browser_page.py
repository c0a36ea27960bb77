"""The static page in a real browser: a tiny model that onnxruntime-web runs."""

import base64
import contextlib
import functools
import http.server
import io
import json
import os
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spade_hf import SPADEPipeline
from spade_hf.demo.handlers import ASSETS
from spade_hf.demo.mask_canvas import read_canvas, write_canvas
from spade_hf.demo.painter import Painter
from spade_hf.demo.uploads import read_mask
from spade_hf.labels.label_set import UNPAINTED_ID

from ..waiting import LONGEST


sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
SLOWEST = 1000 * LONGEST  # ms


class Server(http.server.SimpleHTTPRequestHandler):
    """As strict as a bare nginx: it knows few types, and browsers must not guess others."""

    types = {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".json": "application/json",
        ".wasm": "application/wasm",
    }

    def guess_type(self, path: str) -> str:
        return self.types.get(Path(path).suffix, "application/octet-stream")

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def sites(build, pipeline, tmp_path_factory) -> dict[str, Path]:
    """The page, built with the real runtime: "plain", without an outline model, and "natural"."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    try:
        runtime = build.fetch_runtime(tmp_path_factory.mktemp("npm"))
    except ValueError as error:
        pytest.skip(str(error))
    parts = tmp_path_factory.mktemp("parts")
    build.write_parts(pipeline, parts, runtime, "sparse")
    folders = {name: tmp_path_factory.mktemp(name) for name in ("natural", "plain")}
    build.publish(parts, folders["natural"])
    (parts / "outlines.onnx").unlink()
    config = json.loads((parts / "config.json").read_text())
    files = {name: parts / file["url"] for name, file in config["files"].items() if name != "outlines"}
    plain = SPADEPipeline(pipeline.generator, pipeline.image_processor, pipeline.style_encoder)
    (parts / "config.json").write_text(json.dumps(build.page_config(plain, files, config["reading"])))
    build.publish(parts, folders["plain"])
    return folders


@pytest.fixture(scope="module")
def site(sites) -> Path:
    return sites["plain"]


@pytest.fixture(scope="module")
def parts(site) -> Path:
    return parts_of(site)


def parts_of(site: Path) -> Path:
    """The folder of the page's version."""
    (config,) = site.glob("*/config.json")
    return config.parent


@contextlib.contextmanager
def served(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def url(site) -> Iterator[str]:
    with served(site) as url:
        yield url


@pytest.fixture(scope="module")
def natural_url(sites) -> Iterator[str]:
    with served(sites["natural"]) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def wait_for(page: sync_api.Page, condition: str, arg: object = None) -> None:
    """As `page.wait_for_function`, which the page's Content-Security-Policy forbids."""
    end = time.monotonic() + SLOWEST / 1000
    while not page.evaluate(condition, arg):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


class Visitor:
    """What a person does on the page, and everything the browser complained about or asked strangers for."""

    def __init__(self, page: sync_api.Page, url: str) -> None:
        self.page, self.url, self.complaints = page, url, []
        page.set_default_timeout(SLOWEST)
        page.on("dialog", lambda dialog: dialog.accept())  # of leaving
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.note(request.url))
        page.goto(url)
        self.wait_for_pictures(1)

    def note(self, address: str) -> None:
        if not address.startswith((self.url, "data:", "blob:")):
            self.complaints.append(f"asked for {address}")

    def pictures(self) -> int:
        return int(self.page.evaluate("document.body.dataset.pictures ?? 0"))

    def wait_for_pictures(self, count: int) -> None:
        wait_for(self.page, f"document.body.dataset.pictures >= {count}")

    def picture(self) -> np.ndarray:
        text = self.page.evaluate("document.querySelector('#picture').toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))).convert("RGB"), dtype=int)

    def after(self, act) -> np.ndarray:
        """The picture that follows."""
        count = self.pictures()
        act()
        self.wait_for_pictures(count + 1)
        return self.picture()

    def stroke(self, label: str, from_place: tuple[float, float], to_place: tuple[float, float]) -> None:
        self.page.locator(".chip", has_text=label).first.click()
        box = self.page.locator("canvas").first.bounding_box()
        for step, (x, y) in enumerate((from_place, to_place)):
            self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if step == 0:
                self.page.mouse.down()
        self.page.mouse.up()

    def frame(self) -> list[float]:
        """Where on the page the picture's frame is, and how large."""
        return self.page.evaluate(
            "(({ offsetLeft, offsetTop, offsetWidth, offsetHeight }) =>"
            " [offsetLeft, offsetTop, offsetWidth, offsetHeight])(document.querySelector('#show'))"
        )

    def mask(self) -> str:
        return self.page.evaluate(
            "JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith('canvas'))[1]).mask"
        )

    def message(self) -> str:
        self.page.locator("#message").wait_for()
        return self.page.locator("#message").inner_text()


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


WORK = """async ([folder, messages]) => {
  const config = await (await fetch(`${folder}/config.json`)).json();
  const worker = new Worker(`${folder}/painter.js`, { type: "module" });
  const answers = {};
  const isDone = new Promise((resolve) => {
    worker.onmessage = ({ data }) => {
      if (data.type === "ready") for (const message of messages) worker.postMessage(message);
      if (data.type === "ready" || data.type === "progress") return;
      answers[data.number] = { ...data, labels: data.labels && [...data.labels] };
      if (Object.keys(answers).length === messages.length) resolve();
    };
  });
  worker.postMessage({ type: "load", config });
  await isDone;
  worker.terminate();
  return answers;
}"""


def test_the_worker_refines_masks_as_the_library_does(browser, pipeline, sites, natural_url):
    folder = parts_of(sites["natural"]).name
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SLOWEST)
    page.goto(natural_url)
    lake = np.asarray(Image.open(ASSETS / "lake_mask.png").resize((96, 64), Image.Resampling.NEAREST))
    holes = np.where(np.arange(96) < 30, 255, lake)
    ids = np.array(pipeline.image_processor.label_set.ids)

    def message(number, mask, strength, seed):
        labels = np.where(mask == 255, 999, np.searchsorted(ids, mask)).ravel().tolist()  # 999: not painted
        options = {"strength": strength, "seed": seed}
        return {"type": "refine", "number": number, "size": [64, 96], "labels": labels, **options}

    asked = {3: (lake, 0.7, 5), 4: (holes, 0.4, 6), 5: (holes, 0, 7)}
    replaced = {1: (lake, 1, 1), 2: (lake, 1, 2)}
    everything = [message(number, *case) for number, case in {**replaced, 3: asked[3]}.items()]
    answers = page.evaluate(WORK, [folder, everything])
    assert [answers[str(number)]["labels"] for number in replaced] == [None, None]
    for number in (4, 5):
        answers |= page.evaluate(WORK, [folder, [message(number, *asked[number])]])
    for number, (mask, strength, seed) in asked.items():
        generator = torch.Generator().manual_seed(seed)
        (natural,) = pipeline.refine_mask(mask, strength=strength, generator=generator, height=64, width=96)
        found = ids[np.reshape(answers[str(number)]["labels"], mask.shape)]
        assert (found == np.asarray(natural)).mean() > 0.999  # but for rounding
        assert (found != mask).any() and (strength or (found == mask)[mask != 255].all())
    cancel = {"type": "cancel", "number": 7}
    answers = page.evaluate(WORK, [folder, [message(6, *asked[3]), cancel]])
    assert answers["6"]["labels"] is None and answers["7"]["type"] == "cancelled"
    context.close()


NOTE_PICTURES = """() => {
  window.shown = []; // of each picture, whether its outlines are natural
  const note = () => window.shown.push(!document.querySelector("#take-over").disabled);
  new MutationObserver(note).observe(document.body, { attributes: true, attributeFilter: ["data-pictures"] });
}"""
NATURAL = "count => document.body.dataset.pictures > count && !document.querySelector('#take-over').disabled"
SET_STRENGTHS = """(values) => {
  const slider = document.querySelector("#strength");
  for (const value of values) { slider.value = value; slider.dispatchEvent(new Event("input")); }
}"""


class NaturalVisitor(Visitor):
    """Of the page of a model with an outline model."""

    def __init__(self, page: sync_api.Page, url: str, pipeline: SPADEPipeline) -> None:
        super().__init__(page, url)
        self.pipeline, self.painter = pipeline, Painter(pipeline)
        self.latents = pipeline.encode_style(str(ASSETS / "noon_style.jpg"))
        wait_for(page, NATURAL, 0)
        page.evaluate(NOTE_PICTURES)

    def naturally(self, act) -> np.ndarray:
        """The picture with natural outlines that follows."""
        count = self.pictures()
        act()
        wait_for(self.page, NATURAL, count)
        return self.picture()

    def label_map(self) -> np.ndarray:
        painter = self.painter
        label_set = painter.label_set.with_unknown()
        return painter.at_image_size(read_canvas(self.mask(), label_set, painter.formats))

    def expected(self, strength: float, seed: int = 0) -> np.ndarray:
        """The library's picture of the canvas."""
        generator = torch.Generator().manual_seed(seed)
        (natural,) = self.pipeline.refine_mask(self.label_map(), strength=strength, generator=generator)
        return np.asarray(self.pipeline(natural, latents=self.latents).images[0], dtype=int)


def is_near(picture: np.ndarray, expected: np.ndarray) -> bool:
    """Whether they are equal, but for rounding, and what a few pixels of other labels change around them."""
    return (np.abs(picture - expected).max(axis=2) > 2).mean() < 0.1


def test_natural_outlines(browser, pipeline, natural_url):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = NaturalVisitor(context.new_page(), natural_url, pipeline)
    page = visitor.page
    assert page.locator("#strength").input_value() == "0.5"
    natural = visitor.naturally(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
    assert page.evaluate("shown.slice(-2)") == [False, True]  # the stroke as it is comes first
    assert is_near(natural, visitor.expected(0.5)) and not is_near(natural, visitor.expected(0))

    painted = visitor.after(lambda: page.locator("#strength").fill("0"))
    assert np.abs(painted - visitor.expected(0)).max() <= 2
    assert page.locator("#redraw").is_disabled() and page.locator("#take-over").is_disabled()
    visitor.after(lambda: visitor.stroke("snow", (0.2, 0.6), (0.8, 0.6)))
    assert not any(page.evaluate("shown.slice(-2)"))
    count = visitor.pictures()
    other = visitor.naturally(lambda: page.evaluate(SET_STRENGTHS, [1, 0.75]))  # the first one is given up
    assert visitor.pictures() == count + 1 and is_near(other, visitor.expected(0.75))

    style = page.locator("#status").inner_text().split("style")[1]
    anew = visitor.naturally(lambda: page.locator("#redraw").click())
    assert not is_near(anew, other) and page.locator("#status").inner_text().endswith(style)
    page.reload()
    wait_for(page, NATURAL, 0)
    assert np.abs(visitor.picture() - anew).max() == 0 and page.locator("#strength").input_value() == "0.75"

    count, mask = visitor.pictures(), visitor.mask()
    page.locator("#take-over").click()
    assert visitor.mask() != mask and visitor.pictures() == count
    assert np.abs(anew - visitor.expected(0)).max() <= 2  # the canvas is what the picture is of
    assert "These outlines are on the canvas now." in visitor.message()
    assert page.locator("#redraw").is_disabled() and page.locator("#take-over").is_disabled()
    visitor.after(lambda: page.locator("[data-action=undo]").click())
    assert visitor.mask() == mask
    again = visitor.naturally(lambda: page.locator("#strength").fill("0.75"))
    assert np.abs(again - anew).max() == 0

    # the next stroke, also after a reload, leaves what was taken over as it is
    page.locator("#take-over").click()
    taken = visitor.label_map()
    page.reload()
    visitor.wait_for_pictures(1)
    assert page.locator("#strength").input_value() == "0" and np.abs(visitor.picture() - anew).max() <= 2
    painted = visitor.after(lambda: visitor.stroke("rock", (0.2, 0.9), (0.8, 0.9)))
    kept = visitor.label_map() != visitor.painter.label_set.id_of("rock")
    assert kept.mean() > 0.5 and (visitor.label_map() == taken)[kept].all()
    assert np.abs(painted - visitor.expected(0)).max() <= 2
    assert not visitor.complaints
    context.close()


def test_what_is_not_painted_is_filled(browser, pipeline, natural_url, tmp_path):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = NaturalVisitor(context.new_page(), natural_url, pipeline)
    page = visitor.page
    painted = visitor.after(lambda: page.locator("#strength").fill("0"))
    filled = visitor.naturally(lambda: visitor.stroke("not painted", (0.2, 0.6), (0.8, 0.6)))
    assert page.evaluate("shown.slice(-2)") == [False, True]
    label_map = visitor.label_map()
    assert 0.02 < (label_map == UNPAINTED_ID).mean() < 0.2
    assert is_near(filled, visitor.expected(0)) and not is_near(filled, painted)
    with page.expect_download() as download:
        page.locator("#save-mask").click()
    download.value.save_as(tmp_path / "mask.png")
    visitor.naturally(lambda: page.locator("#redraw").click())
    page.locator("#take-over").click()
    taken = visitor.label_map()
    assert (taken == label_map)[label_map != UNPAINTED_ID].all() and (taken != UNPAINTED_ID).all()
    visitor.naturally(lambda: page.set_input_files("#open-file", tmp_path / "mask.png"))
    np.testing.assert_array_equal(visitor.label_map(), label_map)
    assert "was transparent and became not painted" in visitor.message()
    assert not visitor.complaints
    context.close()


def test_a_new_layout(browser, pipeline, natural_url):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = NaturalVisitor(context.new_page(), natural_url, pipeline)
    page = visitor.page
    visitor.naturally(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
    mask = visitor.mask()
    layout = visitor.naturally(lambda: page.locator("#new-layout").click())
    assert np.abs(layout - visitor.expected(0)).max() <= 2 and visitor.mask() != mask
    assert page.locator("#masks button[aria-pressed=true]").count() == 0
    first = visitor.mask()
    visitor.naturally(lambda: page.locator("#new-layout").click())
    assert visitor.mask() not in (mask, first)
    for expected in (first, mask):
        visitor.naturally(lambda: page.locator("[data-action=undo]").click())
        assert visitor.mask() == expected
    assert not visitor.complaints
    context.close()


def with_other_gamma(image: Image.Image) -> tuple[Image.Image, dict]:
    """A PNG whose colors a screen shows otherwise; its numbers are the labels'."""
    info = PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100_000))
    return image, {"pnginfo": info}


def test_masks_and_scenes_of_every_form(browser, pipeline, url, tmp_path):
    """A mask is the same one on the Gradio page, whose reader gives the expected canvas."""
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = Visitor(context.new_page(), url)
    painter = Painter(pipeline)
    label_set = painter.label_set
    ids = np.random.default_rng(0).integers(0, 12, (5, 9)).repeat(20, 0).repeat(20, 1)
    colors = Image.fromarray(label_set.colorize(ids))
    half = colors.copy()
    half.putalpha(Image.fromarray(np.where(ids < 3, 0, 255).astype(np.uint8)))
    files = {
        "ids.png": (Image.fromarray(ids.astype(np.uint8)), {}),
        "gamma.png": with_other_gamma(colors.rotate(180)),
        "half.png": (half, {}),
        "photo.jpg": (colors.resize((512, 300), Image.Resampling.NEAREST), {"quality": 75}),
    }
    for name, (image, options) in files.items():
        image.save(tmp_path / name, **options)
        visitor.after(functools.partial(visitor.page.set_input_files, "#open-file", tmp_path / name))
        opened = read_mask((tmp_path / name).read_bytes(), painter.processor, painter.formats)
        expected, found = write_canvas(opened.label_map, label_set), visitor.mask()
        if name == "photo.jpg":  # the two decoders differ by 1 of 255
            maps = [read_canvas(mask, label_set, painter.formats) for mask in (expected, found)]
            assert (maps[0] == maps[1]).mean() > 0.995
        else:
            assert found == expected, name
    assert "0 pixels" not in visitor.message() and "took the nearest one" in visitor.message()

    scene = {
        "format": "spade_hf scene 1",
        "labels": ["tree", "sky"],
        "size": [64, 64],
        "mask": f"64 64 {32 * 64} 0 {32 * 64} 1",
        "blend": 0.5,
        "styles": [{"name": name, "latents": [value] * 8} for name, value in (("a", -1), ("b", 1))],
    }
    (tmp_path / "scene.JSON").write_text(json.dumps(scene))
    visitor.after(lambda: visitor.page.set_input_files("#open-file", tmp_path / "scene.JSON"))
    painted = read_canvas(visitor.mask(), label_set, painter.formats)
    assert (painted[:256] == label_set.id_of("tree")).all() and (painted[256:] == label_set.id_of("sky")).all()
    assert visitor.page.locator("#status").inner_text().endswith("style: 50 % a + 50 % b")
    assert not visitor.complaints
    context.close()


def test_bad_files_are_explained_and_the_page_stays(browser, url, tmp_path):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = Visitor(context.new_page(), url)
    visitor.stroke("water", (0.2, 0.3), (0.8, 0.3))
    mask = visitor.mask()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "list.json").write_text("[]")
    scene = {"format": "spade_hf scene 1", "labels": ["sky"], "size": [2, 2], "mask": "2 2 4 0", "blend": 1}
    (tmp_path / "styles.json").write_text(json.dumps({**scene, "styles": []}))
    huge = {**scene, "size": [20_000, 20_000], "mask": "20000 20000 400000000 0"}
    (tmp_path / "huge.json").write_text(json.dumps(huge))
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    Image.new("1", (5000, 5000)).save(tmp_path / "large.png")
    for name, words in (
        ("text.png", "text.png is not a picture that this browser can read"),
        ("other.json", "This file is not a scene of this page"),
        ("list.json", "This file is not a scene of this page"),
        ("styles.json", "it has not two styles"),
        ("huge.json", "20000x20000 pixels; allowed are 1 to"),
        ("photo.png", "100 % of this picture has no label's color"),
        ("large.png", "5000x5000 pixels; at most 16 megapixels"),
    ):
        visitor.page.set_input_files("#open-file", tmp_path / name)
        wait_for(visitor.page, "words => document.querySelector('#message').textContent.includes(words)", words)
        assert visitor.mask() == mask
    Image.new("RGBA", (64, 64), (200, 90, 40, 0)).save(tmp_path / "clear.png")
    visitor.page.set_input_files("#own-file", tmp_path / "clear.png")
    visitor.page.locator("#message", has_text="clear.png has transparent pixels").wait_for()
    # as an older version could have kept them
    visitor.page.evaluate(
        "Object.keys(localStorage).filter((key) => key.endsWith('styles')).concat(['x styles'])"
        ".forEach((key) => localStorage.setItem(key, JSON.stringify({ styles: [], blend: 1 })))"
    )
    visitor.page.reload()
    visitor.wait_for_pictures(1)
    assert visitor.mask() == mask and not visitor.complaints
    context.close()


@pytest.mark.parametrize("case", ["file", "script", "config"])
def test_a_page_that_cannot_start_says_why(browser, site, url, case):
    context = browser.new_context(viewport=WIDTHS["desktop"], service_workers="block")
    page = context.new_page()
    if case == "script":
        context.route("**/masks.js", lambda route: route.fulfill(status=404, body=""))
    if case == "config":
        context.route("**/config.json", lambda route: route.fulfill(status=503, body=""))
    page.goto((site / "index.html").as_uri() if case == "file" else url)
    words = {
        "file": "do not run this page from a file. Run “python -m http.server”",
        "script": "The page could not start. A file of the page could not be loaded. Reload the page",
        "config": "The page could not start. config.json could not be loaded (503). Reload the page",
    }
    page.locator("#loading-text", has_text=words[case]).wait_for()
    assert page.locator("#progress").is_hidden()
    context.close()


class CachingServer(Server):
    """A host such as GitHub Pages: several pages, all of whose files may be kept for ten minutes."""

    roots: dict[str, Path]  # name of a page -> its folder

    def translate_path(self, path: str) -> str:
        name, _, rest = urlsplit(path).path.lstrip("/").partition("/")
        return str(self.roots[name] / (rest or "index.html"))

    def end_headers(self) -> None:
        if "service_worker" not in self.path:
            self.send_header("Cache-Control", "max-age=600")
        super().end_headers()


UPDATE = """async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    await registration.update();
    const { installing } = registration;
    const changed = () => new Promise((resolve) => { installing.onstatechange = resolve; });
    while (installing.state === "installing") await changed();
    return installing.state;
}"""


def test_an_update_arrives_and_other_pages_keep_their_files(browser, build, parts, tmp_path):
    for name in ("old", "new", "other"):
        shutil.copytree(parts, tmp_path / "parts")
        config = json.loads((parts / "config.json").read_text())
        (tmp_path / "parts" / "config.json").write_text(json.dumps({**config, "invitation": f"This is {name}."}))
        build.publish(tmp_path / "parts", tmp_path / name)
        shutil.rmtree(tmp_path / "parts")
    os.utime(tmp_path / "old" / "service_worker.js", (1e9, 1e9))  # one of the same second would not count as changed
    roots = {"lakes": tmp_path / "old", "streets": tmp_path / "other"}
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0),
        functools.partial(type("Handler", (CachingServer,), {"roots": roots}), directory=str(tmp_path)),
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    context = browser.new_context(viewport=WIDTHS["desktop"])
    page = context.new_page()

    def visit(name: str) -> str:
        page.goto(f"{url}/{name}/")
        wait_for(page, "document.querySelector('#offline').textContent")
        return page.locator("#invitation").inner_text()

    def caches() -> set[str]:
        return set(page.evaluate("caches.keys()"))

    def version(name: str) -> str:
        return next((tmp_path / name).glob("*/config.json")).parent.name

    assert visit("lakes") == "This is old."
    page.evaluate("caches.open('other-app')")
    assert visit("streets") == "This is other."
    old, other, new = (f"paint-with-labels {url}/{page}/ " + version(name)
                       for page, name in (("lakes", "old"), ("streets", "other"), ("lakes", "new")))  # fmt: skip
    assert caches() == {"other-app", old, other}

    # a host in the middle of its update: the worker is the new one and the page the old one
    shutil.copytree(tmp_path / "new", tmp_path / "mixed")
    shutil.copy(tmp_path / "old" / "index.html", tmp_path / "mixed")
    roots["lakes"] = tmp_path / "mixed"
    assert visit("lakes") == "This is old."
    assert page.evaluate(UPDATE) == "redundant"
    assert old in caches()

    roots["lakes"] = tmp_path / "new"
    assert visit("lakes") == "This is old."  # the new version arrives meanwhile
    wait_for(page, "async (name) => !(await caches.keys()).includes(name)", old)
    assert caches() == {"other-app", new, other}
    context.set_offline(True)
    assert visit("lakes") == "This is new." and visit("streets") == "This is other."
    context.close()
    server.shutdown()


@pytest.mark.parametrize(
    ("failure", "words"),
    [("cut off", "was cut off in the download"), ("missing", "404"), ("lost", "The connection was lost")],
)
def test_a_model_that_does_not_arrive(browser, parts, url, failure, words):
    context = browser.new_context(viewport=WIDTHS["desktop"], service_workers="block")
    page = context.new_page()
    whole = (parts / "generator.onnx").read_bytes()
    answers = {
        "cut off": lambda route: route.fulfill(body=whole[: len(whole) // 2]),
        "missing": lambda route: route.fulfill(status=404, body=""),
        "lost": lambda route: route.abort("connectionreset"),
    }
    context.route("**/generator.onnx", answers[failure])
    page.goto(url)
    page.locator("#retry").wait_for()
    text = page.locator("#loading-text").inner_text()
    assert words in text and "Your mask is kept." in text
    context.unroute("**/generator.onnx")
    page.locator("#retry").click()
    wait_for(page, "document.body.dataset.pictures >= 1")
    context.close()


def test_a_browser_without_simd_is_told_so_and_keeps_the_canvas(browser, url):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    context.add_init_script("WebAssembly.validate = () => false;")
    page = context.new_page()
    page.goto(url)
    page.locator("#loading-text", has_text="no WebAssembly SIMD").wait_for()
    assert "Open the page in a newer one" in page.locator("#loading-text").inner_text()
    assert page.locator("#progress").is_hidden() and page.locator("canvas").first.is_visible()
    context.close()
