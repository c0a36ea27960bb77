"""Refusal of URLs: without it, Gradio's server fetches any URL that a visitor sends instead of an upload."""

import re
from typing import Any
from urllib.parse import unquote

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


URL = re.compile(r"\s*https?:", re.IGNORECASE)
OWN_FILE = re.compile(r"\s*https?://[^/]+(?:/[^?#]*)?/gradio_api/file=(?P<path>.+)", re.IGNORECASE | re.DOTALL)
URL_IN_PATH = re.compile(r"/(file|proxy)[=/]+\s*https?:", re.IGNORECASE)


class BlocksWithoutUrls(gr.Blocks):
    """A page whose events take uploads but no URLs of files.

    The URL of an upload is read as the path in it, and not fetched: agents' tools give no path. Gradio refuses a path
    that is not an upload's.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Refuse URLs, before Gradio's own method downloads them."""
        inputs = [_with_paths(value) if isinstance(value, dict) else value for value in inputs]
        for component, value in zip(block_fn.inputs, inputs, strict=False):
            # an upload also has a `url`, of this server, which Gradio ignores; in other data Gradio can read it
            keys = ("path",) if isinstance(component, gr.File | gr.UploadButton) else ("path", "url")
            if _names_url(value, keys):
                raise gr.Error("Files are not fetched from URLs here. Send the file itself.", print_exception=False)
        return await super().preprocess_data(block_fn, inputs, *args, **kwargs)


def _with_paths(file: dict[str, Any]) -> dict[str, Any]:
    """Return a file's data with a path in the place of an upload's URL."""
    path = file.get("path")
    found = OWN_FILE.fullmatch(path) if isinstance(path, str) else None
    return file if found is None else {**file, "path": unquote(found["path"])}


def _names_url(value: Any, keys: tuple[str, ...]) -> bool:
    if isinstance(value, dict):
        return any(isinstance(value.get(key), str) and URL.match(value[key]) for key in keys) or any(
            _names_url(part, keys) for part in value.values()
        )
    return isinstance(value, list) and any(_names_url(part, keys) for part in value)


class _RefuseUrls:
    """Middleware that refuses `/file=https://...`, by which Gradio fetches any page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and URL_IN_PATH.search(scope["path"]):
            await PlainTextResponse("This server fetches nothing from the web.", 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


REFUSE_URLS = Middleware(_RefuseUrls)
