"""The demo as a server: its endpoint, its limits, and nobody seeing another's picture."""

import http.server
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client, handle_file
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.demo import app, build_demo
from spade_hf.demo.app import QUEUE_SIZE
from spade_hf.demo.handlers import Handlers
from spade_hf.demo.uploads import MAX_FILE_SIZE

from ..tiny_networks import tiny_generator
from .conftest import png


ROOT = Path(__file__).parents[2]


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    ids = np.zeros((64, 64), np.uint8)
    ids[32:] = 8
    return save(tmp_path / "mask.png", png(ids))


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


def test_generate_paints_what_the_pipeline_paints(client, pipeline, mask, tmp_path):
    style = save(tmp_path / "style.png", png(np.full((64, 64, 3), (200, 120, 40), np.uint8)))
    styled = client.predict(mask=handle_file(mask), style=handle_file(style), seed=0, api_name="/generate")
    seeded = client.predict(mask=handle_file(mask), style=None, seed=3, api_name="/generate")
    assert styled.endswith(".png")
    generator = torch.Generator().manual_seed(3)
    for path, expected in (
        (styled, pipeline(mask, style_image=style).images[0]),
        (seeded, pipeline(mask, generator=generator).images[0]),
    ):
        np.testing.assert_array_equal(np.array(Image.open(path)), np.array(expected))


def test_the_server_reaches_itself_behind_a_proxy(pipeline, cache, monkeypatch, capsys):
    """A company's proxy refuses the addresses of this machine, where Gradio looks after its start."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403)

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "intranet.example")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setattr(app, "load_pipeline", lambda model: pipeline)
    demos, addresses = [], []
    monkeypatch.setattr(gr.Blocks, "block_thread", lambda demo: demos.append(demo))
    app.main(on_start=addresses.append)
    demos[0].close()
    proxy.shutdown()
    assert addresses == [demos[0].local_url] and "Paint at" not in capsys.readouterr().out
    for name in ("no_proxy", "NO_PROXY"):
        assert os.environ[name].split(",") == ["intranet.example", "localhost", "127.0.0.1", "::1"]


def test_only_the_endpoints_for_code_are_public(client):
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/generate", "/labels"]


def test_eight_clients_at_once_get_their_own_pictures(url, pipeline, tmp_path):
    def ask(number: int) -> tuple[str, Path]:
        ids = np.zeros((64, 64), np.uint8)
        ids[:, number * 6 :] = number + 1
        path = save(tmp_path / f"{number}.png", png(ids))
        own = Client(url, verbose=False)
        return own.predict(mask=handle_file(path), style=None, seed=number, api_name="/generate"), path

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    for number, (answer, path) in enumerate(answers):
        expected = pipeline(path, generator=torch.Generator().manual_seed(number)).images[0]
        np.testing.assert_array_equal(np.array(Image.open(answer)), np.array(expected))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(Image.new("1", (30000, 1000))), "at most 16 megapixels"),
        (png(np.full((8, 8), 99, np.uint8)), r"label ids \[99\]"),
        (b"hello", "not a picture that can be read"),
        (None, "`mask` is missing"),
        (os.urandom(MAX_FILE_SIZE + 1), "exceeds the maximum file size"),
    ],
    ids=["pixels", "ids", "text", "none", "bytes"],
)
def test_errors_of_the_endpoint_say_what_to_do(client, tmp_path, data, message):
    mask = None if data is None else handle_file(save(tmp_path / "mask.png", data))
    with pytest.raises(Exception, match=message):
        client.predict(mask=mask, style=None, seed=0, api_name="/generate")


def test_the_server_itself_refuses_large_files(url):
    answer = httpx.post(f"{url}gradio_api/upload", files={"files": ("mask.png", os.urandom(MAX_FILE_SIZE + 1))})
    assert answer.status_code == 413


def test_no_file_outside_the_cache_is_served(url, client, mask, cache):
    for path in ("/etc/passwd", ROOT / "setup.py", f"{cache}/../../etc/passwd"):
        assert httpx.get(f"{url}gradio_api/file={path}").status_code in (403, 404)
    # a client cannot name a file of the server's as its upload either
    secret = {"path": str(ROOT / "setup.py"), "meta": {"_type": "gradio.FileData"}}
    answer = httpx.post(f"{url}gradio_api/call/generate", json={"data": [secret, None, 0]}).json()
    events = httpx.get(f"{url}gradio_api/call/generate/{answer['event_id']}").text
    assert "event: error" in events and "event: complete" not in events


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """What Gradio would fetch from the web, by any of its ways."""
    urls: list[str] = []

    async def get(url: str, **kwargs: object) -> None:
        urls.append(url)
        raise RuntimeError("fetched")

    monkeypatch.setattr("gradio.processing_utils.sh.get", get)
    monkeypatch.setattr("safehttpx.async_validate_url", get)
    return urls


@pytest.mark.parametrize("where", ["mask", "style", "seed", "nested"])
def test_the_server_fetches_no_url_in_place_of_an_upload(url, fetched, where):
    remote = {"path": "https://example.com/mask.png", "meta": {"_type": "gradio.FileData"}}
    data = {"mask": [remote, None, 0], "style": [None, remote, 0], "seed": [None, None, remote]}
    data["nested"] = [None, None, [{"a": [remote]}]]
    answer = httpx.post(f"{url}gradio_api/call/generate", json={"data": data[where]}).json()
    events = httpx.get(f"{url}gradio_api/call/generate/{answer['event_id']}").text
    assert "event: error" in events and "Send the file itself" in events
    assert not fetched


def test_the_server_is_no_proxy(url, fetched):
    for path in (
        "file=https://example.com/",
        "file=http://127.0.0.1:1/",
        "proxy=https://example.com/",
        "file=HTTPS://a.b/",
    ):
        assert httpx.get(f"{url}gradio_api/{path}").status_code in (403, 404)
    assert not fetched


def test_styles_from_a_browser_come_back_as_styles_alone(painter):
    """What an event returns, Gradio searches for files to fetch."""
    styles = Handlers(painter).first_styles()
    styles[0] |= {"path": "a.png", "url": "https://example.com/", "meta": {"_type": "gradio.FileData"}}
    kept = {"styles": styles, "blend": 0.5}
    returned = Handlers(painter).restore(kept)[0]
    assert [sorted(style) for style in returned] == [["latents", "name"]] * 2


def test_files_of_visitors_are_deleted(serve, pipeline, mask, tmp_path, monkeypatch):
    """What Gradio's own task does every hour, now."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    demo = serve(pipeline)
    assert demo.delete_cache == (3600, 3600)
    at_start = {path for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    visitor = Client(demo.local_url, verbose=False, download_files=str(tmp_path / "downloads"))
    visitor.predict(mask=handle_file(mask), style=handle_file(mask), seed=0, api_name="/generate")
    files = {path for path in (tmp_path / "cache").rglob("*") if path.is_file()} - at_start
    assert len(files) >= 2  # what was sent, and the picture
    delete_files_created_by_app(demo, age=None)
    assert not [path for path in files if path.exists()]


def test_the_server_keeps_nothing_of_a_visitor(pipeline):
    assert not [block for block in build_demo(pipeline).blocks.values() if isinstance(block, gr.State)]


def test_the_queue_is_limited(pipeline):
    demo = build_demo(pipeline)
    assert demo._queue.max_size == QUEUE_SIZE
    painting = [fn for fn in demo.fns.values() if fn.concurrency_id == "model"]
    assert len(painting) > 5
    assert {fn.concurrency_limit for fn in painting} == {1}


@pytest.mark.parametrize("edges", [False, True])
def test_a_model_without_styles_and_of_other_labels_has_a_page(edges):
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("ade20k"), use_instance_edges=edges)
    generator = tiny_generator(num_labels=150, use_unknown_label=True, latent_dim=None, use_instance_edges=edges)
    build_demo(SPADEPipeline(generator, processor))
