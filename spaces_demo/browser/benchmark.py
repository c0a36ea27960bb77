"""Time the page in headless Chromium, alternating between sparse and dense modulation.

    python spaces_demo/browser/benchmark.py

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

from build import build, fetch_runtime
from playwright.sync_api import Page, sync_playwright

from spade_hf import BUNDLED_MODEL, SPADEPipeline


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROUNDS = 4


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
    """Count the bytes that a visit loads, all but the Space's card: as they are, and compressed as a server does."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
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
    parser.add_argument("--pictures", type=int, default=20, help="number of each modulation's pictures")
    args = parser.parse_args()
    pipeline = SPADEPipeline.from_pretrained(args.model)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        runtime = fetch_runtime(Path(temporary))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        pages, times = {}, {}
        for modulation in ("sparse", "dense"):
            folder = Path(temporary) / modulation
            build(pipeline, folder, runtime, modulation)
            pages[modulation] = browser.new_context(bypass_csp=True).new_page()  # for `wait_for_function`
            start = time.perf_counter()
            pages[modulation].goto(serve(folder))
            pages[modulation].wait_for_function("document.body.dataset.pictures >= 1", timeout=120_000)
            seconds = time.perf_counter() - start
            times[modulation] = []
            size, compressed = (bytes_ / 1e6 for bytes_ in sizes(folder))
            print(f"{modulation}: first picture after {seconds:.1f} s, {size:.1f} MB, compressed {compressed:.1f} MB")
        for _ in range(ROUNDS):
            for modulation, page in pages.items():
                times[modulation] += paint(page, args.pictures // ROUNDS)
        for modulation, measured in times.items():
            low, middle, high = min(measured), statistics.median(measured), max(measured)
            print(f"{modulation}: median of {len(measured)} pictures {middle:.0f} ms, {low:.0f} to {high:.0f}")
        browser.close()


if __name__ == "__main__":
    main()
