"""The static page in a real browser: a tiny model that onnxruntime-web runs."""

import base64
import functools
import http.server
import importlib.util
import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.demo.handlers import ASSETS
from spade_hf.demo.mask_canvas import read_canvas
from spade_hf.demo.painter import Painter
from spade_hf.export.models import exported_copy

from ..tiny_networks import tiny_generator, tiny_style_encoder
from ..waiting import LONGEST


sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BUILD = Path(__file__).parents[2] / "spaces_demo" / "browser" / "build.py"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
SLOWEST = 1000 * LONGEST  # ms


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", BUILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pipeline() -> SPADEPipeline:
    """Its weights are rounded as those of the page."""
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    networks = {"generator": tiny_generator(num_labels=12), "style_encoder": tiny_style_encoder()}
    rounded = {name: exported_copy(network, "float16") for name, network in networks.items()}
    return SPADEPipeline(image_processor=processor, **rounded)


@pytest.fixture(scope="module")
def site(build, pipeline, tmp_path_factory) -> Path:
    """The page, built with the real runtime."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    try:
        runtime = build.fetch_runtime(tmp_path_factory.mktemp("npm"))
    except ValueError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("site")
    build.build(pipeline, folder, runtime)
    return folder


@pytest.fixture(scope="module")
def url(site) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


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
        self.page.wait_for_function(f"document.body.dataset.pictures >= {count}", timeout=SLOWEST)

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

    lake, noon = ASSETS / "lake_mask.png", ASSETS / "noon_style.jpg"
    latents = pipeline.encode_style(str(noon))
    label_map = np.asarray(Image.open(lake).resize((64, 64), Image.Resampling.NEAREST))
    first = np.asarray(pipeline(label_map, latents=latents).images[0], dtype=int)
    assert first.std() > 10 and np.abs(visitor.picture() - first).max() <= 2

    painted = visitor.after(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
    assert np.abs(painted - first).max() > 10
    visitor.after(lambda: visitor.stroke("rock", (0.3, 0.7), (0.7, 0.7)))
    mask = visitor.mask()
    sunset = visitor.after(lambda: page.locator("#styles button[data-name=sunset]").click())
    with page.expect_download() as download:
        page.locator("#save-scene").click()
    download.value.save_as(tmp_path / "scene.json")

    Image.new("RGB", (300, 200), (200, 90, 40)).save(tmp_path / "mine.png")
    own = visitor.after(lambda: page.set_input_files("#own-file", tmp_path / "mine.png"))
    assert np.abs(own - sunset).max() > 10 and page.locator("#last").inner_text() == "mine.png"
    seeded = visitor.after(lambda: (page.fill("#seed", "7"), page.press("#seed", "Enter")))
    painter = Painter(pipeline)
    label_map = read_canvas(mask, painter.label_set, painter.formats)
    (expected,) = painter.paint(label_map, [painter.style_of_seed(7)])
    assert np.abs(seeded - np.asarray(expected.picture, dtype=int)).max() <= 2

    visitor.after(lambda: page.locator("#masks button").nth(1).click())
    assert visitor.mask() != mask
    reopened = visitor.after(lambda: page.set_input_files("#open-file", tmp_path / "scene.json"))
    assert visitor.mask() == mask and np.abs(reopened - sunset).max() <= 2

    page.evaluate("navigator.serviceWorker.ready")
    page.wait_for_function("document.querySelector('#offline').textContent")
    page.reload()
    visitor.wait_for_pictures(1)
    assert visitor.mask() == mask and np.abs(visitor.picture() - sunset).max() <= 2
    context.set_offline(True)
    page.reload()
    visitor.wait_for_pictures(1)
    visitor.after(lambda: visitor.stroke("snow", (0.1, 0.5), (0.9, 0.5)))

    frame = visitor.frame()
    page.locator("#four").click()
    page.wait_for_function("document.querySelectorAll('#variants canvas').length === 4", timeout=SLOWEST)
    visitor.after(lambda: page.locator("#variants button").nth(2).click())
    assert page.locator("#variants").is_hidden()
    page.locator("#compare-view").click()
    assert page.locator("#compare canvas").is_visible() and visitor.frame() == frame
    page.locator("#compare-view").click()
    visitor.after(lambda: page.locator("#canvas .format select").select_option("3:2"))
    assert visitor.picture().shape == (64, 96, 3)
    visitor.after(lambda: page.locator("#vividness").fill("0.5"))
    assert "vivid 50 %" in page.locator("#last").inner_text()
    assert not visitor.complaints
    context.close()


def test_bad_files_are_explained_and_the_canvas_stays(browser, url, tmp_path):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = Visitor(context.new_page(), url)
    visitor.stroke("water", (0.2, 0.3), (0.8, 0.3))
    mask = visitor.mask()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "other.json").write_text("{}")
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    for name, words in (
        ("text.png", "text.png is not a picture that this browser can read"),
        ("other.json", "This file is not a scene of this page"),
        ("photo.png", "100 % of this picture is not in the labels' colours"),
    ):
        visitor.page.set_input_files("#open-file", tmp_path / name)
        visitor.page.wait_for_function(
            "words => document.querySelector('#message').textContent.includes(words)", arg=words
        )
        assert visitor.mask() == mask
    context.close()


@pytest.mark.parametrize(
    ("failure", "words"),
    [("cut off", "was cut off in the download"), ("missing", "404"), ("lost", "The connection was lost")],
)
def test_a_model_that_does_not_arrive(browser, site, url, failure, words):
    context = browser.new_context(viewport=WIDTHS["desktop"], service_workers="block")
    page = context.new_page()
    whole = (site / "generator.onnx").read_bytes()
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
    page.wait_for_function("document.body.dataset.pictures >= 1", timeout=SLOWEST)
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


def test_it_becomes_a_static_space(build, pipeline, hub, tmp_path, monkeypatch, capsys):
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in build.RUNTIME_FILES:
        (runtime / name).write_text(name)
    monkeypatch.setattr(build, "export_generator", lambda *args, **options: exported)
    exported = build.export_style_encoder(pipeline)
    exported.metadata_props.add(key="num_codes", value="12")
    exported.metadata_props.add(key="kernel_size", value="3")
    exported.metadata_props.add(key="divisors", value="[1]")
    pipeline.save_pretrained(tmp_path / "model")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    options = ["--model", str(tmp_path / "model"), "--output_dir", str(tmp_path / "site"), "--runtime", str(runtime)]
    build.main([*options, "--repo_id", "alice/browser-page"])
    assert "alice/browser-page" in capsys.readouterr().out
    card = (tmp_path / "site" / "README.md").read_text()
    assert "sdk: static" in card
    files = json.loads((tmp_path / "site" / "service_worker.js").read_text().split("FILES = ")[1].split(";\n")[0])
    assert {"./", "index.html", "generator.onnx", "encoder.onnx", "runtime/ort.wasm.min.mjs"} < set(files)
    with pytest.raises(ValueError, match="lacks ort.wasm.min.mjs. Give the folder dist of onnxruntime-web"):
        build.main([*options[:-1], str(tmp_path)])
