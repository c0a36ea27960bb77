"""Both painting pages in headless Chromium, for the scripts that paint on them, time them and photograph them."""

import functools
import http.server
import importlib.util
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusers.utils.logging import disable_progress_bar
from playwright.sync_api import Browser, Page, sync_playwright

from spade_hf import SPADEPipeline


BUILD = Path(__file__).parents[1] / "spaces_demo" / "browser" / "build.py"
PAGES = ("gradio", "static")
# whether a page shows the picture of a canvas, and, where it has an outline model, the one with natural outlines
READY = {
    "gradio": "document.querySelector('#picture img')?.complete",
    "static": "document.body.dataset.pictures >= (document.querySelector('#outlines').hidden ? 1 : 2)",
}
LONGEST = 120_000  # ms to wait for a page


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; it ends with the block."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("There is no Chromium on this machine. Install it: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(kind: str, model: str) -> Iterator[str]:
    """Serve one of `PAGES` with a model on loopback; give its address."""
    disable_progress_bar()
    pipeline = SPADEPipeline.from_pretrained(model)
    with (served_by_gradio if kind == "gradio" else served_as_files)(pipeline) as url:
        yield url


@contextmanager
def served_by_gradio(pipeline: SPADEPipeline) -> Iterator[str]:
    """Serve the page of `spade-hf demo`."""
    from spade_hf.demo import build_demo, launch_options
    from spade_hf.demo.app import bypass_proxy

    demo = build_demo(pipeline)
    bypass_proxy(None)
    demo.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
    yield str(demo.local_url)
    demo.close(verbose=False)


class QuietServer(http.server.SimpleHTTPRequestHandler):
    """File server without a log line per file."""

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@contextmanager
def served_as_files(pipeline: SPADEPipeline) -> Iterator[str]:
    """Build the page that runs in the browser, which takes a minute or more, and serve its files."""
    spec = importlib.util.spec_from_file_location("build", BUILD)
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    with tempfile.TemporaryDirectory() as folder:
        build.build(pipeline, Path(folder, "site"), build.fetch_runtime(Path(folder)), "sparse")
        handler = functools.partial(QuietServer, directory=str(Path(folder, "site")))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def visit(browser: Browser, kind: str, url: str, width: int = 1440, height: int = 900, **options: object) -> Page:
    """Open a page in a window with an empty memory, and wait for its first picture."""
    options = {"viewport": {"width": width, "height": height}, "bypass_csp": True, **options}
    page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(LONGEST)
    page.on("dialog", lambda dialog: dialog.accept())  # of leaving with a painted canvas
    page.goto(url)
    page.wait_for_function(READY[kind])
    return page


def stroke(page: Page, label: str, size: int, path: list[tuple[float, float]], seconds: float = 0.0) -> None:
    """Paint a stroke with the mouse.

    Args:
        page (`Page`): Either painting page.
        label (`str`): Of the page's palette.
        size (`int`): Width of the brush on the page's slider, 3 to 100.
        path (`list[tuple[float, float]]`): The mouse's places, in shares of the canvas' width and height.
        seconds (`float`, *optional*, defaults to 0.0): How long it takes, at least.
    """
    page.locator("#canvas .chip", has_text=re.compile(rf"^\s*{re.escape(label)}\s*$")).click()
    page.locator("#canvas .size input").fill(str(size))
    canvas = page.locator("#canvas canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    for number, (x, y) in enumerate(path):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
        page.wait_for_timeout(1000 * seconds / len(path))
    page.mouse.up()
