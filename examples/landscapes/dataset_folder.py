"""A data set that grows by one parquet file per layout, and that `datasets.load_dataset` reads at any time.

    settings.json                   settings of all images; another run must have the same
    labels.json, README.md          names and colors of the labels; data card
    data/train-01000.parquet        a layout's images, one row per style

Every file is written under another name and then renamed, so that a killed run leaves no incomplete file.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
from data_card import data_card, labels_json
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage


FEATURES = Features(
    {
        "image": Image(),
        "label": Image(),
        "style": Value("string"),
        "kind": Value("string"),
        "layout": Value("int32"),
        "sun_elevation": Value("float32"),  # degrees
    }
)
LABELS_ONLY_FEATURES = Features({name: FEATURES[name] for name in ("label", "kind", "layout")})
SPLITS = ["train", "validation", "test"]
JPEG_OPTIONS = dict(quality=93, subsampling=0)  # color at full resolution


class DatasetFolder:
    """The folder of a data set, new or from an earlier run.

    Args:
        folder: folder of the data set; created if it does not exist.
        settings: options that all images share, as JSON values. With `labels_only`, there are label maps alone.

    Raises:
        ValueError: the folder holds something else, or images with other settings.
    """

    def __init__(self, folder: Path, settings: dict):
        self.folder = folder
        self.settings = settings
        self._check_settings()
        folder.mkdir(parents=True, exist_ok=True)
        self._write_text("settings.json", json.dumps(settings, indent=1) + "\n")
        (folder / "data").mkdir(exist_ok=True)
        self._write_text("labels.json", labels_json() + "\n")

    def _check_settings(self) -> None:
        """Raise unless the folder is new, or its images have the same settings."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"`output_dir` {self.folder} is not a folder")
        path = self.folder / "settings.json"
        if not path.is_file():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise ValueError(
                    f"`output_dir` {self.folder} is not empty and holds no data set of render.py. "
                    "Give a new or an empty folder"
                )
            return
        begun = json.loads(path.read_text(encoding="utf-8"))
        for name, value in self.settings.items():
            if begun.get(name) != value:
                raise ValueError(
                    f"`{name}` is {value}, but the pictures in {self.folder} were begun with {begun.get(name)}. "
                    "Give the same value to go on, or another `output_dir`"
                )

    def layouts(self) -> dict[str, list[int]]:
        """List the numbers of the complete layouts in each split that has any."""
        found = {}
        for split in SPLITS:
            paths = (self.folder / "data").glob(f"{split}-*.parquet")
            if numbers := sorted(int(path.stem.removeprefix(f"{split}-")) for path in paths):
                found[split] = numbers
        return found

    def path(self, split: str, layout: int) -> Path:
        """Return the parquet file of a layout."""
        return self.folder / "data" / f"{split}-{layout:05d}.parquet"

    def missing(self, splits: dict[int, str]) -> list[int]:
        """List the layouts among the keys of `splits` that are not in the folder yet.

        Raises:
            ValueError: a layout is in the folder in another split.
        """
        present = {number: split for split, numbers in self.layouts().items() for number in numbers}
        for number, split in splits.items():
            if present.get(number, split) != split:
                raise ValueError(
                    f"layout {number} is in the split {present[number]} of {self.folder} and would now be in {split}. "
                    "Give the `first`, `layouts` and `validation_layouts` of the run before, or another `output_dir`"
                )
        return [number for number in splits if number not in present]

    def add(self, split: str, layout: int, rows: list[dict]) -> None:
        """Write a layout's rows, made by `encode_row` or `encode_labels`, and update the data card."""
        path = self.path(split, layout)
        unfinished = path.with_suffix(".unfinished")
        features = LABELS_ONLY_FEATURES if self.settings.get("labels_only") else FEATURES
        Dataset.from_list(rows, features=features).to_parquet(unfinished)
        os.replace(unfinished, path)
        self.write_card()

    def write_card(self) -> None:
        """Write README.md for the layouts that are complete."""
        self._write_text("README.md", data_card(self.settings, self.layouts()))

    def _write_text(self, name: str, text: str) -> None:
        """Write a text file whole or not at all."""
        unfinished = self.folder / f"{name}.unfinished"
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, self.folder / name)


def encode_row(
    image: np.ndarray, labels: np.ndarray, *, layout: int, index: int, kind: str, style: str, sun_elevation: float
) -> dict:
    """Encode a row: uint8 image `(h, w, 3)` as JPEG, uint8 labels `(h, w)` as PNG; `index` counts in the layout."""
    jpeg = io.BytesIO()
    PILImage.fromarray(image).save(jpeg, "JPEG", **JPEG_OPTIONS)
    return {
        "image": {"bytes": jpeg.getvalue(), "path": f"{layout:05d}_{index}.jpg"},
        **encode_labels(labels, layout=layout, index=index, kind=kind),
        "style": style,
        "sun_elevation": sun_elevation,
    }


def encode_labels(labels: np.ndarray, *, layout: int, index: int, kind: str) -> dict:
    """Encode a row without an image: uint8 labels `(h, w)` as PNG."""
    png = io.BytesIO()
    PILImage.fromarray(labels).save(png, "PNG")
    return {
        "label": {"bytes": png.getvalue(), "path": f"{layout:05d}_{index}.png"},
        "kind": kind,
        "layout": layout,
    }
