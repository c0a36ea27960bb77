"""`spade-hf segment`: photographs in, masks out, one broken file aside."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.data import load_folders
from spade_hf_cli import main

from ..tiny_networks import save_tiny_segmenter, tiny_generator, tiny_segmenter
from ..training_data import make_rows


NAMES = LabelSet.from_name("landscapes").names


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    network = tiny_segmenter(num_labels=12, labels=NAMES)
    SPADEPipeline(tiny_generator(num_labels=12), processor, segmenter=network).save_pretrained(folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, size in enumerate([(96, 64), (64, 130), (70, 70)]):
        pixels = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    return folder


def segment(*words):
    return main(["segment", *map(str, words)])


def test_a_folder(model, photos, tmp_path, capsys):
    masks = tmp_path / "masks"
    assert segment(photos, "--output-dir", masks, "--model", model) == 0
    assert sorted(path.name for path in masks.iterdir()) == ["0.png", "1.png", "2.png"]
    expected = SPADEPipeline.from_pretrained(model).segment(sorted(photos.iterdir()))
    for number, mask in enumerate(expected):
        stored = Image.open(masks / f"{number}.png")
        assert stored.mode == "P" and np.array_equal(np.array(stored), np.array(mask))
        colors = LabelSet.from_name("landscapes").palette[np.array(mask)]
        assert np.array_equal(np.array(stored.convert("RGB")), colors)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(masks / f"{number}.png") for number in range(3)]
    assert "3 masks in" in captured.err

    # Masks that training and `check` read
    check = ["check", "--image_folder", str(photos), "--mask_folder", str(masks), "--label_set", "landscapes"]
    assert main([*check, "--num_workers", "0"]) == 0
    assert "3 pairs read" in capsys.readouterr().out
    assert len(load_folders({"image": str(photos), "label": str(masks)})) == 3


def test_a_stopped_run_goes_on(model, photos, tmp_path, capsys):
    masks = tmp_path / "masks"
    assert segment(photos / "0.jpg", photos / "2.jpg", "--output-dir", masks, "--model", model) == 0
    before = (masks / "0.png").stat().st_mtime_ns
    capsys.readouterr()
    assert segment(photos, "--output-dir", masks, "--model", model) == 0
    captured = capsys.readouterr()
    assert captured.out.split() == [str(masks / "1.png")]
    assert "2 of 3 photographs have their masks" in captured.err
    assert (masks / "0.png").stat().st_mtime_ns == before
    assert segment(photos, "--output-dir", masks, "--model", model, "--overwrite") == 0
    assert len(capsys.readouterr().out.split()) == 3 and (masks / "0.png").stat().st_mtime_ns > before


def test_one_broken_photograph_does_not_stop_the_others(model, photos, tmp_path, capsys):
    (photos / "1.jpg").write_bytes((photos / "1.jpg").read_bytes()[:300])
    masks = tmp_path / "masks"
    assert segment(photos, "--output-dir", masks, "--model", model) == 1
    assert sorted(path.name for path in masks.iterdir()) == ["0.png", "2.png"]
    captured = capsys.readouterr()
    assert "2 masks in" in captured.err and f"failed: {photos / '1.jpg'}: " in captured.err.splitlines()[-1]


def test_masks_of_others_are_not_replaced(model, photos, tmp_path, capsys):
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.new("L", (96, 64)).save(masks / "0.png")  # drawn by hand
    assert segment(photos, "--output-dir", masks, "--model", model) == 2
    assert "has 1 of these masks that another segmenter or program made, such as 0.png" in capsys.readouterr().err
    assert sorted(path.name for path in masks.iterdir()) == ["0.png"]
    assert segment(photos, "--output-dir", masks, "--model", model, "--overwrite") == 0
    tiny_segmenter(seed=1, num_labels=12, labels=NAMES).save_pretrained(tmp_path / "other")
    capsys.readouterr()
    assert segment(photos, "--output-dir", masks, "--model", model, "--segmenter", tmp_path / "other") == 2
    assert "has 3 of these masks that another segmenter" in capsys.readouterr().err


def test_photographs_are_not_replaced(model, photos, capsys):
    Image.open(photos / "0.jpg").save(photos / "a.png")
    assert segment(photos, "--output-dir", photos, "--model", model, "--overwrite") == 2
    assert "a mask would replace" in capsys.readouterr().err


def test_a_data_set(model, tmp_path, capsys):
    make_rows(count=3).save_to_disk(tmp_path / "rows")
    words = ("--dataset-name", tmp_path / "rows", "--output-dir", tmp_path / "masks", "--model", model)
    assert segment(*words) == 0
    assert [Image.open(tmp_path / "masks" / f"{n}.png").size for n in range(3)] == [(48, 40)] * 3
    assert segment(*words, "--image-column", "photo") == 2
    assert "--image-column" in capsys.readouterr().err


def test_a_segmenter_of_its_own(model, photos, tmp_path):
    network = tiny_segmenter(seed=1, num_labels=12, labels=NAMES)
    network.save_pretrained(tmp_path / "segmenter")
    assert (
        segment(photos, "--output-dir", tmp_path / "a", "--model", model, "--segmenter", tmp_path / "segmenter") == 0
    )
    words = ("--segmenter", tmp_path / "segmenter", "--label-set", "landscapes")
    assert segment(photos, "--output-dir", tmp_path / "b", *words) == 0
    assert segment(photos, "--output-dir", tmp_path / "c", "--segmenter", model, "--label-set", "landscapes") == 0
    a, b, c = (np.array(Image.open(tmp_path / name / "0.png")) for name in "abc")
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_a_segmenter_of_transformers(photos, tmp_path, capsys):
    classes = ("wall", "sky", "tree", "mountain, mount", "hill", "rock, stone", "grass", "sand", "water", "sea")
    save_tiny_segmenter(tmp_path / "ade", (*classes, "earth, ground", "flower", "lake"))
    words = (photos, "--segmenter", tmp_path / "ade", "--label-set", "landscapes")
    assert segment(*words, "--output-dir", tmp_path / "masks") == 2
    assert "has no class for cloud, snow, dirt" in capsys.readouterr().err
    assert segment(*words, "--output-dir", tmp_path / "masks", "--segmenter-labels", "ade20k") == 0
    assert "unsure: " in capsys.readouterr().err  # random weights know nothing
    ids = np.concatenate([np.array(Image.open(path)).ravel() for path in (tmp_path / "masks").iterdir()])
    assert set(np.unique(ids)) <= {0, 2, 3, 5, 6, 7, 8, 9, 10, 11}  # neither cloud nor snow
    table = {"wall": "cloud", "earth, ground": "dirt", "never": ["snow"]}
    (tmp_path / "table.json").write_text(json.dumps(table))
    more = ("--output-dir", tmp_path / "masks", "--segmenter-labels", tmp_path / "table.json")
    assert segment(*words, *more) == 2  # the table is part of what made the masks
    assert "another segmenter" in capsys.readouterr().err
    assert segment(*words, *more, "--overwrite") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give photographs or folders of them, or --dataset-name."),
        (("nowhere.jpg",), "nowhere.jpg"),
        (("0.jpg", "--split", "test"), "--split belongs to --dataset-name"),
        (("0.jpg", "--label-set", "landscapes"), "--label-set belongs to --segmenter"),
        (("0.jpg", "--segmenter-labels", "ade20k"), "--segmenter-labels belongs to --segmenter"),
        (("0.jpg", "--device", "abacus"), "--device is abacus"),
    ],
)
def test_bad_options(model, photos, words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    status = segment(*words, "--output-dir", tmp_path / "masks", "--model", model)
    assert status in (1, 2) and message in capsys.readouterr().err


def test_a_model_without_segmenter(photos, tmp_path, capsys):
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    SPADEPipeline(tiny_generator(num_labels=12), processor).save_pretrained(tmp_path / "model")
    assert segment(photos, "--output-dir", tmp_path / "masks", "--model", tmp_path / "model") == 2
    assert "This model has no segmenter. Give one as --segmenter" in capsys.readouterr().err
    assert not (tmp_path / "masks").exists()


def test_twelve_megapixels_of_a_phone(model, tmp_path):
    small = torch.rand(3, 30, 40, generator=torch.Generator().manual_seed(0))
    pixels = (torch.nn.functional.interpolate(small[None], (3000, 4000))[0] * 255).to(torch.uint8).movedim(0, -1)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels.numpy()).save(tmp_path / "phone.jpg", exif=exif)
    assert segment(tmp_path / "phone.jpg", "--output-dir", tmp_path / "masks", "--model", model) == 0
    assert Image.open(tmp_path / "masks" / "phone.png").size == (3000, 4000)
