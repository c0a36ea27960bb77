"""A visitor of the static page in a real browser, and the server that gives it the page."""

import base64
import contextlib
import functools
import http.server
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from spade_hf import SPADEPipeline
from spade_hf.demo.handlers import ASSETS
from spade_hf.demo.mask_canvas import read_canvas
from spade_hf.demo.painter import Painter

from ..waiting import LONGEST


if TYPE_CHECKING:
    from playwright.sync_api import Page


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


@contextlib.contextmanager
def served(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def wait_for(page: "Page", condition: str, arg: object = None) -> None:
    """As `page.wait_for_function`, which the page's Content-Security-Policy forbids."""
    end = time.monotonic() + SLOWEST / 1000
    while not page.evaluate(condition, arg):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


class Visitor:
    """What a person does on the page, and everything the browser complained about or asked strangers for."""

    def __init__(self, page: "Page", url: str) -> None:
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


NOTE_PICTURES = """() => {
  window.shown = []; // of each picture, whether its outlines are natural
  const note = () => window.shown.push(!document.querySelector("#take-over").disabled);
  new MutationObserver(note).observe(document.body, { attributes: true, attributeFilter: ["data-pictures"] });
}"""
NATURAL = "count => document.body.dataset.pictures > count && !document.querySelector('#take-over').disabled"


class NaturalVisitor(Visitor):
    """Of the page of a model with an outline model."""

    def __init__(self, page: "Page", url: str, pipeline: SPADEPipeline) -> None:
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
