"""Training, evaluating and painting with a condition: beside labels, and image to image."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEPipeline
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_folders
from spade_hf_cli import main
from spade_hf_cli.train.parser import parse_args

from ..dataset_layouts import save, write_panoptic
from ..tiny_networks import tiny_generator
from ..training_data import mask, real_image, write_labels
from .programs import SMALL


SIZE = (40, 48)
SHORT = ("--max_train_steps", 2, "--validation_steps", 2, "--checkpointing_steps", 2)


def write(folder, count=4):
    """Folders as pix2pixHD's, `train_A` to `train_B`, with masks and depth maps beside them."""
    for name in ("train_A", "train_B", "masks", "depth"):
        (folder / name).mkdir()
    for index in range(count):
        image = real_image(index, SIZE)
        image.save(folder / "train_B" / f"{index}.png")
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(folder / "train_A" / f"{index}.png")
        mask(index, SIZE).save(folder / "masks" / f"{index}.png")
        depth = np.random.default_rng(index).uniform(0, 80, SIZE)
        np.save(folder / "depth" / f"{index}.npy", depth.astype(np.float32))
    write_labels(folder / "labels.json")
    return folder


def test_image_to_image(run, evaluate, tmp_path, monkeypatch, capsys):
    """From the folders of pix2pixHD to a model that paints, is evaluated, resumed and fine-tuned."""
    data = write(tmp_path)
    folders = ("--image_folder", data / "train_B", "--condition_folder", data / "train_A")
    options = (*SMALL, *folders, "--condition_channels", 3, *SHORT, "--output_dir", tmp_path / "run")
    held_out = ("--validation_image_folder", data / "train_B", "--validation_condition_folder", data / "train_A")
    assert "are trained on" in run(*options, *held_out).stderr
    result = run(*options, "--validation_share", "0.3", "--evaluation_steps", 2)
    assert result.status == 0, result.stderr
    assert "A condition of 3 channels is read without labels: SPADE layers are computed densely" in result.stdout
    assert f"Paint with it: spade-hf generate --condition FILE --model {tmp_path / 'run'}" in result.stdout
    config = json.loads((tmp_path / "run" / "generator" / "config.json").read_text())
    assert config["num_labels"] == 0 and config["condition_channels"] == 3
    card = (tmp_path / "run" / "README.md").read_text()
    assert "a condition of 3 channels and a style picture in, an image out" in card and "None: it makes images" in card
    assert (
        'pipeline(condition="condition.png", style_image="style.jpg")' in card and "| condition_channels | 3 |" in card
    )
    assert "the condition painted in its image's style" in card
    assert Image.open(tmp_path / "run" / "samples" / "final.png").width == 5 * 32

    assert run(*options, "--max_train_steps", 4, "--resume_from_checkpoint", "latest").status == 0
    tuned = (*options[:-1], tmp_path / "tuned", "--pretrained_model_name_or_path", tmp_path / "run")
    assert run(*tuned).status == 0
    assert "`condition_channels` is 1" in run(
        *tuned, "--condition_channels", 1, "--overwrite_output_dir"
    ).stderr.replace("--condition_channels is 1", "`condition_channels` is 1")

    result = evaluate("--model", tmp_path / "run", *folders, "--json", tmp_path / "1.json", "--device", "cpu")
    assert result.status == 0, result.stderr
    report = json.loads((tmp_path / "1.json").read_text())
    assert report["miou"] is None and report["reasons"]["exact"]["miou"] == "the model has no labels"
    assert report["kid"] is not None and report["painted"] is None and report["class_iou"]["exact"] == {}
    assert report["reasons"]["painted"] == "a condition would not fit painted masks"

    monkeypatch.chdir(tmp_path)
    assert main(["generate", "--condition", "train_A/0.png", "--model", "run", "--output", "one.png"]) == 0
    assert main(["generate", "--condition", "train_A", "--model", "run", "--output-dir", "many"]) == 0
    expected = SPADEPipeline.from_pretrained("run")
    assert expected.image_processor.has_labels is False
    assert {path.name for path in (tmp_path / "many").iterdir()} == {f"{index}.png" for index in range(4)}
    one, many = (np.array(Image.open(name)).astype(int) for name in ("one.png", "many/0.png"))
    assert np.abs(one - many).max() <= 1 and one.std() > 0
    for command, message in (
        (["generate", "masks/0.png", "--condition", "train_A/0.png", "--model", "run"], "this model has no labels"),
        (["generate", "masks/0.png", "--model", "run"], "--condition is missing: this model reads conditions of 3"),
        (
            ["generate", "--condition", "depth/0.npy", "--model", "run"],
            "has shape (40, 48); with `condition_channels` 3",
        ),
        (["labels", "run"], "has no labels"),
        (["demo", "--model", "run"], "This model has no labels"),
    ):
        capsys.readouterr()
        assert main(command) == 2
        assert message in capsys.readouterr().err, command


def test_a_condition_beside_labels(run, evaluate, tmp_path, monkeypatch, capsys):
    data = write(tmp_path)
    folders = (
        "--image_folder",
        data / "train_B",
        "--mask_folder",
        data / "masks",
        "--condition_folder",
        data / "depth",
    )
    values = ("--condition_channels", 1, "--condition_range", 0, 80)
    options = (*SMALL, *folders, *values, *SHORT, "--output_dir", tmp_path / "run")
    result = run(*options, "--discriminator", "segmentation", "--augment_discriminator", "translation", "cutout")
    assert result.status == 0, result.stderr
    assert "spade-hf generate MASK --condition FILE --model" in result.stdout
    assert Image.open(tmp_path / "run" / "samples" / "final.png").width == 6 * 32
    card = (tmp_path / "run" / "README.md").read_text()
    assert 'pipeline("mask.png", condition="condition.png", style_image="style.jpg")' in card
    assert "A condition is an image, `.npy` or array of 1 channels, with values of 0 to 80." in card

    monkeypatch.chdir(tmp_path)
    paint = ["generate", "masks/0.png", "--model", "run"]
    assert main([*paint, "--condition", "depth/0.npy", "--output", "one.png"]) == 0
    assert main(["generate", "masks", "--model", "run", "--condition", "depth", "--output-dir", "many"]) == 0
    assert len(list((tmp_path / "many").iterdir())) == 4
    result = evaluate("--model", tmp_path / "run", *folders, "--segmenter", "none", "--device", "cpu")
    assert result.status == 0, result.stderr
    for more, message in (
        (folders[:4], "--condition_folder is missing: this model reads conditions of 1 channels"),
        ((*folders[:2], *folders[4:]), "--mask_folder is missing: this model reads labels"),
        ((*folders, *values[:2]), "--condition_channels is for training; a model knows its own"),
        ((*folders, "--painted_masks"), "--painted_masks is for models without a condition, which would not fit"),
    ):
        result = evaluate("--model", tmp_path / "run", *more, "--segmenter", "none", "--device", "cpu")
        assert result.status == 2 and message in result.stderr, result.stderr
    for command, message in (
        (paint, "--condition is missing: this model reads conditions of 1 channels"),
        ([*paint, "--condition", "train_A/0.png"], "has 3 channels (PIL mode 'RGB'), but `condition_channels` is 1"),
        ([*paint, "--condition", "gone.npy"], "gone.npy, which does not exist"),
        (["demo", "--model", "run"], "This model reads a condition of 1 channels, which cannot be painted"),
        (["export", "--model", "run", "--output", "x.onnx", "--modulation", "sparse"], "this model reads a condition"),
    ):
        capsys.readouterr()
        assert main(command) == 2
        assert message in capsys.readouterr().err, command


def test_a_condition_is_averaged_for_a_model_that_paints_at_a_smaller_size(evaluate, tmp_path, monkeypatch):
    data, seen, forward = write(tmp_path), [], SPADEGenerator.forward
    labels = LabelSet.from_file(data / "labels.json")
    processor = SPADEImageProcessor(label_set=labels, condition_channels=1, condition_range=(0, 80))
    generator = tiny_generator(
        num_labels=labels.num_labels, condition_channels=1, latent_dim=None, use_unknown_label=labels.use_unknown_label
    )
    SPADEPipeline(generator, processor).save_pretrained(tmp_path / "model")

    def spy(self, segmap, z=None, *, condition, **more):
        seen.append(condition)
        return forward(self, segmap, z, condition=condition, **more)

    monkeypatch.setattr(SPADEGenerator, "forward", spy)
    given = {"image": data / "train_B", "label": data / "masks", "condition": data / "depth"}
    names = {"image": "--image_folder", "label": "--mask_folder", "condition": "--condition_folder"}
    folders = [part for column, folder in given.items() for part in (names[column], folder)]
    sizes = ("--resolution", 64, "--painting_size", 32)
    result = evaluate("--model", tmp_path / "model", *folders, *sizes, "--segmenter", "none", "--device", "cpu")
    assert result.status == 0, result.stderr
    transform = PairedTransform(resolution=(64, 64), resize_ratio=1.0, center_crop=True, random_flip=False)
    reader = PairReader(
        image_column="image", mask_column="label", instance_column=None, condition_column="condition",
        processor=processor, transform=transform,
    )  # fmt: skip
    rows = load_folders({column: str(folder) for column, folder in given.items()})
    expected = PairedImageDataset(rows, reader, seed=0)[0]["condition"][None]
    expected = F.interpolate(expected, size=(32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(seen[0][:1], expected)


def test_check_reads_conditions(tmp_path, capsys):
    data = write(tmp_path)
    folders = ["--image_folder", str(data / "train_B"), "--num_workers", "0"]
    command = ["check", *folders, "--condition_folder", str(data / "train_A"), "--condition_channels", "3"]
    assert main([*command, "--sheet", str(tmp_path / "sheet.png")]) == 0
    printed = capsys.readouterr().out
    assert "4 pairs read" in printed and "no masks: images and conditions were read" in printed
    np.save(data / "depth" / "2.npy", np.full(SIZE, np.nan))
    beside = ["--mask_folder", str(data / "masks"), "--condition_folder", str(data / "depth")]
    values = ["--condition_channels", "1", "--condition_range", "0", "80"]
    assert main(["check", *folders, *beside, *values, "--sheet", str(tmp_path / "beside.png")]) == 2
    printed = capsys.readouterr().out
    assert "bad: Row 2 (" in printed and "has 1920 values that are NaN and 0 that are infinite, of 1920" in printed
    assert "4 pairs read" in printed and "1 bad" in printed and "grass" in printed


def test_check_reads_conditions_beside_panoptic_masks(tmp_path, capsys):
    write_panoptic(tmp_path)
    for path in (tmp_path / "val2017").iterdir():
        save(tmp_path / "depth" / f"{path.stem}_depth.png", Image.open(path).convert("L"))
    command = ["check", "--image_folder", str(tmp_path / "val2017"), "--num_workers", "0"]
    annotations = tmp_path / "annotations" / "panoptic_val2017"
    command += ["--mask_folder", str(annotations), "--panoptic_json", f"{annotations}.json"]
    command += ["--condition_folder", str(tmp_path / "depth"), "--condition_channels", "1"]
    assert main([*command, "--condition_suffix", "_depth.png", "--sheet", str(tmp_path / "sheet.png")]) == 0
    assert "2 pairs read" in capsys.readouterr().out
    assert main([*command, "--sheet", str(tmp_path / "other.png")]) == 2
    assert "depth has no file for the image 000000000139.jpg, and none for 1 more" in capsys.readouterr().err


FOLDERS = ["--image_folder", "p", "--mask_folder", "m"]


@pytest.mark.parametrize(
    "options, message",
    [
        ([*FOLDERS, "--condition_folder", "c"], "--condition_folder needs --condition_channels, the number"),
        ([*FOLDERS, "--condition_channels", "2"], "--condition_channels is 2, but there are no conditions"),
        ([*FOLDERS, "--condition_range", "0", "2"], "--condition_range is for conditions, and there are none"),
        ([*FOLDERS, "--condition_range", "2", "2"], "--condition_range is 2 2; give two numbers, of -1 and of 1"),
        (
            [*FOLDERS, "--condition_suffix", ".npy"],
            "--condition_suffix belongs to --condition_folder, which is missing",
        ),
        (["--dataset_name", "x", "--condition_folder", "c"], "--condition_folder belongs to --image_folder"),
        (["--dataset_name", "x", "--mask_column", "none"], "--mask_column is none, so --condition_column and"),
        (["--image_folder", "p"], "Without masks, give --condition_folder in their place"),
        (
            ["--image_folder", "p", "--condition_folder", "c", "--condition_channels", "3", "--label_set", "voc"],
            "--label_set is about masks, and there are none. Leave it out",
        ),
        (
            [
                "--image_folder",
                "p",
                "--condition_folder",
                "c",
                "--condition_channels",
                "3",
                "--simplify_probability",
                "1",
            ],
            "--simplify_probability has no effect without masks",
        ),
        (
            ["--image_folder", "p", "--condition_folder", "c", "--condition_channels", "3"]
            + ["--discriminator", "segmentation"],
            "--discriminator segmentation classifies pixels by label, and there are no masks",
        ),
        (
            ["--image_folder", "p", "--condition_folder", "c", "--condition_channels", "1", "--panoptic_json", "j"],
            "--panoptic_json belongs to --image_folder and --mask_folder, which are missing",
        ),
    ],
)
def test_options_that_contradict_each_other(options, message, capsys):
    with pytest.raises(SystemExit):
        parse_args(options)
    assert message in capsys.readouterr().err


def test_a_data_set_without_masks():
    options = parse_args(
        ["--dataset_name", "x", "--mask_column", "none", "--condition_column", "edges", "--condition_channels", "1"]
    )
    from spade_hf_cli.data import columns_of

    assert columns_of(options) == {
        "image_column": "image",
        "mask_column": None,
        "instance_column": None,
        "condition_column": "edges",
    }


@pytest.mark.parametrize("form", ["arrays", "classes"])
def test_soft_masks(run, evaluate, tmp_path, monkeypatch, form):
    """Of `.npy` files, and of one gray file per class."""
    data = write(tmp_path)
    rng = np.random.default_rng(0)
    (data / "soft").mkdir()
    for index in range(4):
        weights = rng.random((4, *SIZE)).astype(np.float32)  # sky, grass, rock and unknown
        if form == "arrays":
            np.save(data / "soft" / f"{index}.npy", weights)
            continue
        for name, weight in zip(("sky", "grass"), weights, strict=False):
            Image.fromarray((weight * 255).astype(np.uint8)).save(data / "soft" / f"{index}-{name}.png")
    masks = ("--image_folder", data / "train_B", "--mask_folder", data / "soft", "--label_set", data / "labels.json")
    masks += ("--soft_class_masks",) * (form == "classes")
    result = run(*SMALL, *masks, *SHORT, "--output_dir", tmp_path / "run", "--augment_discriminator", "translation")
    assert result.status == 0, result.stderr
    result = evaluate("--model", tmp_path / "run", *masks, "--segmenter", "none", "--json", tmp_path / "1.json")
    assert result.status == 0, result.stderr
    report = json.loads((tmp_path / "1.json").read_text())
    assert report["kid"] is not None and report["painted"]["kid"] is not None
    if form == "arrays":
        monkeypatch.chdir(tmp_path)
        assert main(["generate", "soft/0.npy", "--model", "run", "--output", "one.png"]) == 0
    result = run(*SMALL, *masks, *SHORT, "--output_dir", tmp_path / "other", "--discriminator", "segmentation")
    assert result.status == 2 and "classifies pixels by label, but the masks are soft" in result.stderr
    assert "--discriminator" in result.stderr
