"""A row of small named images to choose from: a `gr.HTML`, because `gr.Gallery` takes as much space as a page."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from .page_files import function_body, page_file


SIDE = 144  # pixels; twice the displayed size, for high-resolution screens


def thumbnails(images: Sequence[Path], names: Sequence[str], **kwargs: Any) -> gr.HTML:
    """Create a row of named images; the `select` event has the index of the clicked one (`gr.SelectData.index`).

    The value lists the names of the images that are marked as chosen, separated by commas.

    Args:
        images (`Sequence[Path]`): Image files.
        names (`Sequence[str]`): Captions.
        kwargs: Other arguments of `gr.HTML`; `label` is the row's name for screen readers.
    """
    items = [{"name": name, "source": data_url(path)} for path, name in zip(images, names, strict=True)]
    return gr.HTML(
        html_template=page_file("thumbnails.html"),
        css_template=page_file("thumbnails.css"),
        js_on_load=function_body("thumbnails.js", "mountThumbnails(element, props, trigger, watch);"),
        apply_default_css=False,
        items=items,
        **kwargs,
    )


def data_url(path: Path) -> str:
    """Return a small copy of an image as a data URL for an `img` element."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
