"""`examples/train_segmenter.py`: runs, resumes bit by bit, and says what is wrong."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from spade_hf import SPADESegmenter
from spade_hf.labels.label_set import Label
from spade_hf.training import CheckpointManager

from ..training_data import LABELS, mask, real_image, write_imagefolder
from .programs import ROOT, checkpoints
from .test_exact_resume import Killed, tensors


SCRIPT = ROOT / "examples" / "train_segmenter.py"
SMALL = "--resolution 32 --width 8 --train_batch_size 2 --num_validation_images 2".split()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_imagefolder(tmp_path_factory.mktemp("data") / "pairs", count=7)


@pytest.fixture
def run(run):
    return lambda *options: run(*options, script=SCRIPT)


def options(data, output, *more, steps=4):
    return [*SMALL, "--dataset_name", data, "--output_dir", output, "--max_train_steps", steps,
            "--checkpointing_steps", 1, "--validation_steps", 2, "--log_steps", 1, *more]  # fmt: skip


def test_a_resumed_run_is_bit_equal(run, data, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    evaluated = ("--evaluation_steps", 2, "--evaluation_split", "train", "--num_evaluation_images", 3)
    assert run(*options(data, whole, *evaluated)).status == 0
    save = CheckpointManager.save

    def save_and_die(self, state, model):
        save(self, state, model)
        if state.global_step in (2, 3):
            raise Killed

    monkeypatch.setattr(CheckpointManager, "save", save_and_die)
    for _ in range(2):
        with pytest.raises(Killed):
            run(*options(data, broken, *evaluated, "--resume_from_checkpoint", "latest"))
    monkeypatch.undo()
    assert run(*options(data, broken, *evaluated, "--resume_from_checkpoint", "latest")).status == 0
    expected, found = (tensors(folder / "checkpoint-4") for folder in (whole, broken))
    assert expected.keys() == found.keys() and len(expected) > 200
    assert [name for name in expected if not expected[name].equal(found[name])] == []

    # What a run leaves
    assert checkpoints(whole) == {"checkpoint-2", "checkpoint-3", "checkpoint-4"}
    for folder in (whole, whole / "checkpoint-4"):
        model = SPADESegmenter.from_pretrained(str(folder))
        assert list(model.config.labels) == ["sky", "grass", "rock"] and model.config.image_size == 32
    card = (whole / "README.md").read_text()
    assert "SPADESegmenter.from_pretrained(" in card and "4 updates on 7 pairs" in card
    assert "| image_size | 32 |" in card and "On 3 pairs that were not trained on" in card
    assert "condition_channels" not in card
    assert Image.open(whole / "samples" / "final.png").width == 3 * 32
    rows = (whole / "metrics.csv").read_text().splitlines()
    assert rows[0].startswith("step,cross_entropy,pixel_accuracy,learning_rate")
    assert "evaluation/miou" in rows[0] and "evaluation/pixel_accuracy" in rows[0]


def test_folders_with_pairs_held_out(run, tmp_path):
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    for index in range(8):
        real_image(index).save(tmp_path / "photos" / f"{index}.jpg")
        mask(index).save(tmp_path / "masks" / f"{index}.png")
    (tmp_path / "labels.json").write_text(json.dumps(LABELS.to_dict()))
    arguments = [*SMALL, "--image_folder", tmp_path / "photos", "--mask_folder", tmp_path / "masks"]
    arguments += ["--validation_share", 0.3, "--output_dir", tmp_path / "model"]
    assert run(*arguments, "--dry_run").status == 0 and not (tmp_path / "model").exists()
    output = run(*arguments, "--max_train_steps", 1)
    assert output.status == 0 and "spade-hf segment PHOTO --segmenter" in output.stdout
    held_out = (tmp_path / "model" / "validation_files.txt").read_text().split()
    assert 0 < len(held_out) < 8
    assert f"On {len(held_out)} pairs that were not trained on" in (tmp_path / "model" / "README.md").read_text()
    again = run(*arguments, "--max_train_steps", 1)
    assert again.status == 2 and "holds a run" in again.stderr


def test_a_run_starts_from_a_trained_model(run, data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(*options(data, first, steps=1)).status == 0
    given = options(data, second, "--pretrained_model_name_or_path", first, steps=1)
    given = given[:2] + given[4:]  # without the width
    rates = ("--learning_rate", 0, "--body_learning_rate", 0)
    assert run(*given, *rates, "--seed", 3).status == 0
    weights = [dict(SPADESegmenter.from_pretrained(str(folder)).named_parameters()) for folder in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert "| width | 8 |" in (second / "README.md").read_text()

    other = tmp_path / "other.json"
    sand = Label(4, "sand", (128, 64, 0))
    other.write_text(json.dumps(replace(LABELS, labels=(*LABELS.labels[:2], sand)).to_dict()))
    refused = run(*given, "--label_set", other, "--output_dir", tmp_path / "third")
    assert refused.status == 2 and "the first that differs is 'rock' instead of 'sand'" in refused.stderr
    refused = run(*given, "--width", 16, "--output_dir", tmp_path / "third")
    assert refused.status == 2 and "--width has no effect" in refused.stderr


def test_the_new_layers_learn_faster(run, data, tmp_path):
    changed = {}
    for name, rates in {"new": ("--body_learning_rate", 0), "body": ("--learning_rate", 0)}.items():
        folder = tmp_path / name
        assert run(*options(data, folder, *rates, "--lr_warmup_steps", 0, steps=2)).status == 0
        changed[name] = dict(SPADESegmenter.from_pretrained(str(folder)).named_parameters())
    fresh = SPADESegmenter(num_labels=3, width=8)
    fresh.load_imagenet_weights()
    body = {f"body.{name}": weight for name, weight in fresh.body.named_parameters()}
    assert all(changed["new"][name].equal(weight) for name, weight in body.items())
    assert not any(changed["body"][name].equal(weight) for name, weight in body.items() if weight.ndim > 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "Give either --dataset_name, or --image_folder with --mask_folder."),
        (["--dataset_name", "a", "--resolution", "16"], "--resolution is 16; give one side of 32 or more"),
        (["--dataset_name", "a", "--resolution", "64", "96"], "--resolution is 64 96; give one side"),
        (["--dataset_name", "a", "--image_size", "8"], "--image_size is 8; give 32 or more"),
        (["--dataset_name", "a", "--min_crop_share", "0"], "--min_crop_share is 0"),
        (["--dataset_name", "a", "--image_channels", "1"], "--image_channels is not for segmenters"),
        (["--dataset_name", "a", "--condition_column", "depth"], "--condition_column is not for segmenters"),
        (["--dataset_name", "a", "--hub_strategy", "checkpoint"], "--hub_strategy checkpoint needs --push_to_hub"),
        (["--dataset_name", "a", "--validation_share", "0.1"], "--validation_share belongs to --image_folder"),
        (["--image_folder", "nowhere", "--mask_folder", "nothing"], "nowhere"),
    ],
)
def test_bad_options(run, given, message, tmp_path):
    output = run(*given, "--output_dir", tmp_path / "out")
    assert output.status == 2
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(output.stderr)
