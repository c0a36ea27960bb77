"""The page: what it looks like, and which function each event calls."""

import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from .. import BUNDLED_MODEL
from ..pipelines import SPADEPipeline
from .handlers import ASSETS, MASKS, STYLES, Handlers, describe, new_seed
from .mask_canvas import mask_canvas
from .painter import Painter, Styles, load_pipeline
from .scene import DOWNLOADS
from .thumbnails import thumbnails
from .uploads import MAX_FILE_SIZE


PAGE_CSS = Path(__file__).parent / "page.css"
IMAGE_FILES = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"]
HOUR = 3600  # seconds that a visitor's files and state are kept
QUEUE_SIZE = 32  # waiting calls; the next one is told that the demo is busy
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]  # of the visitor's machine: nothing to load
HEADER = "<h1>Paint with labels</h1><p>Draw where sky, mountains and water are. The model paints the picture.</p>"
SAVE_FILE = """(file) => {
    const link = document.createElement("a");
    link.href = file.url; link.download = file.orig_name; link.click();
}"""
API_HELP = """```python
from gradio_client import Client, handle_file

picture = Client("URL of this page").predict(
    mask=handle_file("mask.png"),     # label ids, or the labels' colours
    style=handle_file("sunset.jpg"),  # or None: the random style of `seed`
    seed=0,
    api_name="/generate",
)                                     # the path of a PNG
```"""


def build_demo(pipeline: SPADEPipeline) -> gr.Blocks:
    """
    Build the page around a model.

    Args:
        pipeline (`SPADEPipeline`): Any; what it cannot do (styles, styles from pictures) is left out of the page.

    Returns:
        `gr.Blocks`: With its queue; start it by `demo.launch(**launch_options())`.
    """
    painter = Painter(pipeline)
    on = Handlers(painter)
    canvas, styles = on.first_canvas(), on.first_styles()
    with gr.Blocks(title="Paint with labels", delete_cache=(HOUR, HOUR), analytics_enabled=False) as demo:
        page = lay_out(on, canvas, styles, on.paint(canvas, styles, 1.0))
        wire(on, page)
    return demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=4)


def lay_out(on: Handlers, canvas: str, styles: Styles | None, shown: tuple) -> SimpleNamespace:
    """Place everything, starting with this canvas, these styles and what `Handlers.show` made of them."""
    painter, page = on.painter, SimpleNamespace()
    painting, picture, pair, facts = shown
    page.styles = gr.State(styles, time_to_live=HOUR)
    page.painting = gr.State(painting, time_to_live=HOUR)
    page.variants = gr.State([], time_to_live=HOUR)
    page.file = gr.File(visible=False)  # the link that a download follows
    gr.HTML(HEADER, elem_id="header")
    with gr.Row(equal_height=False, elem_id="sides"):
        with gr.Column(min_width=300, elem_id="left"):
            page.canvas = mask_canvas(painter.label_set, painter.canvas_size, canvas, elem_id="canvas")
            with gr.Column(elem_id="start"):
                lay_out_start(on, page)
            with gr.Column(elem_id="save"):
                heading("Download", "What the picture was made of, or the scene: a file to open here again.")
                with gr.Row():
                    page.downloads = {what: gr.Button(what, size="sm", min_width=80) for what in DOWNLOADS}
                    page.scene = gr.Button("Scene", size="sm", min_width=80)
        with gr.Column(min_width=300, elem_id="right"):
            with gr.Column(elem_id="show"), gr.Tabs(selected="picture") as page.tabs:
                with gr.Tab("Picture", id="picture"):
                    page.picture = gr.Image(
                        picture, format="png", show_label=False, elem_id="picture", buttons=["fullscreen"]
                    )
                with gr.Tab("Compare", id="compare"):
                    page.compare = gr.ImageSlider(
                        pair, format="png", show_label=False, elem_id="compare", buttons=[], interactive=False
                    )
                with gr.Tab("Four styles", id="variants", visible=painter.has_styles):
                    page.gallery = gr.Gallery(
                        elem_id="variants", columns=2, height="auto", format="png", show_label=False, buttons=[],
                        allow_preview=False, interactive=False,
                    )  # fmt: skip
            with gr.Row(elem_id="actions"):
                page.paint = gr.Button("Paint", variant="primary", elem_id="paint", min_width=90)
                page.four = gr.Button("Four styles", visible=painter.has_styles, elem_id="four", min_width=110)
                page.live = gr.Checkbox(True, label="Live", container=False, elem_id="live", min_width=70)
                page.status = gr.HTML(facts, elem_id="status", min_width=300)
            with gr.Column(elem_id="style", visible=painter.has_styles):
                lay_out_style(on, page, styles)
    with gr.Accordion("Use it from code", open=False):
        gr.Markdown(API_HELP)
    with gr.Column(visible=False):  # the endpoint's form: it has no place on the page
        page.api = [
            gr.File(label="mask", type="binary"),
            gr.File(label="style", type="binary"),
            gr.Number(label="seed"),
        ]
        page.api_picture = gr.Image(label="picture", format="png")
    return page


def lay_out_start(on: Handlers, page: SimpleNamespace) -> None:
    """What a canvas can begin with."""
    heading("Start from", "An example, your own mask, or a scene you saved.")
    page.masks = thumbnails(
        [ASSETS / f"{name}_mask.png" for name in MASKS], MASKS,
        label="Example masks", elem_id="masks", visible=on.has_examples,
    )  # fmt: skip
    page.open = gr.UploadButton(
        "Open a mask or a scene", type="binary", file_types=[*IMAGE_FILES, ".json"], elem_id="open", size="md"
    )


def lay_out_style(on: Handlers, page: SimpleNamespace, styles: Styles | None) -> None:
    """Ways to a style, and the blend of the last two."""
    reads_pictures = on.painter.reads_pictures
    heading("Style", "The light and the colours. It stays while you paint.")
    page.examples = thumbnails(
        [ASSETS / f"{name}_style.jpg" for name in STYLES], STYLES,
        label="Example styles", elem_id="styles", visible=reads_pictures,
    )  # fmt: skip
    with gr.Row():
        page.surprise = gr.Button("Surprise me", elem_id="surprise", size="md", min_width=90)
        page.own = gr.UploadButton(
            "Your picture", type="binary", file_types=IMAGE_FILES, visible=reads_pictures, elem_id="own", size="md",
            min_width=90,
        )  # fmt: skip
        page.seed = gr.Number(0, label="Seed", precision=0, minimum=0, container=False, elem_id="seed", min_width=90)
    page.names = gr.HTML(describe(styles), elem_id="blend-names")
    page.blend = gr.Slider(
        0, 1, 1, step=0.01, label="Blend of the last two styles", container=False, show_label=False, buttons=[],
        elem_id="blend",
    )  # fmt: skip


def heading(title: str, text: str = "") -> None:
    """A section's title and what it is for."""
    gr.HTML(f"<h3>{title}</h3><p>{text}</p>", elem_classes="heading")


def wire(on: Handlers, page: SimpleNamespace) -> None:
    """Say which function each event calls."""
    private = {"api_visibility": "private"}
    model = {**private, "concurrency_id": "model", "concurrency_limit": 1}  # the cores paint one picture at a time
    quiet = {**model, "show_progress": "hidden"}
    scene = [page.canvas, page.styles, page.blend]
    shown = [page.painting, page.picture, page.compare, page.status]
    picked = [page.styles, page.blend, page.names]
    paint = {"fn": on.paint, "inputs": scene, "outputs": shown, **quiet}

    page.paint.click(on.paint, scene, shown, **model)
    page.canvas.input(on.paint_live, [page.live, *scene], shown, trigger_mode="always_last", **quiet)
    page.blend.input(on.paint, scene, shown, trigger_mode="always_last", **quiet)
    page.masks.select(on.pick_example_mask, None, page.canvas, **private).success(**paint)
    page.open.upload(on.open_file, [page.open, page.styles, page.blend], [page.canvas, *picked], **private).success(
        **paint
    )
    page.examples.select(on.pick_example_style, page.styles, picked, **quiet).success(**paint)
    page.own.upload(on.pick_own_picture, [page.styles, page.own], picked, **quiet).success(**paint)
    page.surprise.click(new_seed, None, page.seed, **private).success(
        on.pick_seed, [page.styles, page.seed], picked, **quiet
    ).success(**paint)
    page.seed.submit(on.pick_seed, [page.styles, page.seed], picked, **quiet).success(**paint)
    page.four.click(lambda: gr.Tabs(selected="variants"), None, page.tabs, **private).success(
        on.paint_variants, page.canvas, [page.variants, page.gallery], **model
    )
    page.gallery.select(on.pick_variant, [page.styles, page.variants], [*picked, *shown], **quiet).success(
        lambda: gr.Tabs(selected="picture"), None, page.tabs, **private
    )
    cache = page.file.GRADIO_CACHE
    for what, button in page.downloads.items():
        save = partial(on.download, what, cache)
        button.click(save, page.painting, page.file, **private).success(None, page.file, js=SAVE_FILE, **private)
    save = partial(on.download_scene, cache)
    page.scene.click(save, scene, page.file, **private).success(None, page.file, js=SAVE_FILE, **private)
    gr.on(
        [], on.generate, page.api, page.api_picture, api_name="generate", concurrency_id="model", concurrency_limit=1
    )  # fmt: skip


def launch_options() -> dict[str, Any]:
    """What `demo.launch` needs for the page to look right and stay within its limits."""
    return {
        "theme": gr.themes.Soft(
            primary_hue="teal", secondary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=["monospace"]
        ),
        "css_paths": PAGE_CSS,
        "max_file_size": MAX_FILE_SIZE,
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "run_history": False,
    }


def main(model: str | None = None, *, host: str | None = None, port: int | None = None) -> None:
    """
    Start the demo and serve it until it is interrupted.

    Args:
        model (`str`, *optional*): Folder or Hub id; default: `SPADE_MODEL_ID` of the environment, else the bundled
            model.
        host (`str`, *optional*): Address to listen on; default: Gradio's, this machine only.
        port (`int`, *optional*): Default: the first free one from 7860 on.
    """
    pipeline = load_pipeline(model or os.environ.get("SPADE_MODEL_ID") or BUNDLED_MODEL)
    build_demo(pipeline).launch(server_name=host, server_port=port, **launch_options())
