"""`examples/train_outlines.py`: runs, resumes bit by bit, and says what is wrong."""

import json
from dataclasses import replace

import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image

from spade_hf import SPADEOutlineModel
from spade_hf.labels.label_set import Label
from spade_hf.training import CheckpointManager

from ..training_data import LABELS, mask, write_imagefolder
from .programs import ROOT, checkpoints
from .test_exact_resume import Killed, tensors


SCRIPT = ROOT / "examples" / "train_outlines.py"
SMALL = "--resolution 32 --block_out_channels 8 8 16 --train_batch_size 2 --num_validation_images 2".split()


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
    assert run(*options(data, whole)).status == 0
    save = CheckpointManager.save

    def save_and_die(self, state, model):
        save(self, state, model)
        if state.global_step in (2, 3):
            raise Killed

    monkeypatch.setattr(CheckpointManager, "save", save_and_die)
    for _ in range(2):
        with pytest.raises(Killed):
            run(*options(data, broken, "--resume_from_checkpoint", "latest"))
    monkeypatch.undo()
    assert run(*options(data, broken, "--resume_from_checkpoint", "latest")).status == 0
    expected, found = (tensors(folder / "checkpoint-4") for folder in (whole, broken))
    assert expected.keys() == found.keys() and len(expected) > 200
    assert [name for name in expected if not expected[name].equal(found[name])] == []

    # What a run leaves
    assert checkpoints(whole) == {"checkpoint-2", "checkpoint-3", "checkpoint-4"}
    for folder in (whole, whole / "checkpoint-4"):
        model = SPADEOutlineModel.from_pretrained(str(folder))
        assert list(model.config.labels) == ["sky", "grass", "rock"] and model.config.num_labels == 3
    card = (whole / "README.md").read_text()
    assert "SPADEOutlineModel.from_pretrained(" in card and "4 updates on 7 label maps" in card
    assert "| block_out_channels | [8, 8, 16] |" in card
    assert Image.open(whole / "samples" / "final.png").width == 5 * 32
    assert {path.name for path in (whole / "samples").iterdir()} == {
        "final.png",
        "step-0000002.png",
        "step-0000004.png",
    }
    rows = (whole / "metrics.csv").read_text().splitlines()
    assert rows[0].startswith("step,cross_entropy,pixel_accuracy,learning_rate") and len(rows) == 5
    assert "outline_strength" in card


def test_a_folder_of_masks_is_enough(run, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in range(3):
        mask(index).save(folder / f"gt_{index}.png")
    (tmp_path / "labels.json").write_text(json.dumps(LABELS.to_dict()))
    arguments = [*SMALL, "--mask_folder", folder, "--mask_prefix", "gt_", "--output_dir", tmp_path / "model"]
    assert run(*arguments, "--dry_run").status == 0 and not (tmp_path / "model").exists()
    output = run(*arguments, "--max_train_steps", 1)
    assert output.status == 0 and "spade-hf generate MASK --outline-model" in output.stdout
    again = run(*arguments, "--max_train_steps", 1)
    assert again.status == 2 and "holds a run" in again.stderr


def test_a_run_starts_from_a_trained_model(run, data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(*options(data, first, steps=1)).status == 0
    start = ["--pretrained_model_name_or_path", first]
    given = options(data, second, *start, "--learning_rate", 1e-9, steps=1)
    given = given[:2] + given[6:]  # without the widths
    assert run(*given, "--seed", 3).status == 0
    weights = [SPADEOutlineModel.from_pretrained(str(folder)).state_dict() for folder in (first, second)]
    assert all(torch.allclose(weights[0][name], weights[1][name]) for name in weights[0])
    assert "| block_out_channels | [8, 8, 16] |" in (second / "README.md").read_text()

    other = tmp_path / "other.json"
    sand = Label(4, "sand", (128, 64, 0))
    other.write_text(json.dumps(replace(LABELS, labels=(*LABELS.labels[:2], sand)).to_dict()))
    refused = run(*given, "--label_set", other, "--output_dir", tmp_path / "third")
    assert refused.status == 2 and "the first that differs is 'rock' instead of 'sand'" in refused.stderr
    refused = run(*given, "--num_attention_heads", 2, "--output_dir", tmp_path / "third")
    assert refused.status == 2 and "--num_attention_heads has no effect" in refused.stderr


def test_pushed_to_the_hub_and_back(run, data, hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    output = tmp_path / "outlines-to-push"
    (tmp_path / "outlines-to-push").mkdir()
    (output / "notes.txt").write_text("mine")
    result = run(*options(data, output, "--push_to_hub", "--hub_strategy", "every_save", steps=2))
    assert result.status == 0, result.stderr
    repo_id = f"{hub.user}/outlines-to-push"
    files = set(HfApi(token=hub.token).list_repo_files(repo_id))
    assert files >= {"config.json", "diffusion_pytorch_model.safetensors", "README.md", "samples/final.png"}
    assert not [name for name in files if "checkpoint" in name or name == "notes.txt"]
    for revision in (None, "step-0000001"):
        model = SPADEOutlineModel.from_pretrained(repo_id, revision=revision, token=hub.token)
        assert list(model.config.labels) == ["sky", "grass", "rock"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "Give either --dataset_name or --mask_folder."),
        (["--dataset_name", "a", "--mask_suffix", "_ids.png"], "--mask_suffix belongs to --mask_folder"),
        (["--mask_folder", "a", "--mask_column", "label"], "--mask_column belongs to --dataset_name"),
        (["--dataset_name", "a", "--resolution", "100"], "--resolution is 100; .* multiple of 8"),
        (["--dataset_name", "a", "--hub_strategy", "checkpoint"], "--hub_strategy checkpoint needs --push_to_hub"),
        (["--dataset_name", "a", "--learnin_rate", "1"], "did you mean --learning_rate"),
        (["--mask_folder", "nowhere"], "nowhere"),
    ],
)
def test_bad_options(run, given, message, tmp_path):
    output = run(*given, "--output_dir", tmp_path / "out")
    assert output.status == 2
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(output.stderr)
