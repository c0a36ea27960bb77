"""What happens on each event of the page. Nothing here is kept between calls: a visitor's state goes in and out."""

import functools
import html
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ..label_set import LabelSet
from .mask_canvas import blank_channel, read_canvas, write_canvas
from .painter import Painter, Painting, Style, Styles, resize
from .scene import DOWNLOADS, SCENE_FILE, Scene, new_path
from .uploads import MAX_PIXELS, read_mask, read_picture


VARIANTS = 4
MAX_SEED = 2**31 - 1
ASSETS = Path(__file__).parent / "assets"
MASKS = ("lake", "river", "sea", "forest", "snow", "desert")  # ids of the landscapes label set
STYLES = ("sunset", "noon", "golden", "dusk", "misty", "overcast")


def tells_the_user(function: Callable) -> Callable:
    """Shows a ValueError of ours, which says what to do, in the page."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        try:
            return function(*args)
        except ValueError as error:
            raise gr.Error(str(error), title="That did not work") from error

    return wrapper


class Handlers:
    """
    The events' functions; `app.py` wires them.

    Args:
        painter (`Painter`): The model.
    """

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self.processor, self.label_set = painter.processor, painter.label_set
        # by content: a model trained from a data set's own labels.json calls them by another name
        self.has_examples = self.label_set.id2label == LabelSet.from_name("landscapes").id2label

    # What the page starts with

    def first_canvas(self) -> str:
        """The first example, or an empty canvas for a model of other labels."""
        if self.has_examples:
            return self._example_mask(0)
        blank = self.label_set.ids[blank_channel(self.label_set)]
        return self._write(np.full(self.painter.canvas_size, blank, dtype=np.int64))

    def first_styles(self) -> Styles | None:
        """The first two example styles, or random ones."""
        if not self.painter.has_styles:
            return None
        if not self.painter.reads_pictures:
            return Styles(self.painter.style_of_seed(1), self.painter.style_of_seed(0))
        return Styles(self._example_style(1), self._example_style(0))

    # Painting

    @tells_the_user
    def paint(self, canvas: str, styles: Styles | None, blend: float) -> tuple:
        """Canvas and style to a painting, and to what shows it."""
        style = None if styles is None else styles.blend(blend)
        return self.show(self.painter.paint(self._read(canvas), style and [style])[0])

    def paint_live(self, live: bool, canvas: str, styles: Styles | None, blend: float) -> Any:
        """The same after each stroke, in live mode."""
        return self.paint(canvas, styles, blend) if live else gr.skip()

    @tells_the_user
    def paint_variants(self, canvas: str) -> tuple:
        """The canvas in several random styles: their paintings and a gallery of them."""
        styles = [self.painter.style_of_seed(new_seed()) for _ in range(VARIANTS)]
        paintings = self.painter.paint(self._read(canvas), styles)
        return paintings, [(painting.picture, painting.style.name) for painting in paintings]

    def show(self, painting: Painting) -> tuple:
        """A painting, its picture, the pair of mask and picture, and a line about it."""
        mask = Image.fromarray(self.label_set.colorize(painting.label_map))
        height, width = painting.label_map.shape
        facts = [f"<b>{painting.seconds * 1000:.0f} ms</b>", f"{width} x {height} pixels"]
        if painting.style is not None:
            facts.append(f"style: {html.escape(painting.style.name)}")
        return painting, painting.picture, (mask, painting.picture), " &middot; ".join(facts)

    # Styles: each returns the styles, the slider and the line beneath it

    def pick_example_style(self, styles: Styles, event: gr.SelectData) -> tuple:
        """A picture of the gallery."""
        return self._picked(styles, self._example_style(event.index))

    @tells_the_user
    def pick_own_picture(self, styles: Styles, data: bytes) -> tuple:
        """A picture of the visitor's."""
        return self._picked(styles, self.painter.style_of_picture(read_picture(data), "your picture"))

    @tells_the_user
    def pick_seed(self, styles: Styles, seed: float | None) -> tuple:
        """The random style of a seed."""
        return self._picked(styles, self.painter.style_of_seed(checked_seed(seed)))

    def pick_variant(self, styles: Styles, variants: list[Painting], event: gr.SelectData) -> tuple:
        """One of the four: its style is the style now, its painting the painting."""
        painting = variants[event.index]
        return *self._picked(styles, painting.style), *self.show(painting)

    def _picked(self, styles: Styles, style: Style) -> tuple:
        styles = styles.pick(style)
        return styles, 1.0, describe(styles)

    def _example_style(self, index: int) -> Style:
        name = STYLES[index]
        with Image.open(ASSETS / f"{name}_style.jpg") as picture:
            return self.painter.style_of_picture(picture.convert("RGB"), name)

    # Canvas

    def pick_example_mask(self, event: gr.SelectData) -> str:
        """An example onto the canvas."""
        return self._example_mask(event.index)

    @tells_the_user
    def open_file(self, data: bytes, styles: Styles | None, blend: float) -> tuple:
        """A mask or a saved scene: the canvas, the styles, the slider and the line beneath it."""
        if data.lstrip()[:1] == b"{":
            latent_dim = self.painter.pipeline.generator.config.latent_dim
            scene = Scene.from_json(data, self.label_set, latent_dim, MAX_PIXELS)
            label_map = resize(scene.label_map, self.painter.canvas_size)
            if scene.styles is not None:
                styles, blend = scene.styles, scene.blend
            gr.Info("Your scene is back.", title="Opened")
        else:
            label_map, notes = read_mask(data, self.processor, self.painter.canvas_size)
            if notes:
                gr.Info("The mask was changed to fit: " + "; ".join(notes) + ".", title="Opened", duration=15)
        return self._write(label_map), styles, blend, describe(styles)

    def _example_mask(self, index: int) -> str:
        data = (ASSETS / f"{MASKS[index]}_mask.png").read_bytes()
        return self._write(read_mask(data, self.processor, self.painter.canvas_size)[0])

    def _read(self, canvas: str) -> np.ndarray:
        return read_canvas(canvas, self.label_set, self.painter.canvas_size)

    def _write(self, label_map: np.ndarray) -> str:
        return write_canvas(label_map, self.label_set)

    # Files

    @tells_the_user
    def download(self, what: str, cache: str, painting: Painting) -> str:
        """One part of the painting as a file in Gradio's cache."""
        name, save = DOWNLOADS[what]
        path = new_path(cache, name)
        save(painting, self.label_set, path)
        return str(path)

    @tells_the_user
    def download_scene(self, cache: str, canvas: str, styles: Styles | None, blend: float) -> str:
        """All that is on the page, to be opened again or passed on."""
        path = new_path(cache, SCENE_FILE)
        path.write_text(Scene(self._read(canvas), styles, blend).to_json(self.label_set), encoding="utf-8")
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
        label_map, _ = read_mask(mask, self.processor, self.painter.canvas_size)
        if not self.painter.has_styles:
            return self.painter.paint(label_map, None)[0].picture
        if style is None:
            chosen = self.painter.style_of_seed(checked_seed(seed))
        elif self.painter.reads_pictures:
            chosen = self.painter.style_of_picture(read_picture(style), "style")
        else:
            raise ValueError("`style` was given, but this model cannot read styles from pictures. Send None.")
        return self.painter.paint(label_map, [chosen])[0].picture


def new_seed() -> int:
    """A seed that fits on the page."""
    return secrets.randbelow(10**6)


def checked_seed(seed: float | None) -> int:
    """A seed from a number field; ValueError if it is none."""
    if seed is None or not 0 <= seed <= MAX_SEED or seed != int(seed):
        raise ValueError(f"The seed is {seed}; it is a whole number from 0 to {MAX_SEED}.")
    return int(seed)


def describe(styles: Styles | None) -> str:
    """What the blend slider lies between."""
    if styles is None:
        return ""
    before, last = html.escape(styles.before.name), html.escape(styles.last.name)
    return f'<div class="ends"><span>{before}</span><span>{last}</span></div>'
