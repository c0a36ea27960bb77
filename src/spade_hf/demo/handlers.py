"""What happens on each event of the page. Nothing here is kept between calls: a visitor's state goes in and out."""

import functools
import html
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ..images.resize import resize_labels
from ..labels.label_set import LabelSet
from .first_mask import first_mask
from .mask_canvas import read_canvas, write_canvas
from .painter import Painter, Painting, Style, Styles, checked_seed, new_seed
from .scene import DOWNLOADS, SCENE_FILE, Scene, new_path
from .uploads import percent, read_mask, read_picture


VARIANTS = 4
ASSETS = Path(__file__).parent / "assets"
MASKS = ("lake", "river", "sea", "forest", "snow", "desert")  # ids of the landscapes label set
STYLES = ("noon", "sunset", "golden", "dusk", "misty", "overcast")
TOAST_SECONDS = 5
SCENE_CANVASES = 4  # a scene's pixels are at most this many times the canvas'
StyleList = list[dict[str, Any]]  # `Styles.to_list`: the styles are kept in the browser, which forgets nothing


def tells_the_user(function: Callable) -> Callable:
    """Shows a ValueError of ours, which says what to do, in the page."""

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
    """The events' functions; `app.py` wires them.

    Args:
        painter (`Painter`): The model.
    """

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self.processor, self.label_set = painter.processor, painter.label_set
        # by content: a model trained from a data set's own labels.json calls them by another name
        self.has_examples = self.label_set.id2label == LabelSet.from_name("landscapes").id2label

    # What the page starts with

    @property
    def has_example_styles(self) -> bool:
        """Whether the example pictures are of what the model paints, and it can read them."""
        return self.has_examples and self.painter.reads_pictures

    def first_canvas(self) -> str:
        """The first example, or a plain scene of the model's own labels."""
        if self.has_examples:
            return self.example_mask(0)
        return self._write(first_mask(self.label_set, self.painter.canvas_size)[0])

    def first_styles(self) -> StyleList | None:
        """The first two example styles, or random ones."""
        if not self.painter.has_styles:
            return None
        if not self.has_example_styles:
            return Styles(self.painter.style_of_seed(1), self.painter.style_of_seed(0)).to_list()
        return Styles(self.example_style(1), self.example_style(0)).to_list()

    def first_label(self) -> str:
        """What the brush paints at first: the second label of the scene, so that a stroke over the first one shows."""
        return "cloud" if self.has_examples else first_mask(self.label_set, self.painter.canvas_size)[1][:2][-1]

    def invitation(self) -> str:
        """What to do on the page, in the model's own labels."""
        if self.has_examples:
            return "Draw where sky, mountains and water are. The model paints the picture."
        *names, last = map(html.escape, first_mask(self.label_set, self.painter.canvas_size)[1])
        areas = f"{', '.join(names)} and {last} are" if names else f"{last} is"
        return f"Draw where {areas}. The model paints the picture."

    def restore(self, first: Painting, kept: dict[str, Any] | None) -> tuple:
        """What the visitor's browser kept through a reload.

        Args:
            first (`Painting`): What the page shows until then, and the visitor's own where nothing is kept.
            kept (`dict`, *optional*): Of `keeping.recall`; it is as trustworthy as any upload.

        Returns:
            `tuple`: the styles, the slider, the line beneath it, the marked example mask, and what `show` returns.
        """
        if kept:
            try:
                styles, blend = kept.get("styles", self.first_styles()), float(kept.get("blend", 1))
                shown = self.paint(kept.get("mask", self.first_canvas()), styles, blend)
                return styles, blend, describe(styles), self.name_of_mask(kept.get("start")), *shown
            except (gr.Error, TypeError, ValueError):  # of an older version of this page
                pass
        return *[gr.skip()] * 4, first, *[gr.skip()] * 4

    # Painting

    @tells_the_user
    def paint(self, canvas: str, styles: StyleList | None, blend: float) -> tuple:
        """Canvas and style to a painting, what shows it, and the names of the styles in it."""
        label_map = self._read(canvas)
        if styles is None:
            return *self.show(self.painter.paint(label_map, None)[0]), ""
        read = self._read_styles(styles)
        return *self.show(self.painter.paint(label_map, [read.blend(blend)])[0]), ",".join(read.parts(blend))

    def paint_live(self, live: bool, canvas: str, styles: StyleList | None, blend: float) -> Any:
        """The same after each stroke, in live mode."""
        return self.paint(canvas, styles, blend) if live else gr.skip()

    @tells_the_user
    def paint_variants(self, canvas: str, seeds: list[int] | None = None) -> tuple:
        """The canvas in several random styles: what `renew_variants` needs to know, and a gallery of them."""
        seeds = seeds or [new_seed() for _ in range(VARIANTS)]
        paintings = self.painter.paint(self._read(canvas), [self.painter.style_of_seed(seed) for seed in seeds])
        variants = {"seeds": seeds, "canvas": zlib.crc32(canvas.encode())}
        return variants, [(painting.picture, f"seed {seed}") for painting, seed in zip(paintings, seeds, strict=True)]

    @tells_the_user
    def renew_variants(self, canvas: str, variants: dict[str, Any] | None) -> Any:
        """The same styles for what is on the canvas now, where it is another mask than that of the gallery."""
        if not variants or variants["canvas"] == zlib.crc32(canvas.encode()):
            return gr.skip()
        return self.paint_variants(canvas, self._seeds(variants))

    def show(self, painting: Painting, timed: bool = True) -> tuple:
        """A painting, its picture, the pair of mask and picture, and a line about it."""
        mask = Image.fromarray(self.label_set.colorize(painting.label_map))
        height, width = painting.label_map.shape
        facts = [f"<b>{painting.seconds * 1000:.0f} ms</b>"] if timed else []
        facts.append(f"{width} x {height} pixels")
        if painting.style is not None:
            facts.append(f"style: {html.escape(painting.style.name)}")
        return painting, painting.picture, (mask, painting.picture), " &middot; ".join(facts)

    # Styles: each returns the styles, the slider and the line beneath it

    def pick_example_style(self, styles: StyleList, event: gr.SelectData) -> tuple:
        """A picture of the gallery."""
        return self._picked(styles, self.example_style(event.index))

    @tells_the_user
    def pick_own_picture(self, styles: StyleList, data: bytes) -> tuple:
        """A picture of the visitor's."""
        return self._picked(styles, self.painter.style_of_picture(read_picture(data), "your picture"))

    @tells_the_user
    def pick_seed(self, styles: StyleList, seed: float | None) -> tuple:
        """The random style of a seed."""
        return self._picked(styles, self.painter.style_of_seed(checked_seed(seed)))

    @tells_the_user
    def pick_variant(self, styles: StyleList, variants: dict[str, Any] | None, event: gr.SelectData) -> tuple:
        """One of the four: its style is the style now."""
        seeds = self._seeds(variants)
        if event.index >= len(seeds):
            raise ValueError("These four styles are gone. Press Four styles again.")
        return self._picked(styles, self.painter.style_of_seed(seeds[event.index]))

    def _picked(self, styles: StyleList, style: Style) -> tuple:
        styles = self._read_styles(styles).pick(style).to_list()
        return styles, 1.0, describe(styles)

    @staticmethod
    def _seeds(variants: dict[str, Any] | None) -> list[int]:
        return [checked_seed(seed) for seed in (variants or {}).get("seeds", [])[:VARIANTS]]

    def _read_styles(self, styles: StyleList) -> Styles:
        read = Styles.from_list(styles, self.painter.latent_dim)
        if read is None:
            raise ValueError("The styles on this page are another model's. Please reload the page.")
        return read

    def example_style(self, index: int) -> Style:
        """One of `STYLES`."""
        name = STYLES[index]
        with Image.open(ASSETS / f"{name}_style.jpg") as picture:
            return self.painter.style_of_picture(picture.convert("RGB"), name)

    # Canvas

    def pick_example_mask(self, event: gr.SelectData) -> tuple[str, str]:
        """An example onto the canvas, and its mark."""
        return self.example_mask(event.index), MASKS[event.index]

    @tells_the_user
    def open_file(self, data: bytes, styles: StyleList | None, blend: float, *, is_mask: bool = False) -> tuple:
        """A mask or a saved scene; a photograph is opened only if `is_mask` says that it is meant as a mask.

        Returns:
            `tuple`: canvas, styles, slider, the line beneath it, no mark on an example, the question what it is.
        """
        if data.lstrip()[:1] == b"{":
            height, width = self.painter.canvas_size
            scene = Scene.from_json(data, self.label_set, self.painter.latent_dim, SCENE_CANVASES * height * width)
            label_map = resize_labels(scene.label_map, self.painter.canvas_size)
            if scene.styles is not None:
                styles, blend = scene.styles.to_list(), scene.blend
            gr.Info("Your scene is back.", title="Opened", duration=TOAST_SECONDS)
        else:
            mask = read_mask(data, self.processor, self.painter.canvas_size)
            if mask.is_photo and not is_mask:
                why = f"{percent(mask.far_share)} of its pixels have no label's colour"
                return *[gr.skip()] * 5, gr.update(visible=True), f'<p role="alert">Is this a photograph? {why}.</p>'
            if mask.notes:
                told = "The mask was changed to fit: " + "; ".join(mask.notes) + "."
                gr.Info(told, title="Opened", duration=TOAST_SECONDS)
            label_map = mask.label_map
        return self._write(label_map), styles, blend, describe(styles), "", gr.update(visible=False), ""

    def example_mask(self, index: int) -> str:
        """One of `MASKS` as the canvas' value."""
        data = (ASSETS / f"{MASKS[index]}_mask.png").read_bytes()
        return self._write(read_mask(data, self.processor, self.painter.canvas_size).label_map)

    def name_of_mask(self, canvas: str | None) -> str:
        """The example that a canvas is, or an empty text."""
        indices = range(len(MASKS)) if self.has_examples else ()
        return next((MASKS[index] for index in indices if self.example_mask(index) == canvas), "")

    def _read(self, canvas: str) -> np.ndarray:
        return read_canvas(canvas, self.label_set, self.painter.canvas_size)

    def _write(self, label_map: np.ndarray) -> str:
        return write_canvas(label_map, self.label_set)

    # Files

    @tells_the_user
    def download(self, what: str, cache: str, painting: Painting | None) -> str:
        """One part of the painting as a file in Gradio's cache."""
        if painting is None:
            raise ValueError("The server has forgotten this picture. Press Paint, then download it.")
        name, save = DOWNLOADS[what]
        path = new_path(cache, name)
        save(painting, self.label_set, path)
        return str(path)

    @tells_the_user
    def download_scene(self, cache: str, canvas: str, styles: StyleList | None, blend: float) -> str:
        """All that is on the page, to be opened again or passed on."""
        path = new_path(cache, SCENE_FILE)
        read = None if styles is None else self._read_styles(styles)
        path.write_text(Scene(self._read(canvas), read, blend).to_json(self.label_set), encoding="utf-8")
        return str(path)

    # API

    @tells_the_user
    def generate(self, mask: bytes | None, style: bytes | None, seed: float | None) -> Image.Image:
        """Paint a mask.

        Args:
            mask: An image of label ids, or in the labels' colours; colours off the palette become the nearest one.
            style: A picture whose light and colours to take, or None for a random style.
            seed: Of the random style; not used if a style is given.

        Returns:
            The picture, a PNG.
        """
        if mask is None:
            raise ValueError("`mask` is missing: send an image of label ids or in the labels' colours.")
        label_map = read_mask(mask, self.processor, self.painter.canvas_size).label_map
        if not self.painter.has_styles:
            return self.painter.paint(label_map, None)[0].picture
        if style is None:
            chosen = self.painter.style_of_seed(checked_seed(seed))
        elif self.painter.reads_pictures:
            chosen = self.painter.style_of_picture(read_picture(style), "style")
        else:
            raise ValueError("`style` was given, but this model cannot read styles from pictures. Send None.")
        return self.painter.paint(label_map, [chosen])[0].picture


def describe(styles: StyleList | None) -> str:
    """What the blend slider lies between."""
    if styles is None:
        return ""
    before, last = (html.escape(str(style["name"])) for style in styles)
    return f'<div class="ends"><span>{before}</span><span>{last}</span></div>'
