"""The evaluation script on a tiny model and data set."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.metrics import Scorer
from spade_hf.project import install_command

from ..tiny_networks import save_tiny_segmenter
from ..training_data import LABELS, make_networks, make_rows, mask, write_imagefolder, write_labels


SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "evaluate_spade.py"
STYLE_KEYS = {"style", "style_features", "diversity"}
KEYS = {"fid", "kid", "miou", "pixel_accuracy", "sharpness", "light", "feature_distance"}


@pytest.fixture
def evaluate(monkeypatch, capsys, caplog):
    """Run the script in this process; its exit status and what it wrote."""

    def evaluate(*options):
        caplog.clear()
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, options)])
        status = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as stop:
            status = stop.code or 0
        captured = capsys.readouterr()
        return SimpleNamespace(status=status, stdout=captured.out, stderr=captured.err, log=caplog.text)

    return evaluate


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    networks = make_networks()
    folder = tmp_path_factory.mktemp("model")
    processor = SPADEImageProcessor(label_set=LABELS)
    parts = {name: networks[name] for name in ("generator", "style_encoder")}
    for network in parts.values():
        network.fuse_spectral_norm()
    SPADEPipeline(image_processor=processor, **parts).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Splits `train` and `validation`, three scenes of two pictures each."""
    folder = tmp_path_factory.mktemp("data")
    scene = [0, 0, 1, 1, 2, 2]
    rows = make_rows(label=[mask(number) for number in scene]).add_column("scene", scene)
    datasets.DatasetDict({"train": rows, "validation": rows}).save_to_disk(str(folder))
    write_labels(folder / "labels.json")
    return folder


def options(data, folder, name="result"):
    files = ("--json", folder / f"{name}.json", "--output_dir", folder)
    return ("--dataset_name", data, "--segmenter_steps", 2, "--batch_size", 4, "--device", "cpu", *files)


def test_a_model_is_scored_twice_the_same(evaluate, model, data, tmp_path):
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A model\n")
    result = evaluate("--model", model, *options(data, tmp_path), "--group_column", "scene", "--update_model_card")
    assert result.status == 0, result.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert KEYS | STYLE_KEYS < report.keys() and KEYS < report["painted"].keys()
    assert report["diversity"] > 0 and -1 < report["style"] < 1
    assert {key for key in KEYS if report[key] is None} == {"fid"} == report["reasons"]["exact"].keys()
    assert report["counts"] == {"pictures": 6, "feature_dimensions": 352}
    assert report["real"]["sharpness"] == 1 and report["real"]["kid"] == pytest.approx(0, abs=1e-9)
    assert report["settings"]["resolution"] == [32, 32] and "torchmetrics" in report["versions"]
    assert "fid is null: 6 pictures are not more than the 352 feature dimensions" in result.log
    table = (tmp_path / "table.md").read_text()
    assert table.startswith("| | exact | painted | real |") and table in result.stdout
    assert Image.open(tmp_path / "sheet.png").size == (9 * 32, 6 * 32)

    (kid,) = [one for one in ModelCard.load(model / "README.md").data.eval_results if one.metric_type == "kid"]
    assert kid.metric_value == report["kid"] and kid.dataset_name == data.name and kid.metric_args["num_images"] == 6

    trained = [path.stat().st_mtime_ns for path in tmp_path.glob("segmenter-*.safetensors")]
    again = (*options(data, tmp_path, "again"), "--group_column", "scene", "--update_model_card")
    evaluate("--model", model, *again)
    again = json.loads((tmp_path / "again.json").read_text())
    assert again == report
    assert [path.stat().st_mtime_ns for path in tmp_path.glob("segmenter-*.safetensors")] == trained


def test_pictures_are_kept_and_made_once(evaluate, model, data, tmp_path, monkeypatch):
    command = ("--model", model, *options(data, tmp_path), "--segmenter", "none")
    made, make = [], Scorer._pictures

    def make_twice(self, *arguments):
        if len(made) == 2:
            raise OSError("the machine is gone")
        made.append(arguments)
        return make(self, *arguments)

    monkeypatch.setattr(Scorer, "_pictures", make_twice)
    assert evaluate(*command).status == 2
    assert not (tmp_path / "result.json").exists()
    monkeypatch.setattr(Scorer, "_pictures", lambda self, *arguments: made.append(arguments) or make(self, *arguments))
    assert evaluate(*command).status == 0
    assert len(made) == 5 * 2  # kinds and batches
    whole = json.loads((tmp_path / "result.json").read_text())

    (folder,) = tmp_path.glob("pictures-*")
    assert {path.name for path in folder.iterdir()} == {"exact", "painted", "styled", "random", "again"}
    pictures = sorted((folder / "exact").iterdir())
    assert [path.name for path in pictures] == [f"0000{row}.png" for row in range(6)]
    assert Image.open(pictures[0]).size == (32, 32)
    assert evaluate(*command).status == 0
    assert len(made) == 10 and json.loads((tmp_path / "result.json").read_text()) == whole
    assert evaluate(*command, "--seed", 1).status == 0
    assert len(made) == 20 and len(list(tmp_path.glob("pictures-*"))) == 2

    pictures[3].write_bytes(pictures[3].read_bytes()[:80])
    result = evaluate(*command)
    assert result.status == 2 and f"error: {pictures[3]} can't be read" in result.stderr
    Image.new("RGB", (8, 8)).save(pictures[3])
    assert "it is 8x8, not 32x32 (width x height). Delete it" in evaluate(*command).stderr
    pictures[3].unlink()
    assert evaluate(*command).status == 0
    assert json.loads((tmp_path / "result.json").read_text()) == whole


@pytest.mark.slow  # two processes that import everything
def test_two_processes_say_what_one_does(evaluate, model, data, tmp_path):
    command = ("--model", model, *options(data, tmp_path), "--batch_size", 1)
    evaluate(*command)
    alone = json.loads((tmp_path / "result.json").read_text())
    launch = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    words = [sys.executable, "-m", *launch, str(SCRIPT), *map(str, command)]
    search_path = os.pathsep.join([str(SCRIPT.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search_path}
    result = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "Process 1 of 2" in result.stderr and "Process 2 of 2" in result.stderr
    together = json.loads((tmp_path / "result.json").read_text())
    for name in KEYS | STYLE_KEYS:
        assert together[name] == (None if alone[name] is None else pytest.approx(alone[name], rel=1e-4))
    assert together["settings"] == alone["settings"] and together["counts"] == alone["counts"]


def test_real_pictures_and_reduced_ones(evaluate, data, tmp_path):
    command = (*options(data, tmp_path), "--real", "--resolution", 40, 48, "--segmenter", "none")
    assert evaluate(*command).status == 0
    real = json.loads((tmp_path / "result.json").read_text())
    assert real["sharpness"] == 1 and real["feature_distance"] == pytest.approx(0, abs=1e-9)
    assert real["miou"] is None and real["reasons"]["exact"]["miou"] == "--segmenter none"
    assert real["style"] is None and real["reasons"]["exact"]["diversity"] == "real pictures have one style each"
    assert real["painted"] is None and real["reasons"]["painted"] == "real pictures have exact masks only"
    assert evaluate(*command, "--reduce", 20).status == 0
    reduced = json.loads((tmp_path / "result.json").read_text())
    assert reduced["sharpness"] < 0.5 and reduced["kid"] > 0 and reduced["feature_distance"] > 0
    assert reduced["real"] == real["real"]


def test_folders_without_pictures_to_train_on(evaluate, model, tmp_path):
    folder = write_imagefolder(tmp_path / "pairs", mode="L")
    (folder / "images").mkdir()
    for path in folder.glob("*.png"):
        path.rename(folder / "images" / path.name)
    folders = ("--image_folder", folder / "images", "--mask_folder", folder / "masks")
    result = evaluate("--model", model, *folders, "--num_images", 3, "--json", tmp_path / "result.json")
    assert result.status == 0, result.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert report["miou"] is None and report["counts"]["pictures"] == 3
    assert "miou is null: no --segmenter_dataset to train a segmenter on" in result.log


def test_a_missing_train_split_is_a_reason_and_a_named_one_an_error(evaluate, model, data, tmp_path):
    datasets.DatasetDict({"test": make_rows()}).save_to_disk(str(tmp_path / "test-only"))
    command = ("--model", model, "--dataset_name", tmp_path / "test-only", "--split", "test", "--device", "cpu")
    result = evaluate(*command, "--no-painted_masks", "--json", tmp_path / "result.json")
    assert result.status == 0 and "has no split train to train a segmenter on" in result.log
    assert json.loads((tmp_path / "result.json").read_text())["pixel_accuracy"] is None
    named = evaluate(*command, "--segmenter_dataset", data, "--segmenter_split", "tset")
    assert named.status == 2 and "split 'tset') cannot be loaded" in named.stderr


def test_a_segmenter_of_transformers(evaluate, model, data, tmp_path):
    save_tiny_segmenter(tmp_path / "segformer", ("sky", "wall", "lawn", "rock"))
    (tmp_path / "names.json").write_text('{"lawn": "grass"}')
    options = ("--segmenter", tmp_path / "segformer", "--segmenter_labels", tmp_path / "names.json")
    result = evaluate(
        "--model", model, "--dataset_name", data, "--device", "cpu", "--json", tmp_path / "figures.json", *options
    )
    assert result.status == 0, result.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert 0 < figures["miou"] < 1 and 0 < figures["real"]["pixel_accuracy"] < 1


def bad_split(data, folder):
    return ("--dataset_name", data, "--split", "tset"), "split 'tset') cannot be loaded"


def bad_pair(data, folder):
    rows = make_rows(3, label=[mask(0), mask(1, size=(40, 20)), mask(2)])
    datasets.DatasetDict({"validation": rows}).save_to_disk(str(folder / "unpaired"))
    return ("--dataset_name", folder / "unpaired"), "the image is 48x40 and the mask 20x40 (width x height)"


def bad_folders(data, folder):
    for name, numbers in (("images", (0, 1)), ("masks", (0, 2))):
        (folder / name).mkdir()
        for number in numbers:
            mask(number).save(folder / name / f"{number}.png")
    return ("--image_folder", folder / "images", "--mask_folder", folder / "masks"), "has no file for 1"


def bad_group(data, folder):
    return ("--dataset_name", data, "--group_column", "layout"), "--group_column is 'layout'; the data set has the"


def bad_mask(data, folder):
    stranger = Image.fromarray(np.full((40, 48), 9, dtype=np.uint8))
    datasets.DatasetDict({"validation": make_rows(1, label=[stranger])}).save_to_disk(str(folder / "stranger"))
    return ("--dataset_name", folder / "stranger"), "has label ids [9]"


def bad_segmenter(data, folder):
    (folder / "mine.safetensors").write_bytes(b"nonsense")
    return ("--dataset_name", data, "--segmenter", folder / "mine.safetensors"), "can't be read as a segmenter"


def bad_classes(data, folder):
    save_tiny_segmenter(folder / "segformer", ("sky", "grass", "wall"))
    return ("--dataset_name", data, "--segmenter", folder / "segformer"), "has no class for rock. Its classes are sky"


def bad_names(data, folder):
    save_tiny_segmenter(folder / "segformer", ("sky", "grass", "wall"))
    (folder / "names.json").write_text('["rock"]')
    options = ("--dataset_name", data, "--segmenter", folder / "segformer")
    return (*options, "--segmenter_labels", folder / "names.json"), "names.json is not of the form {"


def bad_names_for(data, folder):
    options = ("--segmenter_labels", folder / "names.json")
    return ("--dataset_name", data, *options), "--segmenter_labels belongs to a --segmenter that is a folder or Hub id"


def bad_reduce(data, folder):
    return ("--dataset_name", data, "--reduce", 16), "--reduce belongs to --real, which is missing"


def bad_card(data, folder):
    options = ("--dataset_name", data, "--model", folder, "--update_model_card")
    return options, f"The model card of --model '{folder}' cannot be read"


def bad_network(data, folder):
    return (
        "--dataset_name",
        data,
        "--feature_network",
        "efficientnet-lite0",
    ), "--feature_network is 'efficientnet-lite0'; allowed"


@pytest.mark.parametrize(
    "case",
    [
        bad_split,
        bad_pair,
        bad_folders,
        bad_group,
        bad_mask,
        bad_segmenter,
        bad_classes,
        bad_names,
        bad_names_for,
        bad_reduce,
        bad_card,
        bad_network,
    ],
)
def test_what_is_wrong_is_one_line(case, evaluate, model, data, tmp_path):
    wrong, message = case(data, tmp_path)
    output = ("--json", tmp_path / "result.json", "--output_dir", tmp_path / "out", "--segmenter", "none")
    result = evaluate("--model", model, "--device", "cpu", *output, *wrong)
    assert result.status == 2
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ") and message in line
    assert not (tmp_path / "result.json").exists() and not (tmp_path / "out").exists()


def test_what_is_not_installed_is_named(evaluate, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    message = f"error: evaluation needs the package torchmetrics, which is not installed: {install_command('eval')}"
    assert evaluate("--help").status == message
