"""Make data beyond RGB of photographs: gray of 16 bits, five channels, and edges to paint from (docs/beyond_rgb.md).

    python examples/beyond_rgb_data.py street/photos beyond

Written below the second folder, for each photograph:

    gray/1.png     its light, 16 bits
    five/1.npy     red, green, blue, and two planes made by code: light and height in the frame, uint8 (H, W, 5)
    edges/1.png    how much its light changes, 8 bits
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def main(photos: str, output: str) -> None:
    """Write the three forms of every photograph."""
    files = [
        file for file in sorted(Path(photos).iterdir()) if file.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")
    ]
    for name in ("gray", "five", "edges"):
        Path(output, name).mkdir(parents=True, exist_ok=True)
    for file in files:
        pixels = np.array(Image.open(file, formats=FORMATS).convert("RGB"))  # uint8 (H, W, 3)
        light = pixels @ np.array([0.299, 0.587, 0.114])  # (H, W) in 0..255
        height = np.linspace(255, 0, len(light))[:, None] + np.zeros_like(light)  # (H, W), 255 at the top
        down, right = np.gradient(light)
        edges = np.hypot(down, right).clip(0, 255)  # (H, W)
        Image.fromarray((light * 257).round().astype(np.uint16)).save(Path(output, "gray", f"{file.stem}.png"))
        five = np.concatenate([pixels, np.stack([light, height], axis=-1).round().astype(np.uint8)], axis=-1)
        np.save(Path(output, "five", f"{file.stem}.npy"), five)
        Image.fromarray(edges.round().astype(np.uint8)).save(Path(output, "edges", f"{file.stem}.png"))
    print(f"{output}: {len(files)} photographs")


if __name__ == "__main__":
    main(*sys.argv[1:])
