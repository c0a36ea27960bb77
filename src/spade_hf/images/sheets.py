"""Headings above the columns of a sheet of images."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont


def add_headings(grid: Image.Image, headings: Sequence[str]) -> Image.Image:
    """Add a heading above each column of a grid, one word per line."""
    width = grid.width // len(headings)
    font = ImageFont.load_default(min(max(width // 8, 10), 20))
    texts = [heading.replace(" ", "\n") for heading in headings]
    draw = ImageDraw.Draw(grid)
    height = max(draw.multiline_textbbox((0, 0), text, font)[3] for text in texts) + 4
    sheet = Image.new("RGB", (grid.width, math.ceil(height) + grid.height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, text in enumerate(texts):
        draw.multiline_text((column * width + 2, 1), text, "black", font)
    sheet.paste(grid, (0, sheet.height - grid.height))
    return sheet
