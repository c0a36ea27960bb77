"""A row of small named images to choose from: a `gr.HTML`, because `gr.Gallery` takes as much space as a page."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image, ImageOps

from .page_files import function_body, page_file


MOUNT = 'mountThumbnails(element.querySelector(".thumbnails"), props, trigger, watch);'
SIDE = 144  # pixels; twice the displayed size, for high-resolution screens


def thumbnails(files: Mapping[str, Path], *, storage: str | None = None, **kwargs: Any) -> gr.HTML:
    """Create a row of named images; the `select` event has index and value of the clicked one (`gr.SelectData`).

    Its value says what changes, such as `{"chosen": "noon"}`: see `page/thumbnails.js`.

    Args:
        files (`Mapping[str, Path]`): Image files by name.
        storage (`str`, *optional*): The name under which the browser keeps the visitor's own style.
        kwargs: Other arguments of `gr.HTML`; `label` is the row's name for screen readers.
    """
    return gr.HTML(
        html_template=page_file("thumbnails.html"),
        js_on_load=function_body("thumbnails.js", MOUNT),
        apply_default_css=False,
        items=thumbnail_items(files),
        storage=storage,
        **kwargs,
    )


def thumbnail_items(files: Mapping[str, Path]) -> list[dict[str, str]]:
    """Return the name and the image, a data URL, of each file."""
    items = []
    for name, file in files.items():
        with Image.open(file) as image:
            items.append({"name": name, "image": data_url(image)})
    return items


def data_url(image: Image.Image) -> str:
    """Return a small copy of an image, or of the square in its middle, as a data URL for an `img` element."""
    small = ImageOps.fit(image.convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
