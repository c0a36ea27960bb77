"""Time the page in headless Chromium, alternating between sparse and dense modulation, or between types of weights.

    python spaces_demo/browser/benchmark.py
    python spaces_demo/browser/benchmark.py --dtypes float16 int8

Needs Chromium and the extras test, demo and export.
"""

import argparse
import functools
import gzip
import http.server
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from build import build, fetch_runtime
from playwright.sync_api import Page, sync_playwright

from spade_hf import BUNDLED_MODEL, SPADEPipeline


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROUNDS = 4
DTYPES = ("float32", "float16", "int8")


class Server(http.server.SimpleHTTPRequestHandler):
    """File server without a log line per file."""

    def log_message(self, *args: object) -> None:
        """Log nothing."""


def serve(folder: Path) -> str:
    """Serve a folder on loopback; return its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def sizes(folder: Path) -> tuple[int, int]:
    """Count the bytes that a visit without a photo loads: as they are, and compressed as a server does."""
    others = ("README.md", "segmenter.onnx")
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in others]
    return sum(map(len, contents)), sum(len(gzip.compress(content)) for content in contents)


def paint(page: Page, count: int) -> list[float]:
    """Paint the example masks and styles in turns; return the milliseconds of each picture."""
    times = []
    for number in range(count):
        done = int(page.evaluate("document.body.dataset.pictures"))
        row = ("#masks", "#styles")[number % 2]
        page.locator(f"{row} button").nth(number // 2 % 6).click()
        page.wait_for_function(f"document.body.dataset.pictures > {done}", timeout=60_000)
        times.append(float(page.evaluate("document.body.dataset.milliseconds")))
    return times


def main() -> None:
    """Print the median time of a picture, the time until the first one, and the size of a visit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=BUNDLED_MODEL, help="folder or Hub id; default: the bundled landscapes")
    parser.add_argument("--pictures", type=int, default=20, help="number of each page's pictures")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, help="compare these, with sparse modulation")
    args = parser.parse_args()
    compared: dict[str, dict[str, Any]] = {name: {"modulation": name} for name in ("sparse", "dense")}
    if args.dtypes:
        compared = {name: {"dtype": name} for name in args.dtypes}
    pipeline = SPADEPipeline.from_pretrained(args.model)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        runtime = fetch_runtime(Path(temporary))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        pages, times = {}, {}
        for name, options in compared.items():
            folder = Path(temporary) / name
            build(pipeline, folder, runtime, **options)
            pages[name] = browser.new_context(bypass_csp=True).new_page()  # for `wait_for_function`
            start = time.perf_counter()
            pages[name].goto(serve(folder))
            pages[name].wait_for_function("document.body.dataset.pictures >= 1", timeout=120_000)
            seconds = time.perf_counter() - start
            times[name] = []
            size, compressed = (bytes_ / 1e6 for bytes_ in sizes(folder))
            print(f"{name}: first picture after {seconds:.1f} s, {size:.1f} MB, compressed {compressed:.1f} MB")
        for _ in range(ROUNDS):
            for name, page in pages.items():
                times[name] += paint(page, args.pictures // ROUNDS)
        for name, measured in times.items():
            low, middle, high = min(measured), statistics.median(measured), max(measured)
            print(f"{name}: median of {len(measured)} pictures {middle:.0f} ms, {low:.0f} to {high:.0f}")
        browser.close()


if __name__ == "__main__":
    main()
