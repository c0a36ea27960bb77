"""The script that compares models, on a tiny grid."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf_cli.train.parser import parse_args

from ..training_data import LABELS, make_networks, make_rows, mask, write_imagefolder, write_labels


ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "research" / "ablation.py"
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
    sheet = Image.open(folder / "sheet.png")
    assert sheet.width == 4 * 32 and sheet.height > 6 * 32  # mask, real image, two arms; headings
    pixels, its_own = (np.array(Image.open(one / "sheet.png"))[-6 * 32 :] for one in (folder, folder / "spade-0"))
    np.testing.assert_array_equal(pixels[:, : 3 * 32], its_own[:, : 3 * 32])

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
    runs = ablation.Grid.from_file(ROOT / "research" / "ablations" / "camvid.yaml").runs()
    assert len(runs) == 3 * 2 + 5
    for _, _, options in runs:
        parse_args(["--dataset_name", "x", *ablation.as_words(options)])


def test_options_as_words(ablation):
    options = {"resolution": [64, 96], "use_style_encoder": False, "push_to_hub": True, "generator": "spade"}
    options["latent_dim"] = None  # not given: the script's default
    options["max_grad_norm"] = None  # not given
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


def test_a_run_that_fails_is_named(ablation, capfd):
    with pytest.raises(ValueError, match="^train_spade.py ended with status 2. Fix what it says"):
        ablation.run_script("train_spade.py", {"dataset_name": "x", "max_train_steps": 0})
    assert "--max_train_steps is 0; it must be 1 or more" in capfd.readouterr().err


@pytest.fixture
def start(ablation, grid, tmp_path, monkeypatch):
    """Start the script with recorded runs of the others, which leave what the real ones leave; their names."""

    def start(fail=False, **changes):
        values = {**yaml.safe_load(grid.read_text()), **changes}
        grid.write_text(yaml.safe_dump(values, sort_keys=False))
        done = []

        def run_script(script, options, **more):
            done.append((script, Path(more["output_dir"]).name))
            if script == "train_spade.py":
                more["output_dir"].mkdir(parents=True, exist_ok=True)
                if fail:
                    (more["output_dir"] / "checkpoint-1").mkdir()
                    raise ValueError("stopped")
                networks = make_networks()
                parts = {name: networks[name] for name in ("generator", "style_encoder")}
                processor = SPADEImageProcessor(label_set=LABELS)
                SPADEPipeline(image_processor=processor, **parts).save_pretrained(more["output_dir"])
            else:
                figures = dict.fromkeys(ablation.FIGURES, 0.5) | {"painted": None, "counts": {"pictures": 6}}
                more["json"].write_text(json.dumps({**figures, "settings": {"resolution": [32, 32]}}))
                more["output_dir"].mkdir(exist_ok=True)
                Image.new("RGB", (96, 200)).save(more["output_dir"] / "sheet.png")

        monkeypatch.setattr(ablation, "run_script", run_script)
        monkeypatch.setattr(ablation, "TIMED_PICTURES", 1)
        command = [str(grid), "--dataset_name", str(tmp_path / "data"), "--output_dir", str(tmp_path / "out")]
        ablation.main(ablation.parse_args(command))
        return done

    return start


ONE_ARM = {"arms": {"spade": {"feature_matching_weight": 5}}}


def test_what_is_done_is_done_once(start, tmp_path):
    assert start(**ONE_ARM) == [("train_spade.py", "spade-0"), ("evaluate_spade.py", "evaluation")]
    assert start() == []
    (tmp_path / "data").rename(tmp_path / "moved")  # the same data elsewhere
    (tmp_path / "data").symlink_to(tmp_path / "moved")
    assert start(arms={**ONE_ARM["arms"], "other": None})[0] == ("train_spade.py", "other-0")


CHANGES = {
    "a weight of the arm": (
        {"arms": {"spade": {"feature_matching_weight": 6}}},
        "with feature_matching_weight 5.0; now",
    ),
    "training": (
        {"training": {**TINY, "max_train_steps": 3}},
        "with max_train_steps 2; now it is 3. Delete this folder",
    ),
    "evaluation": (
        {"evaluation": {"segmenter_steps": 2, "device": "cpu"}},
        "with segmenter_steps 1; now it is 2. Delete .*figures.json to evaluate again",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_results_of_other_options_are_not_tabulated(change, start):
    changes, message = CHANGES[change]
    start(**ONE_ARM)
    with pytest.raises(ValueError, match=f"spade-0 has results {message}"):
        start(**changes)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train", "of other data: the images or masks of the rows are others"),
        ("validation", "of other data: the number of rows was 6 and is 5"),
    ],
)
def test_results_of_other_data_are_not_tabulated(split, message, start, tmp_path):
    start(**ONE_ARM)
    rows = make_rows(label=[mask(number) for number in range(6)])
    others = rows.select([1, 0, 2, 3, 4, 5]) if split == "train" else rows.select(range(5))
    shutil.rmtree(tmp_path / "data")
    splits = {"train": rows, "validation": rows, split: others}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "data"))
    write_labels(tmp_path / "data" / "labels.json")
    with pytest.raises(ValueError, match=f"spade-0 has results {message}"):
        start()


def test_files_that_a_table_names_are_part_of_the_data(ablation, tmp_path):
    folder = write_imagefolder(tmp_path / "pairs", mode="L")
    (folder / "metadata.jsonl").unlink()
    names = {"image": [f"{index}.png" for index in range(6)], "label": [f"masks/{index}.png" for index in range(6)]}
    datasets.Dataset.from_dict(names).to_parquet(folder / "rows.parquet")
    words = ["--dataset_name", str(folder / "rows.parquet"), "--label_set", str(folder / "labels.json")]
    args = ablation.evaluation.parse_args([*words, "--split", "train"])
    before = ablation.describe_data(args, "train")
    shutil.copy(folder / "masks" / "1.png", folder / "masks" / "0.png")
    assert ablation.describe_data(args, "train") != before


def test_results_of_an_older_version_are_not_tabulated(start, tmp_path):
    start(**ONE_ARM)
    (tmp_path / "out" / "spade-0" / "training.json").unlink()
    with pytest.raises(ValueError, match="has results without training.json, of an older version"):
        start()


def test_a_model_that_is_trained_again_is_evaluated_again(start, tmp_path):
    start(**ONE_ARM)
    (tmp_path / "out" / "spade-0" / "model_index.json").unlink()
    assert start() == [("train_spade.py", "spade-0"), ("evaluate_spade.py", "evaluation")]


def test_the_time_of_a_stopped_run_counts(start, tmp_path):
    with pytest.raises(ValueError, match="stopped"):
        start(fail=True, **ONE_ARM)
    stopped = json.loads((tmp_path / "out" / "spade-0" / "seconds.json").read_text())
    start()
    assert json.loads((tmp_path / "out" / "spade-0" / "seconds.json").read_text()) > stopped > 0


def test_costs_belong_to_a_number_of_threads(ablation, start, tmp_path, monkeypatch):
    start(**ONE_ARM)
    written = []
    monkeypatch.setattr(ablation, "write_costs", written.append)
    start()
    assert not written
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    start()
    assert written == [tmp_path / "out" / "spade-0"]


def test_wrong_options_of_an_arm_are_named(start, capsys):
    with pytest.raises(ValueError, match="The options .*--max_train_steps 0 .*are wrong; see above"):
        start(training={**TINY, "max_train_steps": 0})
    assert "error: --max_train_steps is 0; it must be 1 or more." in capsys.readouterr().err
