"""The page: its layout, and the functions that its events call."""

import os
from functools import partial
from types import SimpleNamespace
from typing import Any

import gradio as gr

from .. import BUNDLED_MODEL
from ..pipelines import SPADEPipeline
from .handlers import ASSETS, MASKS, STYLES, Handlers, StyleList, describe
from .keeping import before_painting, canvas_key, recall
from .mask_canvas import mask_canvas
from .no_urls import REFUSE_URLS, BlocksWithoutUrls
from .page_files import PAGE, function_body, page_file
from .painter import Painter, load_pipeline, new_seed
from .scene import DOWNLOADS, SCENE_FILE
from .thumbnails import thumbnails
from .uploads import MAX_FILE_SIZE


STYLE_SHEETS = ("page.css", "mask_canvas.css", "picture_views.css")
IMAGE_FILES = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"]
HOUR = 3600  # seconds that a visitor's files are kept
QUEUE_SIZE = 32  # waiting calls; the next one is told that the demo is busy
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]  # installed fonts: nothing to download
MAX_VIVIDNESS = 1.5
SHOW_COMPARE = """() => { document.dispatchEvent(new CustomEvent("view", { detail: "compare" })); }"""
SHOW_VARIANTS = """(canvas, vividness) => {
    document.dispatchEvent(new CustomEvent("view", { detail: "variants" }));
    return [document.querySelector("#show").dataset.view === "variants" ? canvas : null, vividness];
}"""
SAVE_PICTURE = """() => {
    const link = document.createElement("a");
    link.href = document.querySelector("#picture img").src; link.download = "picture.png"; link.click();
}"""
SAVE_FILE = """(file) => {
    const link = document.createElement("a");
    link.href = file.url; link.download = file.orig_name; link.click();
    if (file.orig_name === "SCENE") document.dispatchEvent(new Event("scene-saved")); // the canvas stops warning
}""".replace("SCENE", SCENE_FILE)
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
    """Build the page around a model.

    Args:
        pipeline (`SPADEPipeline`): Any model. Without styles or a style encoder, the page lacks their controls.

    Returns:
        `gr.Blocks`: The page with its queue; start it by `demo.launch(**launch_options())`.
    """
    painter = Painter(pipeline)
    on = Handlers(painter)
    with BlocksWithoutUrls(title="Paint with labels", delete_cache=(HOUR, HOUR), analytics_enabled=False) as demo:
        page = lay_out(on, on.first_canvas(), on.first_styles())
        wire(on, page)
    return demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=4)


def lay_out(on: Handlers, canvas: str, styles: StyleList | None) -> SimpleNamespace:
    """Place all components, starting with this canvas and these styles."""
    painter, page = on.painter, SimpleNamespace()
    page.styles, page.variants, page.kept = (gr.JSON(value, visible=False) for value in (styles, None, None))
    page.file = gr.File(visible=False)  # the link that a download follows
    gr.HTML(f"<h1>Paint with labels</h1><p>{on.invitation()}</p>", elem_id="header")
    with gr.Row(equal_height=False, elem_id="sides"):
        with gr.Column(min_width=300, elem_id="left"):
            page.canvas = mask_canvas(
                painter.label_set, painter.formats, canvas, label=on.first_label(),
                storage=canvas_key(painter.fingerprint),
            )  # fmt: skip
        with gr.Column(min_width=300, elem_id="right"):
            lay_out_picture(on, page, canvas, styles)
            with gr.Column(elem_id="style", visible=painter.has_styles):
                lay_out_style(on, page, styles)
    with gr.Row(equal_height=False, elem_id="files"):
        with gr.Column(min_width=300, elem_id="start"):
            lay_out_start(on, page)
        with gr.Column(min_width=300, elem_id="save"):
            heading(
                "Download", "The mask in colours or as grey label numbers, the style, or the scene to continue later."
            )
            with gr.Row():
                page.downloads = {
                    what: gr.Button(what, size="sm", min_width=80, visible=what != "Style" or painter.has_styles)
                    for what in DOWNLOADS
                }
    page.shown = [page.picture, page.status, page.examples]
    with gr.Accordion("Use it from code", open=False):
        gr.Markdown(API_HELP)
    with gr.Column(visible=False):  # inputs and output of the API endpoint, not shown on the page
        page.api = [
            gr.File(label="mask", type="binary"),
            gr.File(label="style", type="binary"),
            gr.Number(label="seed"),
        ]
        page.api_picture = gr.Image(label="picture", format="png")
    return page


def lay_out_picture(on: Handlers, page: SimpleNamespace, canvas: str, styles: StyleList | None) -> None:
    """Place the picture, its overlays and its buttons."""
    with gr.Row(elem_id="actions"):
        page.four = gr.Button(
            "Four styles", visible=on.painter.has_styles, elem_id="four", size="md", min_width=70
        )  # fmt: skip
        page.compare = gr.Button("Compare", elem_id="compare-view", size="md", min_width=70)
        page.save = gr.Button("Save picture", elem_id="save-picture", size="md", min_width=70)
        page.live = gr.Checkbox(True, label="Live", container=False, elem_id="live", min_width=60)
        page.paint = gr.Button("Paint", variant="primary", elem_id="paint", size="md", min_width=70, visible=False)
    picture, line = on.first_picture(canvas, styles)
    with gr.Column(elem_id="show", min_width=100):
        page.picture = gr.Image(picture, format="png", show_label=False, elem_id="picture", buttons=["fullscreen"])
        gr.HTML(
            html_template=page_file("picture_views.html"),
            js_on_load=function_body("picture_views.js", "mountViews(element);"),
            apply_default_css=False, elem_id="compare",
        )  # fmt: skip
        page.gallery = gr.Gallery(
            elem_id="variants", columns=2, height="auto", format="png", show_label=False, buttons=[],
            allow_preview=False, interactive=False,
        )  # fmt: skip
    page.status = gr.HTML(line, elem_id="status")


def lay_out_start(on: Handlers, page: SimpleNamespace) -> None:
    """Place the ways to start a canvas."""
    heading("Start from", ("An example, your" if on.has_examples else "Your") + " own mask, or a scene you saved.")
    page.masks = thumbnails(
        [ASSETS / f"{name}_mask.png" for name in MASKS], MASKS,
        label="Example masks", elem_id="masks", visible=on.has_examples, value=MASKS[0],
    )  # fmt: skip
    page.open = gr.UploadButton(
        "Open a mask or a scene", type="binary", file_types=[*IMAGE_FILES, ".json"], elem_id="open", size="md"
    )
    with gr.Column(visible=False, elem_id="ask") as page.ask:
        page.question = gr.HTML()
        with gr.Row():
            page.as_style = gr.Button("Use as style", visible=on.painter.reads_pictures, size="md", min_width=90)
            page.as_mask = gr.Button("Open as mask", size="md", min_width=90)
            page.as_nothing = gr.Button("Neither", size="md", min_width=70)


def lay_out_style(on: Handlers, page: SimpleNamespace, styles: StyleList | None) -> None:
    """Place the ways to choose a style, and the blend of the last two."""
    reads_pictures = on.painter.reads_pictures
    page.examples = thumbnails(
        [ASSETS / f"{name}_style.jpg" for name in STYLES], STYLES,
        label="Example styles", elem_id="styles", visible=on.has_example_styles, value=STYLES[0],
    )  # fmt: skip
    with gr.Row(elem_id="pick"):
        page.surprise = gr.Button("Surprise me", elem_id="surprise", size="md", min_width=90)
        page.own = gr.UploadButton(
            "Your picture", type="binary", file_types=IMAGE_FILES, visible=reads_pictures, elem_id="own", size="md",
            min_width=90,
        )  # fmt: skip
        page.seed = gr.Number(0, label="Seed", precision=0, minimum=0, container=False, elem_id="seed", min_width=90)
    with gr.Row(elem_id="sliders"):
        with gr.Column(min_width=120):
            page.names = gr.HTML(describe(styles), elem_id="blend-names")
            page.blend = small_slider(1, 1, "Blend of the last two styles", "blend")
        with gr.Column(min_width=120):
            gr.HTML("<div class='ends'><span>calm</span><span>vivid</span></div>")
            page.vividness = small_slider(MAX_VIVIDNESS, 1, "How vivid a random style is", "vividness")


def small_slider(maximum: float, value: float, label: str, name: str) -> gr.Slider:
    """Create a slider from 0, without a number field."""
    return gr.Slider(
        0, maximum, value, step=0.01, label=label, container=False, show_label=False, buttons=[], elem_id=name
    )


def heading(title: str, text: str = "") -> None:
    """Show a section's title and purpose."""
    gr.HTML(f"<h3>{title}</h3><p>{text}</p>", elem_classes="heading")


def wire(on: Handlers, page: SimpleNamespace) -> None:
    """Connect the events to their functions."""
    private = {"api_visibility": "private"}
    # otherwise Gradio marks all outputs of an event as failed if it fails
    hidden = {**private, "show_progress": "hidden"}
    model = {**private, "concurrency_id": "model", "concurrency_limit": 1}  # the cores paint one picture at a time
    quiet = {**model, "show_progress": "hidden"}
    scene = [page.canvas, page.styles, page.blend]
    picked = [page.styles, page.blend, page.names]
    keep = {"js": before_painting(on.painter.fingerprint)}
    paint = {"fn": on.paint, "inputs": scene, "outputs": page.shown, **quiet, **keep}

    restored = [*picked, page.masks, *page.shown]
    gr.on(None, on.restore, page.kept, restored, js=recall(on.painter.fingerprint), **quiet)  # when the page loads
    page.paint.click(on.paint, scene, page.shown, show_progress_on=page.status, **model, **keep)
    page.live.change(lambda live: gr.update(visible=not live), page.live, page.paint, **hidden)
    page.canvas.input(on.paint_live, [page.live, *scene], page.shown, trigger_mode="always_last", **quiet, **keep)
    page.blend.input(**paint, trigger_mode="always_last")
    page.masks.select(on.pick_example_mask, page.canvas, [page.canvas, page.masks], **hidden).success(**paint)
    file = [page.open, page.styles, page.blend]
    opened = [page.canvas, *picked, page.masks, page.ask, page.question]
    opening = page.open.upload(on.open_file, file, opened, **hidden)
    opening.success(**paint)
    page.as_mask.click(partial(on.open_file, is_mask=True), file, opened, **hidden).success(**paint)
    page.as_style.click(on.pick_own_picture, [page.styles, page.open], picked, **quiet).success(**paint)
    for answered in (opening.failure, page.as_style.click, page.as_nothing.click):
        answered(lambda: gr.update(visible=False), None, page.ask, **hidden)
    page.examples.select(on.pick_example_style, page.styles, picked, **quiet).success(**paint)
    page.own.upload(on.pick_own_picture, [page.styles, page.own], picked, **quiet).success(**paint)
    random = [page.styles, page.seed, page.vividness]
    page.surprise.click(new_seed, None, page.seed, **hidden).success(on.pick_seed, random, picked, **quiet).success(
        **paint
    )
    for changed in (page.seed.submit, page.vividness.release):
        changed(on.pick_seed, random, picked, **quiet).success(**paint)
    page.compare.click(None, js=SHOW_COMPARE, **private)
    page.save.click(None, js=SAVE_PICTURE, **private)
    page.four.click(
        on.paint_variants, [page.canvas, page.vividness], [page.variants, page.gallery], js=SHOW_VARIANTS, **model
    )
    page.gallery.select(on.pick_variant, [page.styles, page.variants], picked, **quiet).success(**paint)
    for what, button in page.downloads.items():
        save = partial(on.download, what, page.file.GRADIO_CACHE)
        button.click(save, scene, page.file, **hidden).success(None, page.file, js=SAVE_FILE, **private)
    gr.on(
        [], on.generate, page.api, page.api_picture, api_name="generate", concurrency_id="model", concurrency_limit=1
    )  # fmt: skip


def launch_options() -> dict[str, Any]:
    """Return the options of `demo.launch` for the page's look and limits."""
    shrink = function_body("shrink_uploads.js", "shrinkUploads();")
    return {
        "theme": gr.themes.Soft(
            primary_hue="teal", secondary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=["monospace"]
        ),
        "css_paths": [PAGE / name for name in STYLE_SHEETS],
        "head": f"<script>(() => {{ {shrink} }})();</script>",
        "max_file_size": MAX_FILE_SIZE,
        "app_kwargs": {"middleware": [REFUSE_URLS]},
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "run_history": False,
    }


def main(model: str | None = None, *, host: str | None = None, port: int | None = None) -> None:
    """Start the demo and serve it until it is interrupted.

    Args:
        model (`str`, *optional*): Folder or Hub id; default: `SPADE_MODEL_ID` of the environment, else the bundled
            model.
        host (`str`, *optional*): Address to listen on; default: Gradio's, this machine only.
        port (`int`, *optional*): Default: the first free one from 7860 on.
    """
    pipeline = load_pipeline(model or os.environ.get("SPADE_MODEL_ID") or BUNDLED_MODEL)
    demo = build_demo(pipeline)
    bypass_proxy(host)
    demo.launch(server_name=host, server_port=port, quiet=True, prevent_thread_lock=True, **launch_options())
    print(f"Paint at {demo.local_url} (Ctrl-C ends it)", flush=True)  # noqa: T201
    demo.block_thread()


def bypass_proxy(host: str | None) -> None:
    """Let Gradio reach its own server, as it does at its start, without the proxy of a company's network."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    names = ",".join(filter(None, [given, "localhost", "127.0.0.1", "::1", host]))
    os.environ.update(no_proxy=names, NO_PROXY=names)
