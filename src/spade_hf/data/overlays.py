"""A sheet of pairs, each image beside itself under its half-transparent mask, to show shifted or swapped masks.

Without labels, it is beside its condition.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..batch import hard_labels
from ..images.channels import as_shown
from ..labels.legend import draw_legend
from .pair_reader import PairReader


HEADINGS, WITHOUT_LABELS = ("image", "mask over it"), ("image", "condition")
LINE, GAP, FONT_SIZE = 20, 6, 14  # pixels: a line of text, the space around a pair


def overlay_sheet(
    rows: datasets.Dataset, reader: PairReader, names: dict[int, str], *, columns: int = 4
) -> Image.Image:
    """Draw pairs with headings, their names and the legend of the labels.

    Args:
        rows (`datasets.Dataset`): The data set.
        reader (`PairReader`): Reads its rows. Images whose proportions differ from its transform's resolution are
            cropped, as the transform does.
        names (`dict[int, str]`): Index of a readable row -> its name; at least one.
        columns (`int`, defaults to 4): Pairs side by side.
    """
    rows = reader.prepare(rows)
    tiles = [_tile(reader, rows[index], f"Row {index}", name) for index, name in names.items()]
    columns = min(columns, len(tiles))
    width, height = tiles[0].width + GAP, tiles[0].height + GAP
    num_rows = -(-len(tiles) // columns)
    has_labels = reader.processor.has_labels
    legend = draw_legend(reader.processor.label_set) if has_labels else Image.new("RGB", (1, 1), "white")
    size = (max(columns * width, legend.width), LINE + num_rows * height + legend.height)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column in range(columns):
        for half, heading in enumerate(HEADINGS if has_labels else WITHOUT_LABELS):
            _write(draw, heading, column * width + half * tiles[0].width // 2, 0, tiles[0].width // 2)
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * width, LINE + number // columns * height))
    sheet.paste(legend, (0, LINE + num_rows * height))
    return sheet


def _tile(reader: PairReader, row: dict, place: str, name: str) -> Image.Image:
    sample: Any = reader.sample(reader.read(row, place), seed=0)
    image = _to_8_bits(reader.processor.show(sample["real_images"][None])[0])  # (h, w, 3)
    if reader.processor.has_labels:
        label_set = reader.processor.label_set
        channels = hard_labels(sample["label_map"]).numpy()
        colors = label_set.colorize(label_set.channels_to_ids(channels))  # (h, w, 3)
        beside = ((image.astype(int) + colors) // 2).astype(np.uint8)
    else:
        beside = _to_8_bits(as_shown(sample["condition"][None])[0])
    pair = Image.fromarray(np.concatenate([image, beside], axis=1))
    tile = Image.new("RGB", (pair.width, pair.height + LINE), "white")
    tile.paste(pair, (0, 0))
    _write(ImageDraw.Draw(tile), name, 0, pair.height, pair.width)
    return tile


def _to_8_bits(image: Tensor) -> np.ndarray:
    """Convert `(3, h, w)` in [-1, 1] to `(h, w, 3)` in 0..255."""
    return ((image.movedim(0, -1).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def _write(draw: ImageDraw.ImageDraw, text: str, left: int, top: int, width: int) -> None:
    """Write one line; of a text that is too wide, its end is kept, where file names differ."""
    font = ImageFont.load_default(FONT_SIZE)
    text = text.encode(errors="backslashreplace").decode()
    while len(text) > 1 and draw.textlength(text, font) > width - 2:
        text = text[1:]
    draw.text((left + 2, top + 1), text, "black", font)


def spread(flagged: Sequence[int], others: Sequence[int], count: int) -> list[int]:
    """Choose rows to show: up to half of them suspicious ones, then others, evenly spread."""
    shown = list(dict.fromkeys(flagged))[: count // 2]
    rest = [index for index in others if index not in shown]
    number = min(count - len(shown), len(rest))
    return shown + [rest[place * len(rest) // number] for place in range(number)]
