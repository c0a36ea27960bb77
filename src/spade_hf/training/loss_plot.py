"""Draws the losses of a run over its updates, a panel for each, without a plotting library."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .metrics_file import METRICS, STEP, read_metrics


LOSSES = "losses.png"
NO_LOSSES = {STEP, "learning_rate", "discriminator_learning_rate", "images_per_second"}
COLUMNS = 3
WIDTH, HEIGHT = 320, 200  # of a panel, in pixels
LEFT, TOP, RIGHT, BOTTOM = 58, 30, WIDTH - 14, HEIGHT - 28  # the axes' frame in it
INK, GRID, LINE = (40, 40, 40), (205, 205, 205), (31, 105, 180)


def save_losses(output_dir: Path) -> None:
    """Draw the table of a run's folder as `losses.png` beside it; see [`draw_losses`]."""
    if image := draw_losses(read_metrics(output_dir / METRICS)):
        image.save(output_dir / LOSSES)


def draw_losses(rows: Sequence[Mapping[str, float]]) -> Image.Image | None:
    """Draw the numbers of a run's table that are not rates; see [`read_metrics`].

    A panel's line is the mean over the updates of a pixel's width, and its axis reaches from the least to the largest
    of these means. Values that are not finite are left out.

    Args:
        rows (`Sequence[Mapping[str, float]]`): Numbers by name, `step` among them.

    Returns:
        `PIL.Image.Image`, or `None` if there are no numbers yet.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in NO_LOSSES and math.isfinite(value):
                curves.setdefault(name, []).append((row[STEP], value))
    if not curves:
        return None
    sheet = Image.new("RGB", (COLUMNS * WIDTH, -(-len(curves) // COLUMNS) * HEIGHT), "white")
    last = max(row[STEP] for row in rows)
    for number, (name, points) in enumerate(curves.items()):
        panel = _panel(name, np.array(points), last)
        sheet.paste(panel, (number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT))
    return sheet


def _panel(name: str, points: np.ndarray, last: float) -> Image.Image:
    """Draw the points `(points, 2)` of one number over the updates 0 to `last`."""
    columns = np.round(LEFT + points[:, 0] / last * (RIGHT - LEFT)).astype(int)
    places = np.unique(columns)
    means = np.array([points[columns == place, 1].mean() for place in places])
    low, high = float(means.min()), float(means.max())
    heights = (means - low) / (high - low) if high > low else np.full(len(means), 0.5)
    line = [(int(x), round(BOTTOM - share * (BOTTOM - TOP))) for x, share in zip(places, heights, strict=True)]

    panel = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(12)
    draw.line([(LEFT, TOP), (RIGHT, TOP)], GRID)
    draw.line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], INK)
    draw.text((LEFT, 6), name, INK, ImageFont.load_default(14))
    if high > low:
        draw.text((LEFT - 6, TOP), f"{high:.3g}", INK, font, anchor="rm")
        draw.text((LEFT - 6, BOTTOM), f"{low:.3g}", INK, font, anchor="rm")
    else:
        draw.text((LEFT - 6, (TOP + BOTTOM) // 2), f"{low:.3g}", INK, font, anchor="rm")
    draw.text((LEFT, BOTTOM + 6), "0", INK, font, anchor="mt")
    draw.text((RIGHT, BOTTOM + 6), f"{last:.0f}", INK, font, anchor="rt")
    if len(line) > 1:
        draw.line(line, LINE, width=2, joint="curve")
    for x, y in line if len(line) < 20 else ():
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], LINE)
    return panel
