"""Event handlers of the page. They keep nothing between calls: each call gets and returns the visitor's state."""

import functools
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ..images.resize import resize_labels
from ..labels.label_set import LabelSet
from ..pipelines.segmentation import LOW_CONFIDENCE
from .first_mask import first_mask
from .formats import nearest_format, reframed
from .mask_canvas import read_canvas, write_canvas
from .painter import Outlines, Painter, Painting, Style, Styles, checked_seed, new_seed
from .percent import percent_of_pixels
from .photos import photo_canvas
from .scene import DOWNLOADS, Scene, new_path
from .thumbnails import data_url
from .uploads import read_mask, read_photo, read_style_image


VARIANTS = 4
ASSETS = Path(__file__).parent / "assets"
MASKS = ("lake", "river", "sea", "forest", "snow", "desert")  # ids of the landscapes label set
STYLES = ("noon", "sunset", "golden", "dusk", "misty", "overcast")
MASK_FILES = {name: ASSETS / f"{name}_mask.png" for name in MASKS}
STYLE_FILES = {name: ASSETS / f"{name}_style.jpg" for name in STYLES}
TOAST_SECONDS = 5
# In the middle between as painted and natural: parts stay where they were painted, while their outlines change.
FIRST_STRENGTH = 0.5
SCENE_CANVASES = 4  # a scene's pixels are at most this many times the canvas'
StyleList = list[dict[str, Any]]  # from `Styles.to_list`; the browser keeps the styles


def tells_the_user(function: Callable) -> Callable:
    """Show a ValueError, whose message says what to do, on the page."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            raise gr.Error(
                str(error), title="That did not work", duration=TOAST_SECONDS, print_exception=False
            ) from error

    return wrapper


class Handlers:
    """Functions of the events, to which `app.py` connects them.

    Args:
        painter (`Painter`): The model.
    """

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self.processor, self.label_set = painter.canvas_reader, painter.canvas_labels
        # compared by content: a label set from a data set's own labels.json has another name
        self.has_examples = painter.label_set.id2label == LabelSet.from_name("landscapes").id2label

    # What the page starts with

    @property
    def has_example_styles(self) -> bool:
        """Whether the example images show what the model paints, and the model can read them."""
        return self.has_examples and self.painter.reads_images

    def first_canvas(self) -> str:
        """Return the first example, or a plain scene of the model's own labels."""
        if self.has_examples:
            return self.example_mask(0)
        return self._write(self._own_first_mask()[0])

    def first_styles(self) -> StyleList | None:
        """Return the first two example styles, or random ones."""
        if not self.painter.has_styles:
            return None
        if not self.has_example_styles:
            return Styles(self.painter.style_of_seed(1), self.painter.style_of_seed(0)).to_list()
        return Styles(self.example_style(1), self.example_style(0)).to_list()

    def first_label(self) -> str:
        """Return the brush's first label: the scene's second one, so that a stroke over the first one is visible."""
        return "cloud" if self.has_examples else self._own_first_mask()[1][:2][-1]

    def invitation(self) -> str:
        """Write the page's instruction, with the model's own labels."""
        more = ", or start from your photo" if self.painter.reads_photos else ""
        if self.has_examples:
            return f"Draw where sky, mountains and water are{more}. The model paints the picture."
        *names, last = map(html.escape, self._own_first_mask()[1])
        areas = f"{', '.join(names)} and {last} are" if names else f"{last} is"
        return f"Draw where {areas}{more}. The model paints the picture."

    def _own_first_mask(self) -> tuple[np.ndarray, list[str]]:
        return first_mask(self.painter.label_set, self.painter.formats[0].canvas_size)

    def restore(self, kept: dict[str, Any] | None) -> tuple:
        """Restore what the visitor's browser kept through a reload.

        Args:
            kept (`dict`, *optional*): From `keeping.recall`; to be trusted no more than an upload.

        Returns:
            `tuple`: what a picked style changes, the example mask to mark, image and line, and the
                outlines' strength and seed.
        """
        if kept:
            try:
                styles, blend = kept.get("styles", self.first_styles()), float(kept.get("blend", 1))
                strength, seed = float(kept.get("strength", FIRST_STRENGTH)), checked_seed(kept.get("outline_seed", 0))
                if not 0 <= strength <= 1:  # also true of NaN
                    return (gr.skip(),) * 10
                canvas = kept.get("mask", self.first_canvas())
                image, line, painted = self.paint(canvas, styles, blend, strength, seed)
                *picked, thumbnails = self._show_styles(styles, blend)
                mask = {"chosen": self.name_of_mask(kept.get("start"))}
                return *picked, {**thumbnails, **painted}, mask, image, line, strength, seed
            except (gr.Error, AttributeError, TypeError, ValueError):  # kept by an older version of this page
                pass
        return (gr.skip(),) * 10

    # Painting

    @tells_the_user
    def paint(
        self, canvas: str, styles: StyleList | None, blend: float, strength: float = 0.0, outline_seed: int = 0
    ) -> tuple[Image.Image, str, dict[str, Any]]:
        """Paint the canvas in the style; return the image, a line about it, and the thumbnail of an own style."""
        label_map, outlines = self._read(canvas), Outlines(strength, checked_seed(outline_seed))
        if styles is None:
            (painting,) = self.painter.paint(label_map, None, outlines)
            return painting.image, line_about(painting), {}
        read = self._read_styles(styles)
        (painting,) = self.painter.paint(label_map, [read.blend(blend)], outlines)
        chosen, painted = read.chosen(blend), {}
        if chosen is not None and chosen.name not in STYLES:
            painted = {"painted": {"name": chosen.name, "image": data_url(painting.image)}}
        return painting.image, line_about(painting), painted

    def first_image(self, canvas: str, styles: StyleList | None) -> tuple[Image.Image, str]:
        """Return image and line without its time: at the server's start it takes longer than any later one."""
        latest = None if styles is None else [self._read_styles(styles).last]
        (painting,) = self.painter.paint(self._read(canvas), latest, Outlines(FIRST_STRENGTH, 0))
        return painting.image, line_about(painting, timed=False)

    def paint_live(
        self, live: bool, canvas: str, styles: StyleList | None, blend: float, strength: float = 0.0, seed: int = 0
    ) -> Any:
        """Paint a stroke as it is, in live mode; only what is not painted comes from the outline model."""
        return self.paint(canvas, styles, blend, 0.0, seed) if live else gr.skip()

    def paint_natural(
        self, live: bool, canvas: str | None, styles: StyleList | None, blend: float, strength: float, seed: int
    ) -> Any:
        """Paint the canvas with natural outlines after `paint_live`, if that was the end of a stroke."""
        if not live or canvas is None or strength == 0 or not self.painter.has_outlines:
            return gr.skip()
        return self.paint(canvas, styles, blend, strength, seed)

    @tells_the_user
    def paint_variants(
        self, canvas: str | None, vividness: float, strength: float = 0.0, outline_seed: int = 0
    ) -> Any:
        """Paint the canvas in several random styles; return the input of `pick_variant`, and the gallery."""
        if canvas is None:  # the view was closed
            return gr.skip()
        seeds = [new_seed() for _ in range(VARIANTS)]
        styles = [self.painter.style_of_seed(seed, vividness) for seed in seeds]
        outlines = Outlines(strength, checked_seed(outline_seed))
        images = [painting.image for painting in self.painter.paint(self._read(canvas), styles, outlines)]
        return {"seeds": seeds, "vividness": vividness}, images

    # Styles: each returns the styles, the slider, the line beneath it, the seed and the thumbnails

    @tells_the_user
    def pick_thumbnail(self, styles: StyleList, event: gr.SelectData) -> tuple:
        """Pick an example, or the visitor's own style once more."""
        if event.index < len(STYLES):
            return self._picked(styles, self.example_style(event.index))
        return self._picked(styles, self._read_styles([event.value, event.value]).last)

    @tells_the_user
    def pick_own_image(self, styles: StyleList, data: bytes) -> tuple:
        """Pick the style of the visitor's own image."""
        image = read_style_image(data)
        return self._picked(styles, self.painter.style_of_image(image, "your picture"), data_url(image))

    @tells_the_user
    def pick_seed(self, styles: StyleList, seed: float | None, vividness: float) -> tuple:
        """Pick the random style of a seed."""
        return self._picked(styles, self.painter.style_of_seed(checked_seed(seed), vividness))

    @tells_the_user
    def pick_variant(self, styles: StyleList, variants: dict[str, Any] | None, event: gr.SelectData) -> tuple:
        """Pick the style of one of the four variants."""
        try:
            seed, vividness = (variants or {})["seeds"][event.index], float((variants or {})["vividness"])
        except (TypeError, KeyError, IndexError):
            raise ValueError("These four styles are gone. Press Four styles again.") from None
        return self.pick_seed(styles, seed, vividness)

    def show_blend(self, styles: StyleList, blend: float) -> dict[str, Any]:
        """Return the thumbnails of a blend, none of which is marked if it is between two styles."""
        return self._mark(self._read_styles(styles), blend)

    def _mark(self, styles: Styles, blend: float) -> dict[str, Any]:
        chosen = styles.chosen(blend)
        return {"chosen": "" if chosen is None else chosen.name}

    def _picked(self, styles: StyleList, style: Style, image: str | None = None) -> tuple:
        return self._show_styles(self._read_styles(styles).pick(style).to_list(), 1.0, image)

    def _show_styles(self, styles: StyleList | None, blend: float, image: str | None = None) -> tuple:
        """Return what the page shows of styles; `image` is the own style's, a data URL."""
        if styles is None:
            return None, blend, "", gr.skip(), {}
        read = self._read_styles(styles)
        styles = read.to_list()  # drops anything else
        thumbnails = self._mark(read, blend)
        if own := [style for style in styles if style["name"] not in STYLES]:
            thumbnails["own"] = own[-1] if image is None else {**own[-1], "image": image}
        seed = gr.skip() if read.last.seed is None else int(read.last.seed)
        return styles, blend, describe(styles), seed, thumbnails

    def _read_styles(self, styles: StyleList) -> Styles:
        read = Styles.from_list(styles, self.painter.latent_dim)
        if read is None:
            raise ValueError("The styles on this page are another model's. Please reload the page.")
        return read

    def example_style(self, index: int) -> Style:
        """Load one of `STYLES`."""
        name = STYLES[index]
        with Image.open(STYLE_FILES[name]) as image:
            return self.painter.style_of_image(image.convert("RGB"), name)

    # Outlines

    @tells_the_user
    def take_over(self, canvas: str, strength: float, outline_seed: int) -> tuple[str, float]:
        """Put the map with natural outlines, which the image shows, on the canvas.

        Returns:
            `tuple`: canvas, and a strength of 0: with another one, the next stroke would redraw this map.
        """
        label_map = self._read(canvas)
        natural = self.painter.refine(label_map, Outlines(strength, checked_seed(outline_seed)))
        told = "These outlines are on the canvas now. The slider is at “as painted”, so that they stay as they are."
        gr.Info(told, title="Taken over", duration=TOAST_SECONDS)
        return self._write(resize_labels(natural, label_map.shape)), 0.0

    @tells_the_user
    def new_layout(self, canvas: str) -> tuple[str, dict[str, str]]:
        """Put a whole new layout on the canvas, whose format stays; no example is marked."""
        shape = self._read(canvas).shape
        natural = self.painter.new_layout(shape, new_seed())
        return self._write(resize_labels(natural, shape)), {"chosen": ""}

    # Canvas

    @tells_the_user
    def pick_photo(self, styles: StyleList | None, data: bytes) -> tuple:
        """Put the visitor's photograph on the canvas and pick its style.

        Returns:
            `tuple`: canvas, what a picked style changes, no example to mark, the photograph for "Compare", and no
                question whether it is one.
        """
        photo = read_photo(data)
        read = photo_canvas(photo, self.painter)
        picked = (gr.skip(),) * 5
        if styles is not None and self.painter.reads_images:
            picked = self._picked(styles, self.painter.style_of_image(photo, "your photo"), data_url(photo))
        if read.confidence < LOW_CONFIDENCE:
            gr.Warning(read.note, title="Not sure", duration=2 * TOAST_SECONDS)
        else:
            gr.Info(read.note, title="Opened", duration=2 * TOAST_SECONDS)
        canvas = self._write(read.label_map)
        return canvas, *picked, {"chosen": ""}, {"mask": canvas, "image": read.image}, gr.update(visible=False)

    @tells_the_user
    def pick_example_mask(self, canvas: str, event: gr.SelectData) -> str:
        """Put an example on the canvas, whose format stays."""
        return self.example_mask(event.index, canvas)

    @tells_the_user
    def open_file(self, data: bytes, *, is_mask: bool = False) -> tuple:
        """Open a mask or a saved scene; a photograph is opened only if `is_mask` says that it is meant as a mask.

        Returns:
            `tuple`: canvas, what a picked style changes, no example to mark, and the question whether it is a
                photograph: its visibility and text.
        """
        picked = (gr.skip(),) * 5
        if data.lstrip()[:1] == b"{":
            height, width = self.painter.formats[-1].canvas_size  # the widest
            scene = Scene.from_json(data, self.label_set, self.painter.latent_dim, SCENE_CANVASES * height * width)
            canvas_size = nearest_format(scene.label_map.shape, self.painter.formats).canvas_size
            label_map = resize_labels(scene.label_map, canvas_size)
            if scene.styles is not None:
                picked = self._show_styles(scene.styles.to_list(), scene.blend)
            gr.Info("Your scene is back.", title="Opened", duration=TOAST_SECONDS)
        else:
            mask = read_mask(data, self.processor, self.painter.formats)
            if mask.is_photo and not is_mask:
                why = f"{percent_of_pixels(mask.far_share)} of its pixels have no label's color"
                question = f'<p role="alert">Is this a photograph? {why}.</p>'
                return gr.skip(), *picked, gr.skip(), gr.update(visible=True), question
            if mask.notes:
                told = "The mask was changed to fit: " + "; ".join(mask.notes) + "."
                gr.Info(told, title="Opened", duration=TOAST_SECONDS)
            label_map = mask.label_map
        return self._write(label_map), *picked, {"chosen": ""}, gr.update(visible=False), ""

    def example_mask(self, index: int, canvas: str | None = None) -> str:
        """Load one of `MASKS` as a canvas' value, in the frame of `canvas` if it is given."""
        data = MASK_FILES[MASKS[index]].read_bytes()
        label_map = read_mask(data, self.processor, self.painter.formats).label_map
        return self._write(label_map if canvas is None else reframed(label_map, self._read(canvas).shape))

    def name_of_mask(self, canvas: str | None) -> str:
        """Return the name of the example that equals a canvas, or an empty string."""
        indices = range(len(MASKS)) if self.has_examples and canvas else ()
        return next((MASKS[index] for index in indices if self.example_mask(index, canvas) == canvas), "")

    def _read(self, canvas: str) -> np.ndarray:
        return read_canvas(canvas, self.label_set, self.painter.formats)

    def _write(self, label_map: np.ndarray) -> str:
        return write_canvas(label_map, self.label_set)

    # Files

    @tells_the_user
    def download(self, what: str, cache: str, canvas: str, styles: StyleList | None, blend: float) -> str:
        """Save one of `DOWNLOADS` as a file in Gradio's cache."""
        name, save = DOWNLOADS[what]
        path = new_path(cache, name)
        save(
            Scene(self._read(canvas), None if styles is None else self._read_styles(styles), blend), self.painter, path
        )
        return str(path)

    # API

    @tells_the_user
    def generate(self, mask: bytes | None, style: bytes | None = None, seed: float | None = 0) -> Image.Image:
        """Paint a mask.

        Args:
            mask: An image of label ids, or in the labels' colors; colors off the palette become the nearest one.
            style: An image whose light and colors to take; without one, the style is random.
            seed: Seed of the random style; not used if a style is given.

        Returns:
            The image, a PNG.
        """
        if mask is None:
            raise ValueError("`mask` is missing: send an image of label ids or in the labels' colors.")
        label_map = read_mask(mask, self.painter.processor, self.painter.formats).label_map
        if not self.painter.has_styles:
            return self.painter.paint(label_map, None)[0].image
        if style is None:
            chosen = self.painter.style_of_seed(checked_seed(seed))
        elif self.painter.reads_images:
            chosen = self.painter.style_of_image(read_style_image(style), "style")
        else:
            raise ValueError("`style` was given, but this model cannot read styles from pictures. Send None.")
        return self.painter.paint(label_map, [chosen])[0].image

    def labels(self) -> list[dict[str, Any]]:
        """List the labels that a mask can have.

        Returns:
            The id, the name and the color, as "#rrggbb", of each label.
        """
        label_set = self.painter.label_set
        return [
            {"id": label.id, "name": label.name, "color": f"#{bytes(color.tolist()).hex()}"}
            for label, color in zip(label_set.labels, label_set.palette, strict=True)
        ]

    @tells_the_user
    def refine(self, mask: bytes | None, strength: float | None = 0.7, seed: float | None = 0) -> Image.Image:
        """Give a mask of brush strokes natural outlines, and fill what is transparent in it.

        Args:
            mask: An image of label ids, or in the labels' colors; transparent pixels are not painted yet.
            strength: How loosely painted outlines are followed, from 0 to 1.
            seed: Seed of the outlines.

        Returns:
            The natural mask, a gray PNG of label ids.
        """
        if mask is None:
            raise ValueError("`mask` is missing: send an image of label ids or in the labels' colors.")
        if strength is None or not 0 <= strength <= 1:
            raise ValueError(f"`strength` is {strength}; give a number from 0 to 1.")
        label_map = read_mask(mask, self.processor, self.painter.formats).label_map
        return self._ids(self.painter.refine(label_map, Outlines(strength, checked_seed(seed))))

    @tells_the_user
    def segment(self, photo: bytes | None) -> Image.Image:
        """Tell the labels of a photograph: its mask, to change and to paint.

        Args:
            photo: A photograph; one of more than 1024 pixels per side is reduced.

        Returns:
            The mask in the upright photograph's size, a gray PNG of label ids.
        """
        if photo is None:
            raise ValueError("`photo` is missing: send a photograph.")
        image = read_photo(photo)
        return self._ids(self.painter.label_map_of_photo(image, (image.height, image.width))[0])

    def _ids(self, label_map: np.ndarray) -> Image.Image:
        return Image.fromarray(label_map.astype(np.uint8 if max(self.painter.label_set.ids) <= 255 else np.uint16))


def line_about(painting: Painting, *, timed: bool = True) -> str:
    """Format time, size and style of a painting as HTML."""
    width, height = painting.image.size
    facts = [f"<b>{painting.seconds * 1000:.0f} ms</b>"] if timed else []
    facts.append(f"{width} x {height} pixels")
    if painting.style is not None:
        facts.append(f"style: {html.escape(painting.style.name)}")
    return " &middot; ".join(facts)


def describe(styles: StyleList | None) -> str:
    """Format the names of the two styles at the ends of the blend slider."""
    if styles is None:
        return ""
    before, last = (html.escape(str(style["name"])) for style in styles)
    return f'<div class="ends"><span>{before}</span><span>{last}</span></div>'
