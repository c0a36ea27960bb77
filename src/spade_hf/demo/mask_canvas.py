"""The canvas that masks are painted on: a `gr.HTML` whose script keeps a grid of label numbers, not of colors.

Between browser and server a mask is run-length encoded as text, "width height count label count label ...": exact,
and short for painted areas. A label number is a semantic channel, the label's position in the label set.
`page/label_grid.js` is the browser's part.
"""

import re
from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

from ..labels.label_set import LabelSet
from .first_mask import horizon_channels
from .formats import Format
from .page_files import function_body, page_file


NOT_PAINTED = "not painted"  # the palette's name of pixels that the outline model fills


def mask_canvas(
    label_set: LabelSet,
    formats: Sequence[Format],
    value: str,
    *,
    label: str,
    storage: str,
    unpainted: int | None = None,
) -> gr.HTML:
    """Create a canvas with its tools and the labels' palette, which is also the legend. A stroke triggers `input`.

    Args:
        label_set (`LabelSet`): The labels to paint with.
        formats (`Sequence[Format]`): Formats that the canvas can take.
        value (`str`): The first mask, in one of these formats, from `write_canvas`.
        label (`str`): The name of the label to paint with at first.
        storage (`str`): The name under which the browser keeps the canvas through a reload.
        unpainted (`int`, *optional*): The channel of pixels that are not painted, if the model fills them.
    """
    # a function and not a subclass: Gradio writes a stub file beside the source of every component class
    return gr.HTML(
        value=value,
        html_template=page_file("mask_canvas.html"),
        js_on_load=function_body("mask_canvas.js", "mountCanvas(element, props, trigger, watch);"),
        apply_default_css=False,
        elem_id="canvas",  # in mask_canvas.css
        **canvas_props(label_set, formats, label=label, storage=storage, unpainted=unpainted),
    )


def canvas_props(
    label_set: LabelSet, formats: Sequence[Format], *, label: str, storage: str, unpainted: int | None = None
) -> dict[str, Any]:
    """Return the script's properties, except the value; the arguments are those of `mask_canvas`."""
    labels = [
        {"name": NOT_PAINTED if channel == unpainted else label_set.names[channel], "color": color}
        for channel, color in enumerate(label_set.palette.tolist())
    ]
    return {
        "labels": labels,
        "formats": [{"name": one.name, "height": one.canvas_size[0], "width": one.canvas_size[1]} for one in formats],
        "blank": blank_channel(label_set),
        "horizon": horizon_channels(label_set),
        "first": label_set.channel_of(label),
        "storage": storage,
        **({} if unpainted is None else {"unpainted": unpainted}),
    }


def read_canvas(text: str, label_set: LabelSet, formats: Sequence[Format]) -> np.ndarray:
    """Convert the canvas' value to ids, int64 `(H, W)`; ValueError if formats or labels do not fit."""
    sizes = [one.canvas_size for one in formats]
    size = next((size for size in sizes if text.startswith(f"{size[1]} {size[0]} ")), sizes[0])
    try:
        return label_set.channels_to_ids(decode_runs(text, size))
    except ValueError as error:
        raise ValueError(f"The canvas could not be read ({error}). Please reload the page.") from error


def write_canvas(label_map: np.ndarray, label_set: LabelSet) -> str:
    """Convert ids `(H, W)` to the canvas' value; undoes `read_canvas`."""
    return encode_runs(label_set.ids_to_channels(label_map))


def blank_channel(label_set: LabelSet) -> int:
    """Return the channel of transparent pixels: unknown if the label set has it, else sky, else the first label."""
    if label_set.unknown_channel is not None:
        return label_set.unknown_channel
    return label_set.names.index("sky") if "sky" in label_set.names else 0


def encode_runs(channels: np.ndarray) -> str:
    """Encode semantic channels `(H, W)` as runs."""
    flat = channels.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))  # where each run begins
    counts = np.diff(starts, append=flat.size)
    runs = np.stack([counts, flat[starts]], axis=1).ravel()
    return " ".join(map(str, [channels.shape[1], channels.shape[0], *runs.tolist()]))


def decode_runs(text: str, size: tuple[int, int]) -> np.ndarray:
    """Undo `encode_runs`: int64 `(H, W)`, not checked to be channels; ValueError if it is not of that size."""
    pixels = size[0] * size[1]
    if len(text) > 16 * pixels + 64 or not re.fullmatch(r"\d{1,9}( \d{1,9})*", text, flags=re.ASCII):
        raise ValueError("not a text of runs")
    numbers = np.array(text.split(" "), dtype=np.int64)
    runs = numbers[2:].reshape(-1, 2) if len(numbers) % 2 == 0 else np.zeros((0, 2), dtype=np.int64)
    if numbers[:2].tolist() != [size[1], size[0]] or runs[:, 0].sum() != pixels:
        raise ValueError(f"not {size[1]}x{size[0]} pixels")
    return np.repeat(runs[:, 1], runs[:, 0]).reshape(size)
