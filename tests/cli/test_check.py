"""`spade-hf check`."""

from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from spade_hf_cli import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five pairs of 48x32 pixels, half sky and half grass, the last one half water."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(5):
        ids = np.zeros((32, 48), np.uint8)
        ids[16:] = 5 if number < 4 else 8
        Image.fromarray(ids).save(tmp_path / "masks" / f"{number}.png")
        Image.new("RGB", (48, 32), (50 * number, 90, 120)).save(tmp_path / "images" / f"{number}.jpg")
    return tmp_path


@pytest.fixture
def check(data, capsys):
    """Run the command; its status and what it printed."""

    def run(*options: object) -> tuple[int, str]:
        folders = ["--image_folder", data / "images", "--mask_folder", data / "masks"]
        typed = [*folders, "--label_set", "landscapes", "--resolution", 32, 48, *options]
        status = main(["check", *map(str, typed)])
        return status, capsys.readouterr().out

    return run


@pytest.mark.parametrize("workers", [0, 2])
def test_good_pairs(check, data, workers):
    status, out = check("--num_workers", workers, "--sheet", data / "sheet.png")
    assert status == 0 and "5 pairs read in" in out and ", 0 bad." in out
    assert "sizes (width x height): 48x32 (5)" in out
    table = {
        line.split()[1]: line.split()[2:] for line in out.splitlines() if line.strip()[:1].isdigit() and "%" in line
    }
    assert table == {"sky": ["50.00%", "5"], "grass": ["40.00%", "4"], "water": ["10.00%", "1"]}
    assert "in no pair: cloud, mountain" in out
    sheet = np.array(Image.open(data / "sheet.png")).astype(int)
    assert sheet.shape == (2 * 32, 4 * 96, 3)
    assert np.abs(sheet[20, 20] - [0, 90, 120]).max() < 12  # the first image
    assert np.abs(2 * sheet[20, 68] - sheet[20, 20] - [124, 200, 0]).max() < 3  # and grass over it


def test_all_problems_at_once(check, data):
    Image.fromarray(np.full((32, 48), 77, np.uint8)).save(data / "masks" / "1.png")
    (data / "masks" / "2.png").write_bytes(b"broken")
    Image.new("RGB", (48, 40)).save(data / "images" / "3.jpg")
    status, out = check("--num_workers", 2)
    bad = [line for line in out.splitlines() if line.startswith("bad: ")]
    assert status == 1 and len(bad) == 3 and "5 pairs read" in out and ", 3 bad." in out
    for line, number, words in zip(bad, (1, 2, 3), ("77", "cannot be read", "same frame"), strict=True):
        assert f"Row {number}" in line and words in line and f"{number}.jpg" in line


def test_a_data_set(check, data, capsys):
    columns = {"photo": [str(path) for path in sorted((data / "images").iterdir())]}
    columns["mask"] = [str(path) for path in sorted((data / "masks").iterdir())]
    features = datasets.Features({name: datasets.Image() for name in columns})
    rows = datasets.Dataset.from_dict(columns, features=features)
    rows.to_parquet(data / "pairs.parquet")
    options = ["--image_column", "photo", "--mask_column", "mask", "--label_set", "landscapes", "--num_workers", "0"]
    assert main(["check", "--dataset_name", str(data / "pairs.parquet"), *options]) == 0
    assert "5 pairs read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ([], "Give either --dataset_name, or --image_folder"),
        (["--dataset_name", "{data}/none"], "cannot be loaded"),
        (["--image_folder", "{data}/images", "--mask_folder", "{data}/masks"], "--label_set is missing"),
        (["--image_folder", "{data}/images", "--mask_folder", "{data}/none"], "is neither a folder nor a zip file"),
    ],
)
def test_what_cannot_be_checked_is_one_line(data, fails, options, match):
    fails("check", *[option.format(data=data) for option in options], match=match)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--split", "validation"), "--split belongs to --dataset_name, which is missing"),
        (("--overwrite",), "--overwrite belongs to --sheet, which is missing"),
        (("--resolution", 32, 48, 64), "--resolution has 3 numbers; give one side, or height and width"),
        (("--dataset_config_name", "a"), "--dataset_config_name belongs to --dataset_name; folders have no"),
        (("--mask_column", "mask"), "--mask_column belongs to --dataset_name; folders have no"),
        (("--instance_column", "ids"), "--instance_column belongs to --dataset_name; folders have no"),
    ],
)
def test_options_without_effect_are_refused(data, options, match, fails):
    folders = ["--image_folder", data / "images", "--mask_folder", data / "masks", "--label_set", "landscapes"]
    fails("check", *folders, *options, match=match)
