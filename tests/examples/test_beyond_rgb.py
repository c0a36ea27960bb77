"""The scripts of docs/beyond_rgb.md: data beyond RGB, and sheets of what models paint of it."""

import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.data import load_label_set

from ..tiny_networks import tiny_generator
from ..training_data import LABELS, make_rows, mask, real_image, write_labels
from .programs import ROOT


def run_example(name, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")


@pytest.fixture(scope="module")
def beyond(tmp_path_factory):
    """The forms of a data set of three pairs."""
    folder = tmp_path_factory.mktemp("beyond")
    make_rows(3).to_parquet(folder / "set" / "train-0.parquet")
    write_labels(folder / "set" / "labels.json")
    run_example("beyond_rgb_data.py", folder / "set", folder / "out", "--split", "train")
    return folder / "out"


def test_forms_of_photographs(beyond, tmp_path):
    (tmp_path / "photos").mkdir()
    real_image(1).save(tmp_path / "photos" / "1.png")
    run_example("beyond_rgb_data.py", tmp_path / "photos", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"gray", "five", "edges"}
    pixels = np.array(real_image(1)).astype(float)  # (40, 48, 3)
    light = pixels @ [0.299, 0.587, 0.114]
    gray = Image.open(tmp_path / "out" / "gray" / "1.png")
    assert gray.mode == "I;16" and np.abs(np.array(gray) - 257 * light).max() <= 0.5
    five = np.load(tmp_path / "out" / "five" / "1.npy")
    assert five.dtype == np.uint8 and five.shape == (40, 48, 5) and (five[..., :3] == pixels).all()
    assert np.abs(five[..., 3] - light).max() <= 0.5
    assert (five[0, :, 4] == 255).all() and (five[-1, :, 4] == 0).all()
    across = np.abs(np.gradient(light)[1])
    assert (np.array(Image.open(tmp_path / "out" / "edges" / "1.png"))[across > 64] == 255).all()
    for kind, suffix in (("gray", "png"), ("five", "npy"), ("edges", "png")):  # of a data set, the same
        files = [beyond / kind / f"00001.{suffix}", tmp_path / "out" / kind / f"1.{suffix}"]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_data_set_becomes_folders(beyond):
    assert load_label_set(None, mask_folder=str(beyond / "masks")).labels == LABELS.labels
    for number in range(3):
        for kind, expected in (("photos", real_image(number)), ("masks", mask(number))):
            np.testing.assert_array_equal(Image.open(beyond / kind / f"{number:05}.png"), expected)


@pytest.mark.parametrize(
    ("options", "folders", "is_gray"),
    [
        ({"image_channels": 1, "value_range": (0, 65535)}, {"images": "gray", "masks": "masks"}, [False, True, True]),
        ({"image_channels": 5}, {"images": "five", "masks": "masks"}, [False] * 3 + [True] * 4),
        (
            {"condition_channels": 1, "label_set": None},
            {"images": "photos", "conditions": "edges"},
            [True] + [False] * 2,
        ),
    ],
    ids=["gray", "five", "edges"],
)
def test_a_sheet_of_each_kind_of_model(options, folders, is_gray, beyond, tmp_path):
    processor = SPADEImageProcessor(**{"label_set": LABELS, **options})
    channels = {name: value for name, value in options.items() if name.endswith("_channels")}
    labels = {"num_labels": 0} if not processor.has_labels else {"num_labels": 3, "use_unknown_label": True}
    pipeline = SPADEPipeline(tiny_generator(**labels, **channels, image_size=32, latent_dim=None), processor)
    pipeline.save_pretrained(tmp_path / "model")
    given = [part for name, kind in folders.items() for part in (f"--{name}", beyond / kind)]
    run_example("beyond_rgb_sheet.py", tmp_path / "model", tmp_path / "sheet.png", *given, "--count", 2, "--size", 64)
    sheet, width = np.array(Image.open(tmp_path / "sheet.png")), len(is_gray)
    assert sheet.shape[1] == 64 * width and 128 < sheet.shape[0] < 200  # a heading above them
    cells = sheet[-128:].reshape(2, 64, width, 64, 3).transpose(0, 2, 1, 3, 4)  # (rows, columns, 64, 64, 3)
    assert all(cell.std() > 1 for row in cells for cell in row)
    assert (cells == cells[..., :1]).all(axis=(0, 2, 3, 4)).tolist() == is_gray
