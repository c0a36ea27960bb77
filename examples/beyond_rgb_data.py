"""Make data beyond RGB of photographs: gray of 16 bits, five channels, and edges to paint from (docs/beyond_rgb.md).

    python examples/beyond_rgb_data.py street/photos beyond
    python examples/beyond_rgb_data.py landscapes beyond --split train

The first argument is a folder of photographs, or a data set with the columns `image` and `label`. Written below the
second folder, for each photograph:

    gray/1.png     its light, 16 bits
    five/1.npy     red, green, blue, and two planes made by code: light and height in the frame, uint8 (H, W, 5)
    edges/1.png    how much its light changes from pixel to pixel, 8 bits
    photos/1.png and masks/1.png, of a data set only, as they are; beside them, its labels.json
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
from PIL import Image


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def of_folder(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """Yield the name and the photograph of every file."""
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
            yield file.stem, Image.open(file, formats=FORMATS).convert("RGB")


def of_dataset(name: str, split: str, output: Path) -> Iterator[tuple[str, Image.Image]]:
    """Yield the number and the photograph of every row; write it and its mask as files."""
    for kind in ("photos", "masks"):
        (output / kind).mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(datasets.load_dataset(name, split=split)):
        photo = row["image"].convert("RGB")
        photo.save(output / "photos" / f"{number:05}.png")
        row["label"].save(output / "masks" / f"{number:05}.png")
        yield f"{number:05}", photo
    if (labels := Path(name, "labels.json")).is_file():
        shutil.copyfile(labels, output / "labels.json")


def write_forms(photo: Image.Image, name: str, output: Path) -> None:
    """Write the three forms of a photograph."""
    pixels = np.array(photo)  # uint8 (H, W, 3)
    light = pixels @ np.array([0.299, 0.587, 0.114])  # (H, W) in 0..255
    height = np.linspace(255, 0, len(light))[:, None] + np.zeros_like(light)  # (H, W), 255 at the top
    down, right = np.gradient(light)
    edges = (4 * np.hypot(down, right)).clip(0, 255)  # (H, W); 64 levels per pixel and more are white
    Image.fromarray((light * 257).round().astype(np.uint16)).save(output / "gray" / f"{name}.png")
    five = np.concatenate([pixels, np.stack([light, height], axis=-1).round().astype(np.uint8)], axis=-1)
    np.save(output / "five" / f"{name}.npy", five)
    Image.fromarray(edges.round().astype(np.uint8)).save(output / "edges" / f"{name}.png")


def main() -> None:
    """Write the forms of every photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="folder of photographs, or a data set: folder with parquet files, or Hub id")
    parser.add_argument("output", type=Path)
    parser.add_argument("--split", help="of the data set; without it, `photos` is a folder of photographs")
    args = parser.parse_args()
    for name in ("gray", "five", "edges"):
        (args.output / name).mkdir(parents=True, exist_ok=True)
    if args.split is None:
        photos = of_folder(Path(args.photos))
    else:
        photos = of_dataset(args.photos, args.split, args.output)
    count = 0
    for name, photo in photos:
        write_forms(photo, name, args.output)
        count += 1
    print(f"{args.output}: {count} photographs")


if __name__ == "__main__":
    main()
