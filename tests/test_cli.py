"""The command line, run in this process on a tiny saved model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEPipeline, SPADEStyleEncoder, __version__
from spade_hf.cli import main


SIZE = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    generator = SPADEGenerator(
        num_labels=12, image_size=SIZE, base_channels=4, latent_dim=8, spade_hidden_channels=8, use_spectral_norm=False
    )
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    encoder = SPADEStyleEncoder(image_size=32, base_channels=4, channel_mult=(1, 2), latent_dim=8)
    folder = tmp_path_factory.mktemp("model")
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    SPADEPipeline(generator, processor, encoder).save_pretrained(folder)
    return folder


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 12, (SIZE, SIZE), dtype=np.uint8)).save(path)
    return path


def error_line(capsys: pytest.CaptureFixture) -> str:
    """The one line that a failed command leaves; progress bars are no part of it."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("spade-hf: error:")]
    assert len(lines) == 1
    return lines[0]


def test_generate_writes_an_image_and_prints_its_path(model, mask, tmp_path, capsys):
    output = tmp_path / "new" / "lake.png"
    assert main(["generate", str(mask), "--model", str(model), "--output", str(output)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(output)]
    assert Image.open(output).size == (SIZE, SIZE)


def test_generate_is_reproducible_and_seeded(model, mask, tmp_path):
    paths = {name: tmp_path / f"{name}.png" for name in ("first", "again", "other")}
    for name, seed in (("first", "3"), ("again", "3"), ("other", "4")):
        main(["generate", str(mask), "--model", str(model), "--seed", seed, "--output", str(paths[name])])
    first, again, other = (np.array(Image.open(path)) for path in paths.values())
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_generate_numbers_several_images(model, mask, tmp_path, capsys):
    arguments = ["--model", str(model), "--num-images", "2", "--output", str(tmp_path / "a.png")]
    assert main(["generate", str(mask), *arguments]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "a-0.png"), str(tmp_path / "a-1.png")]


def test_generate_in_a_style_and_another_size(model, mask, tmp_path):
    output = tmp_path / "styled.png"
    arguments = ["--model", str(model), "--style", str(mask), "--width", "64", "--output", str(output)]
    assert main(["generate", str(mask), *arguments]) == 0
    assert Image.open(output).size == (64, 64)  # in the mask's proportions


def test_labels_prints_names_and_colors(capsys):
    assert main(["labels", "landscapes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "landscapes: 12 labels"
    assert lines[1].split() == ["0", "#76b6ea", "sky"]
    assert len(lines) == 13


def test_labels_of_a_model_and_of_a_file(model, tmp_path, capsys):
    file = tmp_path / "two.json"
    file.write_text(json.dumps({"id2label": {"0": "a", "1": "b"}, "palette": [[0, 0, 0], [255, 0, 0]]}))
    assert main(["labels", str(model)]) == 0
    assert "landscapes: 12 labels" in capsys.readouterr().out
    assert main(["labels", str(file)]) == 0
    assert "two: 2 labels" in capsys.readouterr().out


def test_labels_draws_a_legend_in_the_colors(tmp_path):
    assert main(["labels", "coco-stuff", "--image", str(tmp_path / "legend.png")]) == 0
    drawn = {color for _, color in Image.open(tmp_path / "legend.png").convert("RGB").getcolors(1 << 20)}
    assert {tuple(color) for color in LabelSet.from_name("coco-stuff").palette.tolist()} <= drawn


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


def test_unknown_command():
    with pytest.raises(SystemExit, match="2"):
        main(["paint"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "missing.png"], "missing.png"),
        (["generate", "{mask}", "--height", "33"], "`height` is 33"),
        (["generate", "{mask}", "--style", "missing.jpg"], "missing.jpg"),
        (["labels", "mars"], "'mars' is no label set: give ade20k"),
        (["convert", "missing.pth", "{out}", "--num-labels", "3", "--image-size", "64"], "missing.pth does not exist"),
        (["convert", "x.pth", "{out}", "--num-labels", "3", "--image-size", "1", "2", "3"], "has 3 numbers"),
    ],
)
def test_errors_are_one_line_and_status_2(model, mask, tmp_path, capsys, arguments, message):
    arguments = [argument.format(mask=mask, out=tmp_path / "out") for argument in arguments]
    if arguments[0] == "generate":
        arguments += ["--model", str(model)]
    assert main(arguments) == 2
    assert message in error_line(capsys)


def test_bad_ids_name_the_file(model, tmp_path, capsys):
    path = tmp_path / "bad.png"
    Image.fromarray(np.full((SIZE, SIZE), 77, dtype=np.uint8)).save(path)
    assert main(["generate", str(path), "--model", str(model)]) == 2
    line = error_line(capsys)
    assert "77" in line and "bad.png" in line


def test_off_palette_colors(model, tmp_path, capsys):
    path = tmp_path / "colors.png"
    Image.new("RGB", (SIZE, SIZE), (1, 2, 3)).save(path)
    assert main(["generate", str(path), "--model", str(model)]) == 2
    assert "(1, 2, 3)" in error_line(capsys)
    near = LabelSet.from_name("landscapes").palette[0] + 1
    Image.new("RGB", (SIZE, SIZE), tuple(near.tolist())).save(path)
    arguments = ["--model", str(model), "--color-tolerance", "5", "--output", str(tmp_path / "o.png")]
    assert main(["generate", str(path), *arguments]) == 0
