"""The page: the functions that its events call, and the server. Its layout is in `layout.py`."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import Dependency

from .. import BUNDLED_MODEL
from ..pipelines import SPADEPipeline
from .handlers import Handlers
from .keeping import before_painting, recall
from .layout import Page, lay_out
from .no_urls import REFUSE_URLS, BlocksWithoutUrls
from .page_files import PAGE, function_body
from .painter import Painter, load_pipeline, new_seed
from .scene import SCENE_FILE
from .uploads import MAX_FILE_SIZE


STYLE_SHEETS = ("page.css", "mask_canvas.css", "picture_views.css", "thumbnails.css")
HOUR = 3600  # seconds that a visitor's files are kept
QUEUE_SIZE = 32  # waiting calls; the next one is told that the demo is busy
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]  # installed fonts: nothing to download
SHOW_COMPARE = """() => { document.dispatchEvent(new CustomEvent("view", { detail: "compare" })); }"""
SHOW_VARIANTS = """(canvas, ...others) => {
    document.dispatchEvent(new CustomEvent("view", { detail: "variants" }));
    return [document.querySelector("#show").dataset.view === "variants" ? canvas : null, ...others];
}"""
# the old image is dimmed from WAIT, before an event, until PAINTED
# after the picture of a stroke as it is: the outlines, unless the pen is at work again
SHOW_NATURAL = """(live, canvas, ...others) => {
    const isPainting = document.querySelector("#canvas .stage").hasAttribute("data-painting");
    return [live, isPainting ? null : canvas, ...others];
}"""
WAIT = """(...inputs) => { document.dispatchEvent(new Event("waiting")); return inputs; }"""
PAINTED = """(image) => { document.dispatchEvent(new CustomEvent("painted", { detail: image?.url })); }"""
SHOW_PHOTO = """(photo) => { document.dispatchEvent(new CustomEvent("photo", { detail: photo })); }"""
RESTORED = PAINTED.replace("painted", "restored")
SAVE_IMAGE = """() => {
    const link = document.createElement("a");
    link.href = document.querySelector("#picture img").src; link.download = "picture.png"; link.click();
}"""
SAVE_TWICE = """() => { document.dispatchEvent(new Event("save-twice")); }"""
SAVE_FILE = """(file) => {
    const link = document.createElement("a");
    link.href = file.url; link.download = file.orig_name; link.click();
    if (file.orig_name === "SCENE") document.dispatchEvent(new Event("scene-saved")); // the canvas stops warning
}""".replace("SCENE", SCENE_FILE)


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


def wire(on: Handlers, page: Page) -> None:
    """Connect the events to their functions."""
    private: dict[str, Any] = {"api_visibility": "private"}
    # otherwise Gradio marks all outputs of an event as failed if it fails
    hidden: dict[str, Any] = {**private, "show_progress": "hidden"}
    # the cores paint one image at a time
    model: dict[str, Any] = {**private, "concurrency_id": "model", "concurrency_limit": 1}
    quiet: dict[str, Any] = {**model, "show_progress": "hidden"}
    # outlines are drawn beside the strokes' images, which do not wait for one that is outdated
    natural: dict[str, Any] = {**quiet, "concurrency_id": "outlines"} if on.painter.has_outlines else quiet
    scene = [page.canvas, page.styles, page.blend]
    outlines = [page.strength, page.outline_seed]
    picked = page.picked
    keep: dict[str, Any] = {"js": before_painting(on.painter.fingerprint)}
    paint: dict[str, Any] = {"fn": on.paint, "inputs": [*scene, *outlines], "outputs": page.shown, **natural, **keep}

    restored = [*picked, page.masks, page.image, page.status, *outlines]
    loading = gr.on(None, on.restore, page.kept, restored, js=recall(on.painter.fingerprint), **quiet)
    loading.then(None, page.image, js=RESTORED, **private)
    page.paint.click(on.paint, [*scene, *outlines], page.shown, show_progress_on=page.status, **model, **keep)
    page.live.change(lambda live: gr.update(visible=not live), page.live, page.paint, **hidden)
    drawn = [page.live, *scene, *outlines]
    painting = page.canvas.input(on.paint_live, drawn, page.shown, trigger_mode="always_last", **quiet, **keep)
    if on.painter.has_outlines:
        drawing = painting.success(
            on.paint_natural, drawn, page.shown, js=SHOW_NATURAL, trigger_mode="always_last", **natural
        )
        page.canvas.edit(None, cancels=drawing, **private)
        page.strength.input(**paint, trigger_mode="always_last")
    page.blend.input(**paint, trigger_mode="always_last")
    page.blend.input(on.show_blend, [page.styles, page.blend], page.examples, trigger_mode="always_last", **hidden)

    def then_paint(picking: Dependency) -> None:
        """Paint after a successful event that changes the scene."""
        picking.failure(None, page.image, js=PAINTED, **private)
        picking.success(**paint).then(None, page.image, js=PAINTED, **private)

    then_paint(page.masks.select(on.pick_example_mask, page.canvas, page.canvas, js=WAIT, **hidden))
    opened = [page.canvas, *picked, page.masks, page.ask, page.question]
    opening = page.open.upload(on.open_file, page.open, opened, js=WAIT, **hidden)
    then_paint(opening)
    then_paint(page.as_mask.click(partial(on.open_file, is_mask=True), page.open, opened, js=WAIT, **hidden))
    then_paint(page.as_style.click(on.pick_own_image, [page.styles, page.open], picked, js=WAIT, **quiet))
    started = [page.canvas, *picked, page.masks, page.start_photo, page.ask]
    for starting, file in ((page.photo.upload, page.photo), (page.as_photo.click, page.open)):
        photographed = starting(on.pick_photo, [page.styles, file], started, js=WAIT, **quiet)
        photographed.success(None, page.start_photo, js=SHOW_PHOTO, **private)
        then_paint(photographed)
    for answered in (opening.failure, page.as_style.click, page.as_nothing.click):
        answered(lambda: gr.update(visible=False), None, page.ask, **hidden)
    then_paint(page.examples.select(on.pick_thumbnail, page.styles, picked, js=WAIT, **quiet))
    then_paint(page.own.upload(on.pick_own_image, [page.styles, page.own], picked, js=WAIT, **quiet))
    random = [page.styles, page.seed, page.vividness]
    surprising = page.surprise.click(new_seed, None, page.seed, js=WAIT, **hidden)
    then_paint(surprising.success(on.pick_seed, random, picked, **quiet))
    for changed in (page.seed.submit, page.vividness.release):
        then_paint(changed(on.pick_seed, random, picked, js=WAIT, **quiet))
    then_paint(page.die.click(new_seed, None, page.outline_seed, js=WAIT, **hidden))
    taken = page.take_over.click(on.take_over, [page.canvas, *outlines], [page.canvas, page.strength], **natural)
    taken.success(**paint)  # the same image; the browser keeps the strength
    then_paint(page.new_layout.click(on.new_layout, page.canvas, [page.canvas, page.masks], js=WAIT, **natural))
    page.compare.click(None, js=SHOW_COMPARE, **private)
    page.save.click(None, js=SAVE_IMAGE, **private)
    page.save_twice.click(None, js=SAVE_TWICE, **private)
    page.four.click(
        on.paint_variants,
        [page.canvas, page.vividness, *outlines],
        [page.variants, page.gallery],
        js=SHOW_VARIANTS,
        **model,
    )
    then_paint(page.gallery.select(on.pick_variant, [page.styles, page.variants], picked, js=WAIT, **quiet))
    for what, button in page.downloads.items():
        save = partial(on.download, what, page.file.GRADIO_CACHE)
        button.click(save, scene, page.file, **hidden).success(None, page.file, js=SAVE_FILE, **private)
    public: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
    gr.on([], on.generate, page.api, page.api_image, api_name="generate", **public)
    gr.on([], on.labels, None, page.api_labels, api_name="labels", **public)
    if on.painter.has_outlines:
        gr.on([], on.refine, page.api_refine, page.api_image, api_name="refine", **public)
    if on.painter.reads_photos:
        gr.on([], on.segment, page.api_segment, page.api_image, api_name="segment", **public)


def launch_options(*, mcp: bool = False) -> dict[str, Any]:
    """Return the options of `demo.launch` for the page's look and limits.

    Args:
        mcp (`bool`, defaults to `False`): Whether the endpoints are tools for agents (Model Context Protocol), below
            `gradio_api/mcp/`; needs the extra `mcp`. If not, Gradio's variable `GRADIO_MCP_SERVER` decides.
    """
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
        "mcp_server": mcp or None,
    }


def main(
    model: str | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    mcp: bool = False,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Start the demo and serve it until it is interrupted.

    Args:
        model (`str`, *optional*): Folder or Hub id; default: `SPADE_MODEL_ID` of the environment, else the bundled
            model.
        host (`str`, *optional*): Address to listen on; default: Gradio's, this machine only.
        port (`int`, *optional*): Default: the first free one from 7860 on.
        mcp (`bool`, defaults to `False`): Whether the page also has tools for agents; see [`launch_options`].
        on_start (`Callable[[str], None]`, *optional*): Called with the page's address when it is served.
    """
    pipeline = load_pipeline(model or os.environ.get("SPADE_MODEL_ID") or BUNDLED_MODEL)
    demo = build_demo(pipeline)
    bypass_proxy(host)
    demo.launch(server_name=host, server_port=port, quiet=True, prevent_thread_lock=True, **launch_options(mcp=mcp))
    if on_start is not None:
        on_start(str(demo.local_url))
    demo.block_thread()


def bypass_proxy(host: str | None) -> None:
    """Let Gradio reach its own server, as it does at its start, without the proxy of a company's network."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    names = ",".join(filter(None, [given, "localhost", "127.0.0.1", "::1", host]))
    os.environ.update(no_proxy=names, NO_PROXY=names)
