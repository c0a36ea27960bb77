"""The layout of the page: all components and where they are."""

from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from .handlers import FIRST_STRENGTH, MASK_FILES, MASKS, STYLE_FILES, STYLES, Handlers, StyleList, describe
from .keeping import canvas_key, own_style_key, recall
from .mask_canvas import mask_canvas
from .page_files import function_body, page_file
from .scene import DOWNLOADS
from .thumbnails import thumbnails


IMAGE_FILES = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"]
MAX_VIVIDNESS = 1.5
API_HELP = """```python
from gradio_client import Client, handle_file

picture = Client("URL of this page").predict(
    mask=handle_file("mask.png"),     # label ids, or the labels' colors
    style=handle_file("sunset.jpg"),  # or None: the random style of `seed`
    seed=0,
    api_name="/generate",
)                                     # the path of a PNG
```"""


@dataclass(init=False)
class Page:
    """The components that events read or change; each is set by the function that places it."""

    canvas: gr.HTML
    styles: gr.JSON  # the last two, as `Styles.to_list` gives them
    variants: gr.JSON  # the four styles to choose from
    kept: gr.JSON  # what the browser kept through a reload
    file: gr.File  # the link that a download follows

    four: gr.Button
    compare: gr.Button
    save: gr.Button
    save_twice: gr.Button
    live: gr.Checkbox
    paint: gr.Button
    image: gr.Image
    gallery: gr.Gallery
    status: gr.HTML
    shown: list[Component]  # what a painting changes
    picked: list[Component]  # what another style changes

    strength: gr.Slider  # of natural outlines
    outline_seed: gr.Number
    die: gr.Button
    take_over: gr.Button
    new_layout: gr.Button

    examples: gr.HTML
    surprise: gr.Button
    own: gr.UploadButton
    seed: gr.Number
    names: gr.HTML  # of the last two styles
    blend: gr.Slider
    vividness: gr.Slider

    masks: gr.HTML
    photo: gr.UploadButton
    start_photo: gr.JSON  # {mask, image}: the photograph that the canvas started from
    open: gr.UploadButton
    ask: gr.Column
    question: gr.HTML
    as_photo: gr.Button
    as_style: gr.Button
    as_mask: gr.Button
    as_nothing: gr.Button
    downloads: dict[str, gr.Button]

    api: list[gr.File | gr.Number]
    api_refine: list[gr.File | gr.Number]
    api_segment: gr.File
    api_image: gr.Image
    api_labels: gr.JSON


def lay_out(on: Handlers, canvas: str, styles: StyleList | None) -> Page:
    """Place all components, starting with this canvas and these styles."""
    painter, page = on.painter, Page()
    page.styles, page.variants, page.kept, page.start_photo = (
        gr.JSON(value, visible=False) for value in (styles, None, None, None)
    )
    page.file = gr.File(visible=False)
    gr.HTML(f"<h1>Paint with labels</h1><p>{on.invitation()}</p>", elem_id="header")
    with gr.Row(equal_height=False, elem_id="sides"):
        with gr.Column(min_width=300, elem_id="left"):
            page.canvas = mask_canvas(
                painter.canvas_labels, painter.formats, canvas, label=on.first_label(),
                storage=canvas_key(painter.fingerprint), unpainted=painter.unpainted,
            )  # fmt: skip
        with gr.Column(min_width=300, elem_id="right"):
            lay_out_image(on, page, canvas, styles)
            lay_out_outlines(on, page)
            with gr.Column(elem_id="style", visible=painter.has_styles):
                lay_out_style(on, page, styles)
    with gr.Row(equal_height=False, elem_id="files"):
        with gr.Column(min_width=300, elem_id="start"):
            lay_out_start(on, page)
        with gr.Column(min_width=300, elem_id="save"):
            heading(
                "Download",
                "The picture at twice its size, the mask in colors or as gray label numbers, the style, or the scene "
                "to continue later.",
            )
            with gr.Row():
                page.save_twice = gr.Button("Picture ×2", size="sm", min_width=80)
                page.downloads = {
                    what: gr.Button(what, size="sm", min_width=80, visible=what != "Style" or painter.has_styles)
                    for what in DOWNLOADS
                }
    page.shown = [page.image, page.status, page.examples]
    page.picked = [page.styles, page.blend, page.names, page.seed, page.examples]
    with gr.Accordion("Use it from code", open=False):
        gr.Markdown(API_HELP)
    with gr.Column(visible=False):  # inputs and outputs of the API endpoints, not shown on the page
        mask, seed = gr.File(label="mask", type="binary"), gr.Number(label="seed")
        page.api = [mask, gr.File(label="style", type="binary"), seed]
        page.api_refine = [mask, gr.Number(label="strength"), seed]
        page.api_segment = gr.File(label="photo", type="binary")
        page.api_image = gr.Image(label="picture", format="png")
        page.api_labels = gr.JSON(label="labels")
    return page


def lay_out_image(on: Handlers, page: Page, canvas: str, styles: StyleList | None) -> None:
    """Place the image, its overlays and its buttons."""
    with gr.Row(elem_id="actions"):
        page.four = gr.Button(
            "Four styles", visible=on.painter.has_styles, elem_id="four", size="md", min_width=70
        )  # fmt: skip
        page.compare = gr.Button("Compare", elem_id="compare-view", size="md", min_width=70)
        page.save = gr.Button("Save picture", elem_id="save-picture", size="md", min_width=70)
        page.live = gr.Checkbox(True, label="Live", container=False, elem_id="live", min_width=60)
        page.paint = gr.Button("Paint", variant="primary", elem_id="paint", size="md", min_width=70, visible=False)
    image, line = on.first_image(canvas, styles)
    restores = f"({recall(on.painter.fingerprint)})()[0] !== null"
    with gr.Column(elem_id="show", min_width=100):
        page.image = gr.Image(
            image, format="png", show_label=False, elem_id="picture", buttons=["fullscreen"], interactive=False
        )  # fmt: skip
        gr.HTML(
            html_template=page_file("picture_views.html"),
            js_on_load=function_body("picture_views.js", f"mountViews(element, {restores});"),
            apply_default_css=False, elem_id="compare",
        )  # fmt: skip
        page.gallery = gr.Gallery(
            elem_id="variants", columns=2, height="auto", format="png", show_label=False, buttons=[],
            allow_preview=False, interactive=False,
        )  # fmt: skip
    page.status = gr.HTML(line, elem_id="status")


def lay_out_outlines(on: Handlers, page: Page) -> None:
    """Place the ways to change outlines, for a model that can."""
    page.outline_seed = gr.Number(0, precision=0, visible=False)
    with gr.Row(elem_id="outlines", visible=on.painter.has_outlines):
        with gr.Column(min_width=150):
            gr.HTML("<div class='ends'><span>Outlines: as painted</span><span>natural</span></div>")
            page.strength = small_slider(1, FIRST_STRENGTH, "How freely outlines are drawn", "strength")
        page.die = gr.Button("Draw anew", elem_id="die", size="md", min_width=70)
        page.take_over = gr.Button("Take over", elem_id="take-over", size="md", min_width=70)
        page.new_layout = gr.Button("New layout", elem_id="new-layout", size="md", min_width=70)


def lay_out_start(on: Handlers, page: Page) -> None:
    """Place the ways to start a canvas."""
    reads_photos = on.painter.reads_photos
    starts = (
        ["an example"] * on.has_examples + ["your photo"] * reads_photos + ["your own mask", "or a scene you saved."]
    )
    heading("Start from", ", ".join(starts).capitalize())
    page.masks = thumbnails(
        MASK_FILES, label="Example masks", elem_id="masks", visible=on.has_examples, value={"chosen": MASKS[0]}
    )
    with gr.Row(elem_id="own-start"):
        page.photo = gr.UploadButton(
            "Your photo", type="binary", file_types=IMAGE_FILES, visible=reads_photos, elem_id="photo", size="md",
            min_width=90,
        )  # fmt: skip
        page.open = gr.UploadButton(
            "Open a mask or a scene", type="binary", file_types=[*IMAGE_FILES, ".json"], elem_id="open", size="md"
        )
    with gr.Column(visible=False, elem_id="ask") as page.ask:
        page.question = gr.HTML()
        with gr.Row():
            page.as_photo = gr.Button("Paint it", visible=reads_photos, size="md", min_width=90)
            page.as_style = gr.Button("Use as style", visible=on.painter.reads_images, size="md", min_width=90)
            page.as_mask = gr.Button("Open as mask", size="md", min_width=90)
            page.as_nothing = gr.Button("Neither", size="md", min_width=70)


def lay_out_style(on: Handlers, page: Page, styles: StyleList | None) -> None:
    """Place the ways to choose a style, and the blend of the last two."""
    reads_images = on.painter.reads_images
    page.examples = thumbnails(
        STYLE_FILES, label="Example styles", elem_id="styles", visible=on.has_example_styles,
        value={"chosen": STYLES[0]}, storage=own_style_key(on.painter.fingerprint),
    )  # fmt: skip
    with gr.Row(elem_id="pick"):
        page.surprise = gr.Button("Surprise me", elem_id="surprise", size="md", min_width=90)
        page.own = gr.UploadButton(
            "Photo's light" if on.painter.reads_photos else "Your picture", type="binary", file_types=IMAGE_FILES,
            visible=reads_images, elem_id="own", size="md", min_width=90,
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
