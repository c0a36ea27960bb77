"""Training with pairs that are held out, from plain folders."""

import re

import numpy as np
import pytest
from PIL import Image

from ..training_data import mask, real_image, write_labels
from .programs import SMALL


RED = (250, 10, 10)


def write(root, names, color=None):
    """Photographs, of one color or of noise, and masks."""
    for folder in ("photos", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        photograph = real_image(number) if color is None else Image.new("RGB", (48, 40), color)
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
            "--max_train_steps", 2, "--validation_steps", 2, "--checkpointing_steps", 2]  # fmt: skip


def photographs(file, count):
    """The second column of a sample grid, whose tiles have 32 pixels: the mean color of each."""
    grid = np.array(Image.open(file))
    return [grid[grid.shape[0] - 32 * row - 32 : grid.shape[0] - 32 * row, 32:64].mean((0, 1)) for row in range(count)]


def test_folders_that_are_not_trained_on(run, options, tmp_path, caplog):
    caplog.set_level("INFO")
    others = folders(write(tmp_path / "village", ["a", "b", "c"], RED), "validation_")
    result = run(*options, *others, "--evaluation_steps", 2)
    assert result.status == 0, result.stderr
    assert result.stdout.startswith("Loading the data and the networks ...")
    assert (tmp_path / "run" / "validation_files.txt").read_text() == "a.png\nb.png\nc.png\n"
    for file in ("step-0000002.png", "final.png"):
        for color in photographs(tmp_path / "run" / "samples" / file, 2):
            assert np.abs(color - RED).max() < 3
    assert "2 updates on 12 pairs" in (card := (tmp_path / "run" / "README.md").read_text())
    assert "The model has not seen these pairs." in card and "These are training samples" not in card
    assert any(re.match(r"step 2/2: evaluation/kid ", text) for text in caplog.messages)

    assert run(*options, "--overwrite_output_dir").status == 0
    assert not (tmp_path / "run" / "validation_files.txt").exists()  # the list of the run before

    result = run(*options, *folders(tmp_path / "street", "validation_"), "--overwrite_output_dir")
    assert result.status == 2 and "12 of the 12 pairs held out are trained on" in result.stderr


def test_a_share_of_the_folder(run, options, tmp_path):
    from spade_hf.data import load_folders
    from spade_hf.training import hold_out

    rows = load_folders({"image": str(tmp_path / "street" / "photos")})
    names = hold_out(rows, 0.3)[1]["file_name"][:]
    assert 2 <= len(names) <= 6
    for name in names:
        Image.new("RGB", (48, 40), RED).save(tmp_path / "street" / "photos" / name)
    result = run(*options, "--validation_share", 0.3)
    assert result.status == 0, result.stderr
    assert (tmp_path / "run" / "validation_files.txt").read_text().split() == names
    for color in photographs(tmp_path / "run" / "samples" / "step-0000002.png", 2):
        assert np.abs(color - RED).max() < 3
    assert f"2 updates on {12 - len(names)} pairs" in (tmp_path / "run" / "README.md").read_text()

    again = [*options, "--validation_share", 0.3, "--resume_from_checkpoint", "latest", "--max_train_steps", 3]
    assert run(*again).status == 0
    assert (tmp_path / "run" / "validation_files.txt").read_text().split() == names


def test_without_them_training_pairs_are_shown(run, options, tmp_path):
    assert run(*options).status == 0
    assert not (tmp_path / "run" / "validation_files.txt").exists()
    assert "These are training samples." in (tmp_path / "run" / "README.md").read_text()
