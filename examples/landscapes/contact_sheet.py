"""A preview of layouts: one row of images per layout, if it has any, and one row of label maps in color."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet
from PIL import Image
from vocabulary import PALETTE


def save_contact_sheet(files: list[Path], path: Path, cell: int = 256) -> None:
    """Write the images of the layouts in parquet `files`, `cell` pixels each, as one image."""
    layouts = [pyarrow.parquet.read_table(file).to_pylist() for file in files]
    palette = np.array(PALETTE, np.uint8)
    rows = []
    for samples in layouts:
        if "image" in samples[0]:
            images = [Image.open(io.BytesIO(sample["image"]["bytes"])) for sample in samples]
            rows.append([image.resize((cell, cell), Image.Resampling.BICUBIC) for image in images])
        maps = [palette[np.array(Image.open(io.BytesIO(sample["label"]["bytes"])))] for sample in samples]
        rows.append([Image.fromarray(labels).resize((cell, cell), Image.Resampling.NEAREST) for labels in maps])
    sheet = Image.new("RGB", (max(map(len, rows)) * cell, len(rows) * cell))
    for row, cells in enumerate(rows):
        for column, image in enumerate(cells):
            sheet.paste(image, (column * cell, row * cell))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
