"""How the static page arrives in a real browser: failures, updates, old browsers."""

import functools
import http.server
import json
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .visitor import WIDTHS, Server, wait_for


pytestmark = pytest.mark.pages


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
