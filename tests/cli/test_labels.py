"""`spade-hf labels`."""

import json

import pytest
from PIL import Image

from spade_hf import LabelSet
from spade_hf_cli import main


def test_names_and_colors(capsys):
    assert main(["labels", "landscapes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "landscapes: 12 labels"
    assert lines[1].split() == ["0", "#76b6ea", "sky"]
    assert len(lines) == 13


def test_of_a_model_and_of_a_file(model, tmp_path, capsys):
    file = tmp_path / "two.json"
    file.write_text(json.dumps({"id2label": {"0": "a", "1": "b"}, "palette": [[0, 0, 0], [255, 0, 0]]}))
    assert main(["labels", str(model)]) == 0
    assert "landscapes: 12 labels" in capsys.readouterr().out
    assert main(["labels", str(file)]) == 0
    assert "two: 2 labels" in capsys.readouterr().out


def test_a_legend_in_the_colors(tmp_path):
    assert main(["labels", "coco-stuff", "--image", str(tmp_path / "legend.png")]) == 0
    drawn = {color for _, color in Image.open(tmp_path / "legend.png").convert("RGB").getcolors(1 << 20)}
    assert {tuple(color) for color in LabelSet.from_name("coco-stuff").palette.tolist()} <= drawn


def test_a_legend_is_replaced_only_when_asked_to(tmp_path, fails):
    legend = tmp_path / "legend.png"
    legend.write_text("precious")
    fails("labels", "landscapes", "--image", legend, match=r"--image is .*legend\.png, which exists")
    assert legend.read_text() == "precious"
    assert main(["labels", "landscapes", "--image", str(legend), "--overwrite"]) == 0
    assert Image.open(legend).format == "PNG"


def test_a_legend_without_suffix(tmp_path, fails, capsys):
    fails(
        "labels", "landscapes", "--image", tmp_path / "legend", match="--image is .*legend, which ends in 'no suffix'"
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("mars", "'mars' is not a label set: give ade20k"),
        ("landscape", r"'landscape' is not a label set: .* Did you mean landscapes\?"),
        (".", r"\. is a folder without a saved pipeline's image_processor"),
    ],
)
def test_unknown_sets(name, match, tmp_path, monkeypatch, fails):
    monkeypatch.chdir(tmp_path)
    fails("labels", name, match=match)


def test_an_image_that_cannot_be_saved_leaves_the_old_one(tmp_path, fails):
    """375 columns of labels are wider than a JPEG can be."""
    table, image = tmp_path / "labels.csv", tmp_path / "legend.jpg"
    table.write_text("\n".join(f"{i}, label {i}" for i in range(12_000)))
    image.write_bytes(b"precious")
    fails("labels", table, "--image", image, "--overwrite", match=".")
    assert image.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "legend.jpg"]


def test_overwrite_without_a_legend(fails):
    fails("labels", "landscapes", "--overwrite", match="--overwrite belongs to --image, which is missing")


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ("[", r"preprocessor_config\.json cannot be read: .*\. Copy or download it again"),
        ("[" * 100_000, r"preprocessor_config\.json cannot be read: .*\. Copy or download it again"),
        ("{}", r"preprocessor_config\.json has no `?label_set`?|has no --label-set"),
        ("3", r"preprocessor_config\.json has no `?label_set`?|has no --label-set"),
    ],
    ids=["text", "nested", "empty", "number"],
)
def test_a_damaged_model(config, match, tmp_path, fails):
    (tmp_path / "image_processor").mkdir()
    (tmp_path / "image_processor" / "preprocessor_config.json").write_text(config)
    fails("labels", tmp_path, match=match)
