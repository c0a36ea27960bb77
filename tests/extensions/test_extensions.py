"""What an extension costs: each patch in this folder adds one to a copy of the source, which then runs.

A patch holds files of src/ alone, as many as docs/extending.md says. If a change of the source breaks one, mend it:

    git apply -C1 --reject tests/extensions/norm.patch    # then make its change by hand where it was rejected
    git add -N src && git diff -- src > tests/extensions/norm.patch
    git apply -R tests/extensions/norm.patch && git reset
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file

from ..training_data import LABELS, real_image, write_imagefolder
from ..waiting import LONGEST


ROOT = Path(__file__).parents[2]
PATCHES = sorted(Path(__file__).parent.glob("*.patch"))
TRAIN = (
    "train --preset tiny --resolution 32 --base_channels 4 --discriminator_base_channels 4 --latent_dim 4 "
    "--perceptual_model none --num_validation_images 1 --train_batch_size 2 --no-use_style_encoder --max_train_steps 2"
).split()


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

    def weights(self, output_dir: str) -> dict[str, torch.Tensor]:
        """Load the generator's weights that a run has published."""
        return load_file(self.folder / output_dir / "generator" / "diffusion_pytorch_model.safetensors")


def add_norm(program: Program) -> None:
    """It trains, and fine-tuning to other labels keeps the weights of those that stay."""
    options = (*TRAIN, "--mask_norm", "clade")
    program(*options, "--dataset_name", program.data, "--output_dir", "old")
    labels = {"id2label": {"0": "Sky", "1": "meadow", "4": "rock"}, "palette": [[0, 0, 9], [0, 9, 0], [9, 0, 0]]}
    (program.data / "labels.json").write_text(json.dumps({**labels, "ignore_label": 255}))
    start = ("--pretrained_model_name_or_path", "old", "--learning_rate", 0)
    program(*TRAIN, "--dataset_name", program.data, "--output_dir", "new", *start)
    key = "blocks.3.norm2.gamma_beta.weight"
    old, new = (program.weights(name)[key] for name in ("old", "new"))
    assert [torch.equal(new[:, label], old[:, label]) for label in range(4)] == [True, False, True, True]


def add_generator(program: Program) -> None:
    """It trains, and other commands load it."""
    program(*TRAIN, "--generator", "excitation", "--dataset_name", program.data, "--output_dir", "model")
    assert "blocks.0.excite.weight" in program.weights("model")
    program("generate", program.data / "masks" / "0.png", "--model", "model", "--output", "new.png")
    assert PIL.Image.open(program.folder / "new.png").size == (32, 32)


def add_discriminator(program: Program) -> None:
    """It trains, and another run starts from it."""
    options = (*TRAIN, "--discriminator", "pixel", "--dataset_name", program.data)
    program(*options, "--output_dir", "old")
    checkpoint = program.folder / "old" / "checkpoint-2"
    config = json.loads((checkpoint / "discriminator" / "config.json").read_text())
    assert config["_class_name"] == "PixelDiscriminator"
    start = ("--pretrained_model_name_or_path", "old", "--discriminator_name_or_path", checkpoint)
    program(*options, "--output_dir", "new", *start)


def add_loss(program: Program) -> None:
    """Its weight is an option; the log and the model card show it."""
    options = ("--dataset_name", program.data, "--output_dir", "run", "--log_steps", 1)
    program(*TRAIN, *options, "--gradient_difference_weight", 3)
    rows = list(csv.DictReader((program.folder / "run" / "metrics.csv").open()))
    assert len(rows) == 2
    for row in rows:
        terms = [float(row[name]) for name in ("adversarial", "feature_matching", "gradient_difference")]
        assert terms[2] > 0 and terms[0] + 10 * terms[1] + 3 * terms[2] == pytest.approx(float(row["generator_loss"]))
    assert "| gradient_difference_weight | 3.0 |" in (program.folder / "run" / "README.md").read_text()


def add_format(program: Program) -> None:
    """Its masks train the same weights as equal masks of ids, and can be checked."""
    ids = {"L": 1, "ID": 300, "FAR": 2600}  # sky, grass, rock
    colors = [[70, 130, 180], [0, 128, 0], [128, 64, 0]]
    labels = {"id2label": {str(id_): name for name, id_ in ids.items()}, "palette": colors, "ignore_label": 0}
    (program.folder / "labels.json").write_text(json.dumps(labels))
    for name in ("ade", "plain"):
        (program.folder / name).mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        classes = rng.choice([0, *ids.values()], (5, 6)).repeat(8, axis=0).repeat(8, axis=1)  # (40, 48)
        objects = rng.integers(0, 256, classes.shape)
        seg = np.stack([classes // 256 * 10 + objects % 10, classes % 256, objects], axis=-1)  # (40, 48, 3)
        PIL.Image.fromarray(seg.astype(np.uint8)).save(program.folder / "ade" / f"ADE_train_{index}_seg.png")
        PIL.Image.fromarray(classes.astype(np.uint16)).save(program.folder / "plain" / f"ADE_train_{index}.png")
        real_image(index).save(program.folder / "ade" / f"ADE_train_{index}.jpg")
    for masks in ("ade", "plain"):
        suffixes = ("--image_suffix", ".jpg", "--mask_suffix", ".png") if masks == "plain" else ()
        program(*TRAIN, "--image_folder", "ade", "--mask_folder", masks, *suffixes, "--output_dir", f"from_{masks}")
    read, expected = (program.weights(f"from_{masks}") for masks in ("ade", "plain"))
    assert all(torch.equal(read[key], expected[key]) for key in expected)
    assert "4 pairs" in program("check", "--image_folder", "ade", "--mask_folder", "ade")


def add_metric(program: Program) -> None:
    """An evaluation writes it to its JSON file and its table."""
    data = ("--dataset_name", program.data)
    program(*TRAIN, *data, "--output_dir", "model")
    options = ("--split", "train", "--segmenter", "none", "--batch_size", 4, "--device", "cpu")
    options += ("--feature_network", "efficientnet-lite1", "--no-painted_masks")
    printed = program("evaluate", "--model", "model", *data, *options, "--json", "figures.json")
    figures = json.loads((program.folder / "figures.json").read_text())
    assert 0 <= figures["coverage"] <= figures["real"]["coverage"] == 1
    assert f"| coverage | {figures['coverage']:.4g} | 1 |" in printed


def add_command(program: Program) -> None:
    """It is listed, and prints the shares of all labels."""
    assert "count-labels" in program("--help")
    masks = [program.data / "masks" / name for name in ("0.png", "1.png")]
    ids = np.stack([np.asarray(PIL.Image.open(mask)) for mask in masks])  # (2, 40, 48)
    shares = {
        line.split()[1]: line.split()[0]
        for line in program("count-labels", *masks, "--label-set", "pairs/labels.json").splitlines()
    }
    expected = {name: f"{(ids == id_).mean():.2%}" for id_, name in LABELS.id2label.items()}
    assert shares == expected


# Patch -> the files that it changes or adds, as docs/extending.md says, and the run that shows that it works
EXTENSIONS = {
    "norm": (3, add_norm),
    "generator": (4, add_generator),
    "discriminator": (4, add_discriminator),
    "loss": (2, add_loss),
    "format": (3, add_format),
    "metric": (2, add_metric),
    "command": (2, add_command),
}


def test_every_extension_applies_and_costs_what_the_docs_say():
    costs = {}
    for patch in PATCHES:
        command = ["git", "apply", "-C1", "--check", "--numstat", str(patch)]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert listed.returncode == 0, f"{listed.stderr}\nMend it; see the docstring of this file."
        names = [line.split("\t")[2] for line in listed.stdout.splitlines()]
        assert all(name.startswith("src/") for name in names), names
        costs[patch.stem] = len(names)
    assert costs == {name: cost for name, (cost, _) in EXTENSIONS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_every_extension_works(patch: Path, tmp_path: Path):
    listed = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["git", "apply", "-C1", str(patch)], cwd=tmp_path, check=True)
    (tmp_path / "run").mkdir()
    _, run = EXTENSIONS[patch.stem]
    run(Program(tmp_path / "src", tmp_path / "run"))
