"""The script that compares models, on a tiny grid."""

import json
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import yaml
from PIL import Image

from spade_hf.training.arguments import parse_args

from ..training_data import make_rows, mask, write_labels


ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "ablation.py"
TINY = {
    "base_channels": 4, "discriminator_base_channels": 4, "spade_hidden_channels": 4, "latent_dim": 4,
    "train_batch_size": 2, "num_validation_images": 1, "perceptual_model": "none", "max_train_steps": 2,
    "use_style_encoder": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def ablation():
    """The script as a module."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import ablation

        return ablation
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture
def grid(tmp_path):
    rows = make_rows(label=[mask(number) for number in range(6)])
    datasets.DatasetDict({"train": rows, "validation": rows}).save_to_disk(str(tmp_path / "data"))
    write_labels(tmp_path / "data" / "labels.json")
    values = {
        "data": {"dataset_name": "elsewhere", "resolution": 32},
        "training": TINY,
        "evaluation": {"segmenter_steps": 1, "device": "cpu"},
        "arms": {"spade": None, "mask start": {"latent_dim": 0}},
    }
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    return file


def run(grid, folder):
    command = [sys.executable, str(SCRIPT), str(grid), "--dataset_name", str(grid.parent / "data")]
    return subprocess.run([*command, "--output_dir", str(folder)], capture_output=True, text=True, timeout=500)


@pytest.mark.slow  # nine processes that import torch
def test_a_grid_is_trained_evaluated_and_tabulated_once(grid, tmp_path):
    folder = tmp_path / "out"
    result = run(grid, folder)
    assert result.returncode == 0, result.stderr
    head, _, spade, mask_start = (folder / "table.md").read_text().splitlines()
    assert head.startswith("| arm | seeds | miou | pixel_accuracy | kid |") and spade.startswith("| spade | 0 | ")
    assert mask_start.startswith("| mask start | 0 | ") and "| - |" in mask_start  # it has no styles to vary
    figures = json.loads((folder / "spade-0" / "figures.json").read_text())
    assert f"| {figures['miou']:.3g} | " in spade
    assert (folder / "spade-0" / "sheet.png").is_file() and len(list(folder.rglob("segmenter-*.safetensors"))) == 1
    assert Image.open(folder / "sheet.png").size == (4 * 32, 6 * 32)  # mask, real picture, two arms

    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    (folder / "mask start-0" / "costs.json").unlink()  # as if it had been stopped there
    again = run(grid, folder)
    assert again.returncode == 0, again.stderr
    changed = {path for path, time in written.items() if path.stat().st_mtime_ns != time}
    assert changed == {folder / "mask start-0" / "costs.json", folder / "table.md", folder / "sheet.png"}


def test_every_arm_once_before_any_gets_its_second_seed(ablation):
    arms = {"a": None, "b": {"seeds": [4], "norm_type": "instance"}}
    grid = ablation.Grid(data={"resolution": 32}, training={"base_channels": 8}, seeds=[0, 1], arms=arms)
    shared = {"resolution": 32, "base_channels": 8}
    assert grid.runs() == [("a", 0, shared), ("b", 4, {**shared, "norm_type": "instance"}), ("a", 1, shared)]


def test_the_grid_of_the_paper_parses(ablation):
    runs = ablation.Grid.from_file(ROOT / "examples" / "ablations" / "camvid.yaml").runs()
    assert len(runs) == 3 * 2 + 5
    for _, _, options in runs:
        parse_args(["--dataset_name", "x", *ablation.as_words(options)])


def test_options_as_words(ablation):
    options = {"resolution": [64, 96], "use_style_encoder": False, "push_to_hub": True, "generator": "spade"}
    options["latent_dim"] = None  # not given: the script's default
    words = ["--resolution", "64", "96", "--no-use_style_encoder", "--push_to_hub", "--generator", "spade"]
    assert ablation.as_words(options) == words


def test_means_and_ranges(ablation):
    assert ablation.mean_and_range([0.5]) == "0.5" and ablation.mean_and_range([None]) == "-"
    assert ablation.mean_and_range([0.4, 0.6]) == "0.5 ± 0.1"


@pytest.mark.parametrize("text", ["arms: {}", "data: [", "data: {}\narms: {}\nseed: 3"])
def test_a_file_that_is_not_a_grid(text, tmp_path, ablation):
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"grid.yaml cannot be used as a grid: .* It needs `data` and `arms`"):
        ablation.Grid.from_file(file)


def test_a_run_that_fails_is_named(grid, tmp_path):
    grid.write_text(grid.read_text().replace("max_train_steps: 2", "max_train_steps: 0"))
    result = run(grid, tmp_path / "out")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: train_spade.py ended with status 2. Fix what it says")
    assert "--max_train_steps is 0; it must be 1 or more" in result.stderr
