"""The demo as tools, called by the client of the Model Context Protocol that agents have."""

import asyncio
import base64
import http.server
import io
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import SPADEPipeline
from spade_hf.demo import build_demo, launch_options

from ..tiny_networks import varied_segmenter
from .conftest import png


mcp = pytest.importorskip("mcp", reason="mcp is not installed (the extra `mcp`)")


@pytest.fixture(scope="module")
def model(outlined) -> SPADEPipeline:
    """A model with everything that the tools use."""
    return SPADEPipeline(**{**outlined.components, "segmenter": varied_segmenter(num_labels=12)})


@pytest.fixture(scope="module")
def address(cache: str, model) -> Iterator[str]:
    demo = build_demo(model)
    demo.launch(**launch_options(mcp=True), prevent_thread_lock=True, quiet=True)
    yield demo.local_url
    demo.close()


@pytest.fixture
def ask(address: str) -> Callable[[Callable[[Any], Awaitable]], Any]:
    """Runs a function of a client's session, and returns its result."""
    from mcp.client.streamable_http import streamable_http_client

    async def run(function):
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await function(session)

    return lambda function: asyncio.run(run(function))


@pytest.fixture
def call(ask) -> Callable[..., Any]:
    """Calls a tool."""
    return lambda tool, **arguments: ask(lambda session: session.call_tool(tool, arguments))


def image_of(result: Any) -> np.ndarray:
    assert not result.isError, result.content
    (image,) = [part for part in result.content if part.type == "image"]
    assert image.mimeType == "image/png"
    return np.array(Image.open(io.BytesIO(base64.b64decode(image.data))))


def url_of(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def strokes() -> np.ndarray:
    ids = np.zeros((64, 64), np.uint8)
    ids[32:] = 8
    return ids


def test_an_agent_finds_the_tools_and_what_they_take(ask):
    tools = {tool.name: tool for tool in ask(lambda session: session.list_tools()).tools}
    assert set(tools) == {"generate", "labels", "refine", "segment"}
    assert tools["generate"].description.startswith("Paint a mask.")
    assert set(tools["refine"].inputSchema["properties"]) == {"mask", "strength", "seed"}
    assert "label ids" in tools["generate"].inputSchema["properties"]["mask"]["description"]


def test_an_agent_paints(call, outlined):
    labels = json.loads(call("labels").content[0].text.replace("'", '"'))
    water = next(label for label in labels if label["name"] == "water")
    assert water == {"id": 8, "name": "water", "color": "#4678c8"}
    colors = outlined.image_processor.label_set.colorize(strokes())
    for mask in (png(strokes()), png(colors)):
        result = call("generate", mask=url_of(mask), seed=3)
        expected = outlined(strokes(), generator=torch.Generator().manual_seed(3)).images[0]
        np.testing.assert_array_equal(image_of(result), np.array(expected))


def test_an_agent_refines_strokes(call, outlined):
    seeded = torch.Generator().manual_seed(5)
    expected = outlined.refine_mask(strokes(), 0.5, generator=seeded)[0]
    result = call("refine", mask=url_of(png(strokes())), strength=0.5, seed=5)
    np.testing.assert_array_equal(image_of(result), np.array(expected))
    refused = call("refine", mask=url_of(png(strokes())), strength=2, seed=5)
    assert refused.isError and "`strength` is 2; give a number from 0 to 1" in refused.content[0].text


def test_an_agent_makes_a_mask_of_a_photograph(call, model):
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    photo[24:] = 40
    result = image_of(call("segment", photo=url_of(png(photo))))
    np.testing.assert_array_equal(result, np.array(model.segment(Image.fromarray(photo))[0]))
    assert len(np.unique(result)) > 1
    assert np.abs(image_of(call("generate", mask=url_of(png(result)), seed=3)).std()) > 0
    refused = call("segment")
    assert refused.isError


def test_an_upload_is_named_by_its_url(address, call, outlined):
    """As Gradio's own tool for uploads does, which agents use for files."""
    uploaded = httpx.post(f"{address}gradio_api/upload", files={"files": ("mask.png", png(strokes()))}).json()[0]
    result = call("generate", mask=f"{address}gradio_api/file={uploaded}", seed=3)
    expected = outlined(strokes(), generator=torch.Generator().manual_seed(3)).images[0]
    np.testing.assert_array_equal(image_of(result), np.array(expected))


def test_nothing_is_fetched_for_an_agent(call, tmp_path):
    asked = []

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(png(strokes()))

        do_HEAD = do_GET

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(strokes()))
    own = f"http://127.0.0.1:{site.server_port}"
    for address in (f"{own}/mask.png", f"{own}/gradio_api/file={secret}", f"{own}/gradio_api/file=/etc/passwd"):
        refused = call("generate", mask=address, seed=3)
        assert refused.isError, address
    site.shutdown()
    assert asked == []
