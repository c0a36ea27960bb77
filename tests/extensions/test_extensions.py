"""What an extension costs: each patch in this folder adds one to a copy of the source, which then runs.

A patch holds files of src/ alone, and changes at most as many as `ALLOWED` says; see docs/extending.md. If a change of
the source breaks one, mend it:

    git apply -C1 --reject tests/extensions/norm.patch    # then make its change by hand where it was rejected
    git add -N src && git diff -- src > tests/extensions/norm.patch
    git apply -R tests/extensions/norm.patch
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ..training_data import write_imagefolder
from ..waiting import LONGEST


ROOT = Path(__file__).parents[2]
PATCHES = sorted(Path(__file__).parent.glob("*.patch"))
# files outside of tests and docs, by kind of extension
ALLOWED = {"norm": 3, "discriminator": 4, "loss": 2, "format": 3, "metric": 2, "command": 2}
TRAIN = (
    "train --preset tiny --resolution 32 --base_channels 4 --discriminator_base_channels 4 --latent_dim 4 "
    "--perceptual_model none --num_validation_images 1 --train_batch_size 2 --no-use_style_encoder --max_train_steps 2"
).split()
WEIGHTS = "diffusion_pytorch_model.safetensors"


class Program:
    """`spade-hf` of a copy of the source with an extension, and a data set for it."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.source, self.folder = source, folder
        self.data = write_imagefolder(folder / "pairs", mode="L")

    def __call__(self, *words: object) -> str:
        """Run a command that must succeed, and return what it prints."""
        command = [sys.executable, "-m", "spade_hf_cli", *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": str(self.source), "ACCELERATE_USE_CPU": "1"}
        result = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=LONGEST
        )
        assert result.returncode == 0, result.stderr
        return result.stdout


def add_norm(program: Program) -> None:
    """It trains, and fine-tuning to other labels keeps what it learned of those that stay."""
    options = (*TRAIN, "--mask_norm", "clade")
    program(*options, "--dataset_name", program.data, "--output_dir", "old")
    labels = {"id2label": {"0": "Sky", "1": "meadow", "4": "rock"}, "palette": [[0, 0, 9], [0, 9, 0], [9, 0, 0]]}
    (program.data / "labels.json").write_text(json.dumps({**labels, "ignore_label": 255}))
    start = ("--pretrained_model_name_or_path", "old", "--learning_rate", 0)
    program(*TRAIN, "--dataset_name", program.data, "--output_dir", "new", *start)
    key = "blocks.3.norm2.gamma_beta.weight"
    old, new = (load_file(program.folder / name / "generator" / WEIGHTS)[key] for name in ("old", "new"))
    assert [torch.equal(new[:, label], old[:, label]) for label in range(4)] == [True, False, True, True]


def add_discriminator(program: Program) -> None:
    """It trains, and another run starts from it."""
    options = (*TRAIN, "--discriminator", "pixel", "--dataset_name", program.data)
    program(*options, "--output_dir", "old")
    checkpoint = program.folder / "old" / "checkpoint-2"
    config = json.loads((checkpoint / "discriminator" / "config.json").read_text())
    assert config["_class_name"] == "PixelDiscriminator"
    start = ("--pretrained_model_name_or_path", "old", "--discriminator_name_or_path", checkpoint)
    program(*options, "--output_dir", "new", *start)


RUNS = {"norm": add_norm, "discriminator": add_discriminator}


def test_every_patch_is_run():
    assert {patch.stem for patch in PATCHES} == RUNS.keys() <= ALLOWED.keys()


@pytest.mark.slow
@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_an_extension_is_cheap_and_works(patch: Path, tmp_path: Path):
    listed = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["git", "apply", "-C1", str(patch)], cwd=tmp_path, check=True)
    counted = subprocess.run(["git", "apply", "--numstat", str(patch)], check=True, capture_output=True, text=True)
    files = [line.split("\t")[2] for line in counted.stdout.splitlines()]
    assert all(name.startswith("src/") for name in files) and len(files) <= ALLOWED[patch.stem], files
    (tmp_path / "run").mkdir()
    RUNS[patch.stem](Program(tmp_path / "src", tmp_path / "run"))
