"""An image of a label set: every label's color and name."""

from PIL import Image, ImageDraw, ImageFont

from .label_set import LabelSet


SWATCH, GAP, ROW, COLUMN = 18, 6, 24, 190  # pixels
ROWS_A_COLUMN = 32


def draw_legend(label_set: LabelSet) -> Image.Image:
    """Draw the legend, in columns of at most 32 labels.

    Args:
        label_set (`LabelSet`): Drawn in the order of its channels, in the colors of its palette.
    """
    columns = -(-len(label_set.labels) // ROWS_A_COLUMN)
    rows = min(len(label_set.labels), ROWS_A_COLUMN)
    image = Image.new("RGB", (columns * COLUMN, rows * ROW + GAP), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=13)
    for channel, label in enumerate(label_set.labels):
        column, row = divmod(channel, ROWS_A_COLUMN)
        left, top = column * COLUMN + GAP, row * ROW + GAP
        color = tuple(label_set.palette[channel].tolist())
        draw.rectangle((left, top, left + SWATCH, top + SWATCH - 2), fill=color, outline="gray")
        draw.text((left + SWATCH + GAP, top), f"{label.id}  {label.name}"[:24], fill="black", font=font)
    return image
