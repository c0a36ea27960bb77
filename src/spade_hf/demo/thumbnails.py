"""A row of small named pictures to choose from: a `gr.HTML`, because `gr.Gallery` takes as much space as a page."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image


SIDE = 144  # pixels; twice the displayed size, for high-resolution screens

TEMPLATE = """<div class="thumbnails" role="group" aria-label="${label}">
{{#each items}}<button type="button" data-index="{{@index}}" title="{{name}}"><img src="{{source}}" alt=""
draggable="false"><span>{{name}}</span></button>{{/each}}</div>"""

CSS = """
.thumbnails { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 6px; }
button { padding: 0; border: 0; border-radius: 12px; background: none; cursor: pointer; line-height: 1.2; }
img { display: block; width: 100%; aspect-ratio: 1.4; object-fit: cover; border-radius: 9px; margin: 0;
  border: 1px solid rgb(0 0 0 / 12%); transition: transform 0.12s; }
button:hover img { transform: scale(1.04); }
button:focus-visible { outline: 2px solid var(--color-accent); }
button[aria-pressed="true"] { position: relative; }
button[aria-pressed="true"] img { outline: 3px solid var(--color-accent); outline-offset: 2px; }
button[aria-pressed="true"] span { font-weight: 700; }
button[aria-pressed="true"]::after { content: "✓"; position: absolute; top: 5px; right: 5px; width: 20px; height: 20px;
  border-radius: 50%; font-size: 13px; line-height: 20px; text-align: center; color: white;
  background: var(--color-accent); box-shadow: 0 0 0 2px white; }
span { display: block; margin-top: 2px; font-size: 12.5px; color: var(--body-text-color); }
"""

SCRIPT = """
function mark() {
  const chosen = (props.value ?? "").split(",");
  for (const button of element.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", chosen.includes(button.title));
  }
}
watch("value", mark);
mark();
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("select", { index: Number(button.dataset.index), value: button.title });
});
"""


def thumbnails(pictures: Sequence[Path], names: Sequence[str], **kwargs: Any) -> gr.HTML:
    """Create a row of named pictures; the `select` event has the index of the clicked one (`gr.SelectData.index`).

    The value lists the names of the pictures that are marked as chosen, separated by commas.

    Args:
        pictures (`Sequence[Path]`): Image files.
        names (`Sequence[str]`): Captions.
        kwargs: Other arguments of `gr.HTML`; `label` is the row's name for screen readers.
    """
    items = [{"name": name, "source": data_url(path)} for path, name in zip(pictures, names, strict=True)]
    return gr.HTML(
        html_template=TEMPLATE,
        css_template=CSS,
        js_on_load=SCRIPT,
        apply_default_css=False,
        items=items,
        **kwargs,
    )


def data_url(path: Path) -> str:
    """Return a small copy of a picture as a data URL for an `img` element."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
