"""Training with pairs that are held out, from plain folders or as another split, and without broken pairs."""

import json
import re
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spade_hf import SPADEPipeline
from spade_hf.data import load_folders
from spade_hf.metrics import load_feature_network, segmenter_settings, train_segmenter
from spade_hf.metrics.caches import save_segmenter
from spade_hf.training import hold_out
from spade_hf_cli.train.build import build_dataset, build_evaluation, build_held_out
from spade_hf_cli.train.parser import parse_args

from ..training_data import make_networks, make_rows, mask, real_image, write_labels
from .programs import SMALL


RED = (250, 10, 10)


def write(root, names, color=None):
    """Photographs of noise, around one color if given, and masks."""
    rng = np.random.default_rng(0)
    for folder in ("photos", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        photograph = real_image(number)
        if color is not None:
            photograph = Image.fromarray((rng.integers(-5, 6, (40, 48, 3)) + color).astype(np.uint8))
        photograph.save(root / "photos" / f"{name}.png")
        mask(number, mode="RGB").save(root / "masks" / f"{name}.png")
    return root


def folders(root, which=""):
    return (f"--{which}image_folder", root / "photos", f"--{which}mask_folder", root / "masks")


@pytest.fixture
def options(tmp_path):
    write(tmp_path / "street", [f"{number:02}" for number in range(12)])
    labels = write_labels(tmp_path / "labels.json")
    return [*SMALL, *folders(tmp_path / "street"), "--label_set", labels, "--output_dir", tmp_path / "run",
            "--max_train_steps", 4, "--validation_steps", 2, "--checkpointing_steps", 2]  # fmt: skip


def photographs(file, count):
    """The second column of a sample grid, whose tiles have 32 pixels: the mean color of each."""
    grid = np.array(Image.open(file))
    return [grid[grid.shape[0] - 32 * row - 32 : grid.shape[0] - 32 * row, 32:64].mean((0, 1)) for row in range(count)]


def test_folders_that_are_not_trained_on(run, options, tmp_path, caplog):
    """They change nothing of the training; a pair that cannot be read is left out of both runs."""
    caplog.set_level("INFO")
    real_image(12).save(tmp_path / "street" / "photos" / "12.png")
    (tmp_path / "street" / "masks" / "12.png").write_bytes(b"no image")
    others = folders(write(tmp_path / "village", ["a", "b", "c"], RED), "validation_")
    result = run(*options, "--skip_broken", *others, "--evaluation_steps", 2, "--report_to", "tensorboard")
    assert result.status == 0, result.stderr
    assert result.stdout.startswith("Loading the data and the networks ...")
    assert (tmp_path / "run" / "validation_files.txt").read_text() == "a.png\nb.png\nc.png\n"
    for file in ("step-0000002.png", "final.png"):
        for color in photographs(tmp_path / "run" / "samples" / file, 2):
            assert np.abs(color - RED).max() < 3
    assert "4 updates on 12 pairs" in (card := (tmp_path / "run" / "README.md").read_text())
    assert "The model has not seen these pairs." in card and "These are training samples" not in card
    line = re.compile(r"step [24]/4: evaluation/kid .*, evaluation/sharpness .*, evaluation/feature_distance ")
    assert len([text for text in caplog.messages if line.match(text)]) == 2
    events = EventAccumulator(str(tmp_path / "run" / "logs" / "spade")).Reload()
    values = {name: [event.step for event in events.Scalars(f"evaluation/{name}")] for name in ("kid", "sharpness")}
    assert values == {"kid": [2, 4], "sharpness": [2, 4]}
    assert "Left out: Row 12 of the data set (" in caplog.text and "masks/12.png" in caplog.text
    assert "1 of 13 rows were broken and left out" in caplog.text
    state = json.loads((tmp_path / "run" / "checkpoint-4" / "training_state.json").read_text())
    assert state["broken_rows"] == [12]

    weights = tmp_path / "run" / "generator" / "diffusion_pytorch_model.safetensors"
    before = weights.read_bytes()
    assert run(*options, "--skip_broken", "--overwrite_output_dir").status == 0
    assert weights.read_bytes() == before
    assert not (tmp_path / "run" / "validation_files.txt").exists()  # the list of the run before
    assert "These are training samples." in (tmp_path / "run" / "README.md").read_text()

    result = run(*options, *folders(tmp_path / "street", "validation_"), "--overwrite_output_dir")
    assert result.status == 2 and "13 of the 13 pairs held out are trained on" in result.stderr


def test_another_split_is_evaluated(run, tmp_path):
    """Evenly spread over it; the split has to be there."""
    rows = {"train": make_rows(), "validation": make_rows(4)}
    datasets.DatasetDict(rows).save_to_disk(str(tmp_path / "data"))
    write_labels(tmp_path / "data" / "labels.json")
    command = [*SMALL, "--dataset_name", str(tmp_path / "data"), "--evaluation_steps", "2"]
    options = parse_args([*command, "--num_evaluation_images", "3"])
    held_out = build_held_out(options, build_dataset(options))
    assert len(held_out) == 4
    evaluation = build_evaluation(options, SimpleNamespace(is_main_process=True, device="cpu"), held_out)
    assert evaluation.dataset.rows["file_name"] == ["0.jpg", "1.jpg", "2.jpg"]

    result = run(*command, "--output_dir", tmp_path / "out", "--evaluation_split", "tset")
    assert result.status == 2 and "split 'tset') cannot be loaded" in result.stderr


def test_a_segmenter_adds_miou(tmp_path):
    """One that `spade-hf evaluate` has trained before, on the same labels and feature network."""
    rows = {"train": make_rows(), "validation": make_rows(4)}
    datasets.DatasetDict(rows).save_to_disk(str(tmp_path / "data"))
    write_labels(tmp_path / "data" / "labels.json")
    command = [*SMALL, "--dataset_name", str(tmp_path / "data"), "--evaluation_steps", "2"]
    options = parse_args(command)
    held_out = build_held_out(options, build_dataset(options))
    network, file = load_feature_network("efficientnet-lite2"), tmp_path / "segmenter-0.safetensors"
    settings = segmenter_settings(network, held_out, num_steps=1, seed=0)
    save_segmenter(train_segmenter(network, held_out, num_steps=1, seed=0), file, settings)
    networks = make_networks()
    parts = {name: networks[name] for name in ("generator", "style_encoder")}
    pipeline = SPADEPipeline(image_processor=held_out.processor, **parts)
    pipeline.set_progress_bar_config(disable=True)
    accelerator = SimpleNamespace(is_main_process=True, device="cpu")
    assert "evaluation/miou" not in build_evaluation(options, accelerator, held_out)(pipeline)
    options = parse_args([*command, "--evaluation_segmenter", str(file)])
    figures = build_evaluation(options, accelerator, held_out)(pipeline)
    assert 0 <= figures["evaluation/miou"] <= 1 and figures["evaluation/kid"] > 0
    options = parse_args([*command, "--evaluation_segmenter", str(tmp_path / "gone.safetensors")])
    with pytest.raises(ValueError, match="gone.safetensors` can't be read as a segmenter"):
        build_evaluation(options, accelerator, held_out)


def test_a_share_of_the_folder(start, options, tmp_path):
    rows = load_folders({"image": str(tmp_path / "street" / "photos")})
    names = hold_out(rows, 0.3)[1]["file_name"][:]
    assert 2 <= len(names) <= 6
    for name in names:
        Image.new("RGB", (48, 40), RED).save(tmp_path / "street" / "photos" / name)
    for more in ((), ("--resume_from_checkpoint", "latest")):
        started = start(*options, "--validation_share", 0.3, *more)
        assert started.state.global_step == (1 if more else 0)
        assert (tmp_path / "run" / "validation_files.txt").read_text().split() == names
        assert len(started.dataset) == 12 - len(names)
        for sample in started.publisher.shown:
            assert (sample["real_images"].movedim(0, -1) - torch.tensor(RED) / 127.5 + 1).abs().max() < 0.03
        started.train(1)
        started.save()
    started.publisher.save(2)
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"2 updates on {12 - len(names)} pairs" in card and "The model has not seen these pairs." in card
