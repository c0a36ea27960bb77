"""The script that measures what synthesized images are worth, on a tiny grid."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import yaml

from ..training_data import make_rows, mask, write_labels
from .test_ablation import TINY


SCRIPT = Path(__file__).resolve().parents[2] / "research" / "segmentation_gain.py"


@pytest.fixture(scope="module")
def gain():
    """The script as a module."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import segmentation_gain

        return segmentation_gain
    finally:
        sys.path.remove(str(SCRIPT.parent))


def test_a_share_of_the_rows(gain):
    rows = datasets.Dataset.from_dict({"number": list(range(40))})
    first, again, other = (gain.take(rows, 0.25, seed)["number"][:] for seed in (0, 0, 1))
    assert len(set(first)) == 10 and first == again != other and first == sorted(first)
    assert gain.take(rows, 1, 0)["number"][:] == rows["number"][:]
    assert len(gain.take(rows, 0.001, 0)) == 1


def test_gains_are_taken_seed_by_seed(gain, tmp_path):
    for seed, (real, both) in enumerate([(0.2, 0.3), (0.4, 0.44)]):
        figures = {"real": real, "real + synthesized": both}
        (tmp_path / f"0.5-{seed}").mkdir()
        (tmp_path / f"0.5-{seed}" / "figures.json").write_text(
            json.dumps({arm: {"pairs": 4, "miou": miou, "pixel_accuracy": 0.5} for arm, miou in figures.items()})
        )
    assert gain.tabulate(tmp_path, [0.5], [0, 1]).splitlines()[2:] == [
        "| 50% | real | 4 | 0.3 ± 0.1 |  | 0.5 ± 0 |  |",
        "| 50% | real + synthesized | 4 | 0.37 ± 0.07 | 0.07 ± 0.03 | 0.5 ± 0 | 0 ± 0 |",
    ]


def test_no_share_above_one(gain, capsys):
    with pytest.raises(SystemExit):
        gain.parse_args(["grid.yaml", "--shares", "2"])
    assert "--shares is 2.0; it must be above 0 and at most 1." in capsys.readouterr().err


@pytest.fixture
def files(tmp_path):
    """Options for the data set and the grid."""
    rows = make_rows(label=[mask(number) for number in range(6)])
    datasets.DatasetDict({"train": rows, "validation": rows}).save_to_disk(str(tmp_path / "data"))
    write_labels(tmp_path / "data" / "labels.json")
    values = {"data": {"dataset_name": "elsewhere", "resolution": [32, 32]}, "training": TINY, "arms": {"spade": None}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(values))
    command = [str(tmp_path / "grid.yaml"), "--dataset_name", str(tmp_path / "data"), "--segmenter_steps", "1"]
    return [*command, "--shares", "0.5", "--seeds", "0", "--images_per_mask", "2"]


def start(gain, monkeypatch, files, *more):
    """Start the script, which stops where training would begin."""

    def stop(*_, **__):
        raise ValueError("training begins")

    monkeypatch.setattr(gain, "run_script", stop)
    gain.main(gain.parse_args([*files, "--output_dir", str(Path(files[0]).parent / "out"), *more]))


def change_images(files):
    return ["--images_per_mask", "3"]


def change_segmenter(files):
    return ["--segmenter_steps", "2"]


def change_training(files):
    grid = Path(files[0])
    grid.write_text(grid.read_text().replace("max_train_steps: 2", "max_train_steps: 3"))
    return []


def change_data(files, split="train"):
    folder = Path(files[2])
    rows = make_rows(label=[mask(number) for number in range(6)])
    shutil.rmtree(folder)
    datasets.DatasetDict({"train": rows, "validation": rows, split: rows.select(range(5))}).save_to_disk(str(folder))
    write_labels(folder / "labels.json")
    return []


def change_test_data(files):
    return change_data(files, "validation")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_images, "has results with images_per_mask 2; now it is 3"),
        (change_segmenter, "has results with segmenter_steps 1; now it is 2"),
        (change_training, "has results with max_train_steps 2; now it is 3"),
        (change_data, "has results of other data: the number of rows was 6 and is 5"),
        (change_test_data, "has results of other test data: the number of rows was 6 and is 5"),
    ],
)
def test_results_of_other_options_or_data_are_not_tabulated(change, message, gain, files, monkeypatch):
    for _ in range(2):
        with pytest.raises(ValueError, match="training begins"):
            start(gain, monkeypatch, files)
    with pytest.raises(ValueError, match=message):
        start(gain, monkeypatch, files, *change(files))


@pytest.mark.slow  # five processes that import torch
def test_segmenters_are_trained_and_compared_once(files, tmp_path):
    command = [sys.executable, str(SCRIPT), *files]
    folder = tmp_path / "out"
    result = subprocess.run([*command, "--output_dir", str(folder)], capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    figures = json.loads((folder / "0.5-0" / "figures.json").read_text())
    pairs = {arm: one["pairs"] for arm, one in figures.items()}
    assert pairs == {"real": 3, "real + synthesized": 12, "real + synthesized from all masks": 24}
    assert (folder / "table.md").read_text().count("| 50% |") == 3

    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    again = subprocess.run([*command, "--output_dir", str(folder)], capture_output=True, text=True, timeout=500)
    assert again.returncode == 0, again.stderr
    assert "Training a segmenter" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
