"""The tests have a Hub of their own: huggingface_hub reads its environment once: it is set here, before any import."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .chromium import CHROMIUM
from .hub_server import HubServer


HUB = HubServer().start()
LEFT_TO_PAGES = pytest.StashKey[int]()
HF_HOME = tempfile.TemporaryDirectory(prefix="spade-hf-tests-")

os.environ.update(
    HF_ENDPOINT=HUB.url,
    HF_HOME=HF_HOME.name,
    HF_HUB_DISABLE_XET="1",  # the server speaks the LFS protocol only
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    NO_PROXY="127.0.0.1,localhost",
)
for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HF_DATASETS_CACHE"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def hub() -> HubServer:
    """The Hub of this test run: `hub.url`, `hub.user`, `hub.token`. Its repos last: take a name of your own."""
    return HUB


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium through Playwright; a test that asks for it is skipped without one of them."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of data that is not in the repository: real data sets, cases from the public implementation."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SPADE_HF_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder} (set SPADE_HF_SHARED)")
    return folder


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what `make test` leaves to `make pages`."""
    for config in {item.config for item in items}:
        left = [item for item in items if item.get_closest_marker("pages") and not item.get_closest_marker("slow")]
        config.stash[LEFT_TO_PAGES] = config.stash.get(LEFT_TO_PAGES, 0) + len(left)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that prints the summary, where several run the tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_to_pages"] = session.config.stash.get(LEFT_TO_PAGES, 0)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any, error: Any) -> None:
    left = getattr(node, "workeroutput", {}).get("left_to_pages", 0)
    node.config.stash[LEFT_TO_PAGES] = max(left, node.config.stash.get(LEFT_TO_PAGES, 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := config.stash.get(LEFT_TO_PAGES, 0):
        terminalreporter.write_line(f"{left} tests of the painting pages are left to `make pages`")


def pytest_unconfigure(config: pytest.Config) -> None:
    HUB.stop()
    HF_HOME.cleanup()
