"""A preview of layouts: one row of pictures per layout, and below it one row of label maps in colour."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet
from PIL import Image
from vocabulary import PALETTE


def save_contact_sheet(files: list[Path], path: Path, cell: int = 256) -> None:
    """Write the pictures of the layouts in parquet `files`, `cell` pixels each, as one image."""
    layouts = [pyarrow.parquet.read_table(file, columns=["image", "label"]).to_pylist() for file in files]
    palette = np.array(PALETTE, np.uint8)
    sheet = Image.new("RGB", (max(map(len, layouts)) * cell, 2 * len(layouts) * cell))
    for row, pictures in enumerate(layouts):
        for column, picture in enumerate(pictures):
            image = Image.open(io.BytesIO(picture["image"]["bytes"]))
            labels = Image.fromarray(palette[np.array(Image.open(io.BytesIO(picture["label"]["bytes"])))])
            corner = (column * cell, 2 * row * cell)
            sheet.paste(image.resize((cell, cell), Image.Resampling.BICUBIC), corner)
            sheet.paste(labels.resize((cell, cell), Image.Resampling.NEAREST), (corner[0], corner[1] + cell))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
