"""The synthesis script on a tiny model and masks: rows, seeds, stops, processes, and what reads the result."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys

import datasets
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import spade_hf_cli
from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEPipeline
from spade_hf.data import load_label_set
from spade_hf.images.resize import resize_labels
from spade_hf.synthesis import image_seeds

from ..tiny_networks import tiny_generator, tiny_outlines, tiny_segmenter
from ..training_data import LABELS, make_rows, mask, png
from .programs import SMALL, SYNTHESIZE


SIZES = [(40, 48), (40, 48), (30, 60), (40, 48), (40, 48), (40, 48)]
TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
# Dies when the second file of rows is about to get its name, as by a power cut.
KILLED = """
import os, runpy, signal, sys
replace, names = os.replace, []
def counted(source, target):
    if os.fspath(target).endswith((".parquet", ".png")):
        names.append(target)
    if len(names) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = counted
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def make_generator(seed=0, **changes):
    """Its weights are so large that each seed shows."""
    return tiny_generator(seed, **{"num_labels": 3, "use_unknown_label": True, "image_size": 32, **changes})


def save_model(folder, **parts):
    parts = {"image_processor": SPADEImageProcessor(label_set=LABELS), **parts}
    parts["generator"].fuse_spectral_norm()
    SPADEPipeline(**parts).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = save_model(tmp_path_factory.mktemp("model"), generator=make_generator())
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    return folder


def save_masks(folder, masks, **columns):
    rows = make_rows(len(masks), label=masks, **columns).remove_columns("image")
    datasets.DatasetDict({"train": rows}).save_to_disk(str(folder))
    return folder


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Six masks, one of them of another shape."""
    return save_masks(tmp_path_factory.mktemp("masks"), [mask(index, size) for index, size in enumerate(SIZES)])


def options(model, masks, output, *more):
    return ("--model", model, "--dataset_name", masks, "--images_per_mask", 2, "--output_dir", output, *more)


def contents(folder):
    """Every file of a folder, byte for byte, but the card, which has the folder's name."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def pixels(image):
    return np.array(image).astype(int)


def test_rows_and_how_they_are_made_again(synthesize, model, masks, tmp_path):
    result = synthesize(*options(model, masks, tmp_path / "out", "--masks_per_file", 4))
    assert result.status == 0 and result.stdout == f"{tmp_path / 'out'}: 12 rows\n"
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert rows.column_names == ["image", "label", "source_index", "seed"]
    assert rows["source_index"][:] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len(set(rows["seed"][:])) == 12
    assert [path.name for path in sorted((tmp_path / "out" / "data").iterdir())] == [
        f"train-0000{number}-of-00002.parquet" for number in (0, 1)
    ]
    for row in rows:
        assert row["image"].mode == "RGB" and row["label"].mode == "L"
        width, height = (64, 32) if row["source_index"] == 2 else (32, 32)
        assert row["image"].size == row["label"].size == (width, height)
        source = mask(row["source_index"], SIZES[row["source_index"]])
        np.testing.assert_array_equal(row["label"], resize_labels(source, (height, width)))

    other = rows[1]["image"]
    for row in rows.select([0, 5]):  # by hand, from the source and from the row's own label
        mask(row["source_index"], SIZES[row["source_index"]]).save(tmp_path / "source.png")
        row["label"].save(tmp_path / "label.png")
        for name in ("source", "label"):
            paint = ["generate", tmp_path / f"{name}.png", "--model", model, "--seed", row["seed"], "--overwrite"]
            assert spade_hf_cli.main([*map(str, paint), "--device", "cpu", "--output", str(tmp_path / "a.png")]) == 0
            again = Image.open(tmp_path / "a.png")
            assert np.abs(pixels(again) - pixels(row["image"])).max() <= 1  # batches round differently
    assert np.abs(pixels(other) - pixels(rows[0]["image"])).max() > 20  # it's the seed that does it


def test_one_image_at_once_is_made_again_to_the_bit(synthesize, model, masks, tmp_path):
    synthesize(*options(model, masks, tmp_path / "out", "--batch_size", 1))
    row = datasets.load_dataset(str(tmp_path / "out"), split="train")[3]
    pipeline = SPADEPipeline.from_pretrained(model)
    again = pipeline(mask(1), generator=torch.Generator().manual_seed(row["seed"])).images[0]
    np.testing.assert_array_equal(again, row["image"])


def test_the_card(synthesize, model, masks, tmp_path):
    synthesize(*options(model, masks, tmp_path / "out"))
    card = (tmp_path / "out" / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["license"] == "cc-by-4.0"
    label = next(column for column in metadata["dataset_info"]["features"] if column["name"] == "label")
    assert label["class_label"]["names"] == {"0": "sky", "1": "grass", "4": "rock", "255": "unknown"}
    assert metadata["dataset_info"]["splits"][0]["num_examples"] == 12
    assert f"12 pictures that the model `{model.name}` painted from the masks of `{masks.name}`" in card
    assert "Left out" not in card and str(tmp_path) not in card
    assert str(model.parent) not in (tmp_path / "out" / "settings.json").read_text()
    assert LabelSet.from_file(tmp_path / "out" / "labels.json") == LABELS


def test_it_is_trained_on(synthesize, start, model, masks, tmp_path):
    synthesize(*options(model, masks, tmp_path / "out"))
    started = start(*SMALL, "--dataset_name", tmp_path / "out", "--output_dir", tmp_path / "trained")
    assert started.dataset.processor.label_set == LABELS
    started.train(1)


def start_process(*words):
    search_path = os.pathsep.join([str(SYNTHESIZE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search_path, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_a_killed_run_goes_on(synthesize, model, masks, tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    command = options(model, masks, tmp_path / "out", "--masks_per_file", 2)
    killed = start_process(tmp_path / "killed.py", SYNTHESIZE, *command)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (begun,) = (tmp_path / "out").rglob("*.parquet")
    made = begun.stat().st_mtime_ns
    assert list((tmp_path / "out").rglob("*.unfinished"))

    assert synthesize(*command).status == 0
    assert synthesize(*options(model, masks, tmp_path / "whole", "--masks_per_file", 2)).status == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert begun.stat().st_mtime_ns == made


@pytest.mark.slow  # processes that import everything
def test_two_processes_killed_and_going_on_make_the_rows_of_one(synthesize, model, masks, tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    command = options(model, masks, tmp_path / "out", "--masks_per_file", 1)
    assert start_process(*TWO_PROCESSES, tmp_path / "killed.py", SYNTHESIZE, *command).returncode != 0
    begun = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "data").glob("*.parquet")}
    assert 0 < len(begun) < 6
    result = start_process(*TWO_PROCESSES, SYNTHESIZE, *command)
    assert result.returncode == 0, result.stderr
    assert "Process 2 of 2 has 3 masks" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in begun} == begun
    assert synthesize(*options(model, masks, tmp_path / "one", "--masks_per_file", 1)).status == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "one")


def test_what_is_there_is_not_made_again(synthesize, model, masks, tmp_path, monkeypatch):
    command = options(model, masks, tmp_path / "out", "--masks_per_file", 2)
    synthesize(*command)
    whole = contents(tmp_path / "out")
    painted, paint = [], SPADEGenerator.forward
    monkeypatch.setattr(
        SPADEGenerator, "forward", lambda self, *args, **kw: painted.append(1) or paint(self, *args, **kw)
    )
    assert synthesize(*command).status == 0 and not painted
    (tmp_path / "out" / "data" / "train-00001-of-00003.parquet").unlink()
    assert synthesize(*command).status == 0 and len(painted) == 2  # masks 2 and 3 are of unlike size
    assert contents(tmp_path / "out") == whole


def test_folders_have_the_same_rows(synthesize, model, masks, tmp_path):
    more = ("--batch_size", 1)
    synthesize(*options(model, masks, tmp_path / "parquet", *more))
    synthesize(*options(model, masks, tmp_path / "folders", "--output_format", "folders", *more))
    expected, found = (datasets.load_dataset(str(tmp_path / name), split="train") for name in ("parquet", "folders"))
    assert expected.column_names == found.column_names
    for row, other in zip(expected, found, strict=True):
        for name in ("image", "label"):
            np.testing.assert_array_equal(row.pop(name), other.pop(name))
        assert row == other
    for name in ("images", "labels"):
        files = sorted(path.name for path in (tmp_path / "folders" / name).iterdir())
        assert files == [f"00000{index}-00{number}.png" for index in range(6) for number in (0, 1)]

    whole, command = contents(tmp_path / "folders"), options(model, masks, tmp_path / "folders")
    kept = tmp_path / "folders" / "images" / "000000-001.png"
    made = kept.stat().st_mtime_ns
    gone = tmp_path / "folders" / "labels" / "000003-001.png"
    gone.rename(f"{gone}.unfinished")  # as a stopped run leaves it
    assert synthesize(*command, "--output_format", "folders", *more).status == 0
    assert contents(tmp_path / "folders") == whole and kept.stat().st_mtime_ns == made


def instance_map(index):
    """Colors, as instances of panoptic data sets have."""
    return Image.fromarray(np.random.default_rng(index).integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(
        (48, 40), 0
    )


def test_instances_come_along(synthesize, tmp_path):
    generator = make_generator(use_instance_edges=True, latent_dim=None)
    processor = SPADEImageProcessor(label_set=LABELS, use_instance_edges=True)
    model = save_model(tmp_path / "model", generator=generator, image_processor=processor)
    masks = save_masks(tmp_path / "masks", [mask(0), mask(1)], instance=[instance_map(0), instance_map(1)])
    command = ("--model", model, "--dataset_name", masks, "--output_dir", tmp_path / "out")
    assert synthesize(*command, "--instance_column", "instance").status == 0
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert rows.column_names == ["image", "label", "instance", "source_index", "seed"]
    pipeline = SPADEPipeline.from_pretrained(model)
    for index, row in enumerate(rows):
        assert row["instance"].size == (32, 32) and len(np.unique(row["instance"])) == 30
        for its_mask, its_map in ((mask(index), instance_map(index)), (row["label"], row["instance"])):
            again = pipeline(its_mask, instance_map=its_map).images[0]
            assert np.abs(pixels(again) - pixels(row["image"])).max() <= 1

    missing = synthesize(*command[:-1], tmp_path / "other")
    assert missing.status == 2 and "for a model with instance edges" in missing.stderr
    several = synthesize(*command[:-1], tmp_path / "other", "--instance_column", "instance", "--images_per_mask", 2)
    assert several.status == 2
    assert several.stderr.splitlines()[-1] == (
        "error: --images_per_mask 2 was given, but this model has no latent: it generates one image per mask. "
        "Leave it out."
    )


def test_conditions_are_read_beside_the_masks(synthesize, tmp_path):
    counts = {"condition_channels": 1, "image_channels": 1}
    generator = make_generator(**counts)
    processor = SPADEImageProcessor(label_set=LABELS, condition_range=(0, 200), **counts)
    model = save_model(tmp_path / "model", generator=generator, image_processor=processor)
    depth = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 48), dtype=np.uint8)) for i in range(4)]
    depth[1] = depth[1].resize((48, 48))  # of another frame
    masks = save_masks(tmp_path / "masks", [mask(index) for index in range(4)], depth=depth)
    command = options(model, masks, tmp_path / "out", "--condition_column", "depth", "--batch_size", 4)
    result = synthesize(*command)
    assert result.status == 1 and "Row 1 of the data set (1.jpg): `condition` 0 is 48x48 and its `mask`" in result.log
    assert "Row 0 of the data set (0.jpg): column `depth` has 2" in result.log and "outside of 0 to 200" in result.log
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert rows["source_index"][:] == [0, 0, 2, 2, 3, 3]
    pipeline = SPADEPipeline.from_pretrained(model)
    for row in rows:
        assert row["image"].mode == "L"
        again = pipeline(
            mask(row["source_index"]),
            condition=depth[row["source_index"]],
            generator=torch.Generator().manual_seed(row["seed"]),
        ).images[0]
        assert np.abs(pixels(again) - pixels(row["image"])).max() <= 1 and pixels(again).std() > 5
    assert "`pipeline(mask, condition=condition, generator=" in (tmp_path / "out" / "README.md").read_text()

    others = save_masks(tmp_path / "others" / "masks", [mask(index) for index in range(4)], depth=depth[::-1])
    result = synthesize(*options(model, others, tmp_path / "out", "--condition_column", "depth"))
    assert result.status == 2 and "masks are others than those that" in result.stderr
    missing = synthesize(*options(model, masks, tmp_path / "new"))
    assert missing.status == 2 and "--condition_column is missing: this model reads conditions of 1" in missing.stderr


def conditions_that_nothing_reads(folder, synthesize, model, masks):
    return ("--condition_column", "label"), "--condition_column was given, but this model reads masks alone"


def outlines_that_no_condition_fits(folder, synthesize, model, masks):
    changes = {"condition_channels": 1}
    parts = {"generator": make_generator(**changes), "outline_model": tiny_outlines(num_labels=3)}
    processor = SPADEImageProcessor(label_set=LABELS, **changes)
    natural = save_model(folder / "natural", image_processor=processor, **parts)
    given = ("--model", natural, "--condition_column", "label", "--outline_strength", 0.5)
    return given, "--outline_strength is 0.5, but this model has a condition, which would no longer fit"


def model_without_labels(folder, synthesize, model, masks):
    changes = {"condition_channels": 3}
    generator = make_generator(num_labels=0, use_unknown_label=False, **changes)
    plain = save_model(
        folder / "plain", generator=generator, image_processor=SPADEImageProcessor(label_set=None, **changes)
    )
    return ("--model", plain), "This model has no labels, and a data set is synthesized of masks"


@pytest.mark.parametrize("form", [("--masks_per_file", 2), ("--output_format", "folders")])
def test_a_broken_mask_stops_nothing(form, synthesize, model, tmp_path):
    half = {"bytes": png(mask(3))[:60], "path": "half.png"}
    stranger = Image.fromarray(np.full((40, 48), 9, dtype=np.uint8))
    masks = save_masks(tmp_path / "masks", [mask(0), stranger, mask(2), half])
    command = options(model, masks, tmp_path / "out", *form)
    for _ in range(2):  # a second run has nothing to do, and says the same
        result = synthesize(*command)
        assert result.status == 1 and result.stdout.endswith(": 4 rows\n")
        assert "Left out: Row 1 of the data set (1.jpg): `mask` has label ids [9]" in result.log
        assert "Left out: Row 3 of the data set (3.jpg, half.png): column `label` holds an image that" in result.log
        assert "error: 2 of 4 masks are left out, because they cannot be read: rows 1, 3." in result.stderr
        rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
        assert rows["source_index"][:] == [0, 0, 2, 2]
        assert "cannot be read: rows 1, 3 of the source" in (tmp_path / "out" / "README.md").read_text()

    mended = save_masks(tmp_path / "mended" / "masks", [mask(index) for index in range(4)])
    others = save_masks(tmp_path / "others" / "masks", [mask(0), mask(1), mask(3), mask(3)])
    refused = synthesize(*options(model, others, tmp_path / "out", *form))
    assert refused.status == 2 and "1 of 4 masks are others than those that" in refused.stderr.splitlines()[-1]
    assert synthesize(*options(model, mended, tmp_path / "out", *form)).status == 0
    assert synthesize(*options(model, mended, tmp_path / "whole", *form)).status == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert "Left out" not in (tmp_path / "out" / "README.md").read_text()


def test_refined_maps_are_the_labels(synthesize, model, masks, tmp_path):
    natural = tmp_path / "natural"
    outlines = tiny_outlines(num_labels=3, labels=("sky", "grass", "rock"))
    pipeline = SPADEPipeline.from_pretrained(model)
    pipeline.register_modules(outline_model=outlines)
    pipeline.save_pretrained(natural)
    output = tmp_path / "set"
    arguments = options(natural, masks, output, "--outline_strength", 0.8)
    assert synthesize(*arguments).status == 0
    rows = datasets.load_dataset(str(output), split="train")
    labels = np.stack([np.array(row["label"]) for row in rows if row["source_index"] == 0])
    assert (labels[0] == labels[1]).all() and set(np.unique(labels)) <= {0, 1, 4}  # what was unknown is filled
    painted = resize_labels(np.array(mask(0, SIZES[0])), labels.shape[1:])
    known = painted != 255
    assert (labels[0][known] == painted[known]).mean() > 0.5 and (labels[0] != painted).any()
    settings = json.loads((output / "settings.json").read_text())
    assert settings["outline_strength"] == 0.8 and settings["outline_steps"] == 4 and settings["outline_weights"]
    other = synthesize(*options(natural, masks, output, "--outline_strength", 0.5))
    assert other.status == 2 and "--outline_strength is 0.5, but the rows" in other.stderr
    without = synthesize(*options(model, masks, tmp_path / "other", "--outline_strength", 0.5))
    assert without.status == 2 and "no `outline_model`" in without.stderr
    unused = synthesize(*options(natural, masks, tmp_path / "other", "--outline_steps", 2))
    assert unused.status == 2 and "--outline_steps has no effect" in unused.stderr


@pytest.mark.parametrize("form", ["parquet", "folders"])
def test_labels_that_a_picture_does_not_show_are_unknown(form, synthesize, model, masks, tmp_path):
    segmenter = tiny_segmenter(num_labels=3, labels=("sky", "grass", "rock"))
    segmenter.save_pretrained(tmp_path / "segmenter")
    output, more = tmp_path / "set", ("--output_format", form, "--batch_size", 1)
    arguments = options(model, masks, output, *more, "--segmenter", tmp_path / "segmenter")
    assert synthesize(*arguments, "--agreement_threshold", 0.3).status == 0
    pipeline = SPADEPipeline.from_pretrained(model)
    pipeline.register_modules(segmenter=segmenter)
    lost = 0
    for row in datasets.load_dataset(str(output), split="train"):
        source = mask(row["source_index"], SIZES[row["source_index"]])
        rng = torch.Generator().manual_seed(row["seed"])
        again = pipeline(source, generator=rng, return_agreement=True)
        assert row["agreement"] == pytest.approx(again.mean_agreement.item(), abs=1e-4)
        whole = resize_labels(np.array(source), again.agreement.shape[1:])
        np.testing.assert_array_equal(row["label"], np.where(again.agreement[0] >= 0.3, whole, 255))
        lost += (np.array(row["label"]) != whole).sum()
    assert lost
    whole = contents(output)
    assert synthesize(*arguments, "--agreement_threshold", 0.3).status == 0 and contents(output) == whole
    other = synthesize(*arguments, "--agreement_threshold", 0.4)
    assert other.status == 2 and "--agreement_threshold is 0.4, but the rows" in other.stderr


def test_labels_without_unknown_get_one(synthesize, tmp_path):
    labels = LabelSet.anonymous(3)
    pipeline = SPADEPipeline(
        tiny_generator(num_labels=3), SPADEImageProcessor(label_set=labels), segmenter=tiny_segmenter(num_labels=3)
    )
    pipeline.save_pretrained(tmp_path / "model")
    masks = save_masks(tmp_path / "masks", [Image.fromarray(np.full((32, 32), number, np.uint8)) for number in (0, 1)])
    (tmp_path / "masks" / "labels.json").unlink(missing_ok=True)
    arguments = options(tmp_path / "model", masks, tmp_path / "set", "--agreement_threshold", 1)
    assert synthesize(*arguments).status == 0
    rows = datasets.load_dataset(str(tmp_path / "set"), split="train")
    assert all((np.array(label) == 255).all() for label in rows["label"])  # nothing is as sure as 1
    assert LabelSet.from_file(tmp_path / "set" / "labels.json").unknown_id == 255


def test_agreement_needs_a_segmenter(synthesize, model, masks, tmp_path):
    without = synthesize(*options(model, masks, tmp_path / "set", "--agreement_threshold", 0.5))
    assert without.status == 2 and "This model has no --segmenter" in without.stderr
    unused = synthesize(*options(model, masks, tmp_path / "set", "--segmenter", model))
    assert unused.status == 2 and "--segmenter has no effect without --agreement_threshold" in unused.stderr


def test_pushed_to_the_hub(synthesize, model, masks, tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    name = f"{hub.user}/synthetic-masks"
    command = options(model, masks, tmp_path / "out", "--push_to_hub", "--hub_dataset_id", name)
    result = synthesize(*command)
    assert result.status == 0 and f"Uploaded to {hub.url}/datasets/{name}\n" in result.stdout
    files = hub.repos["datasets", name].commits[hub.repos["datasets", name].refs["main"]]
    assert set(files) - {".gitattributes"} == {*contents(tmp_path / "out"), "README.md"} - {".masks"}
    rows = datasets.load_dataset(name, split="train", cache_dir=str(tmp_path / "cache"))
    local = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert rows["seed"][:] == local["seed"][:] and rows.features == local.features
    np.testing.assert_array_equal(rows[11]["image"], local[11]["image"])
    assert load_label_set(None, dataset_name=name) == LABELS
    private = synthesize(*command, "--hub_private_repo")
    assert private.status == 2 and f"--hub_private_repo: the repository '{name}' already exists" in private.stderr


def test_a_second_push_replaces_the_first_one(synthesize, model, masks, tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    name = f"{hub.user}/pushed-twice"
    push = ("--push_to_hub", "--hub_dataset_id", name)
    forms = {
        "two": ("--masks_per_file", 2),
        "folders": ("--output_format", "folders"),
        "three": ("--masks_per_file", 3),
    }
    for folder, form in forms.items():
        assert synthesize(*options(model, masks, tmp_path / folder, *form, *push)).status == 0
        repository = hub.repos["datasets", name]
        files = {path for path in repository.commits[repository.refs["main"]] if path != ".gitattributes"}
        assert files == {*contents(tmp_path / folder), "README.md"} - {".masks"}
    assert len(datasets.load_dataset(name, split="train", cache_dir=str(tmp_path / "cache"))) == 12


def test_a_data_set_of_another_kind_is_not_replaced(synthesize, model, masks, tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    name = f"{hub.user}/photographs"
    hub.add_repo(name, {"data/train-00000-of-00001.parquet": b"rows"}, kind="datasets")
    result = synthesize(*options(model, masks, tmp_path / "out", "--push_to_hub", "--hub_dataset_id", name))
    assert result.status == 2 and "so it holds another data set, which would be deleted" in result.stderr
    assert not (tmp_path / "out" / "data").exists()  # refused before painting


def test_another_seed_gives_other_images(synthesize, model, masks, tmp_path):
    rows = []
    for seed in (0, 1):
        assert synthesize(*options(model, masks, tmp_path / str(seed), "--seed", seed)).status == 0
        rows.append(datasets.load_dataset(str(tmp_path / str(seed)), split="train"))
        expected = [image_seeds(seed, index, 2) for index in range(6)]
        assert rows[-1]["seed"][:] == [one for seeds in expected for one in seeds]
    for first, second in zip(*rows, strict=True):
        assert np.abs(pixels(first["image"]) - pixels(second["image"])).max() > 20


def test_a_moved_model_is_the_same_model(synthesize, model, masks, tmp_path):
    command = options(model, masks, tmp_path / "out")
    assert synthesize(*command).status == 0
    moved = shutil.copytree(model, tmp_path / "elsewhere" / model.name)
    assert synthesize(*command, "--model", moved).status == 0


def another_seed(folder, synthesize, model, masks):
    synthesize(*options(model, masks, folder / "out"))
    return ("--seed", 1), f"--seed is 1, but the rows in {folder / 'out'} were begun with 0. Give the same value"


def another_model(folder, synthesize, model, masks):
    synthesize(*options(model, masks, folder / "out"))
    return ("--model", save_model(folder / model.name, generator=make_generator(1))), "`weights` is "


def another_data_set_of_the_same_name(folder, synthesize, model, masks):
    names = [folder / day / "masks" for day in ("monday", "tuesday")]
    for name, first in zip(names, (0, 1), strict=True):
        save_masks(name, [mask(first), mask(2), mask(3 + first)])
    synthesize(*options(model, names[0], folder / "out"))
    message = f"--dataset_name: 2 of 3 masks are others than those that the rows in {folder / 'out'} were painted from"
    return ("--dataset_name", names[1]), f"{message}; the first one is in row 0. Give the same masks"


def a_folder_of_an_older_version(folder, synthesize, model, masks):
    synthesize(*options(model, masks, folder / "out"))
    (folder / "out" / ".masks").unlink()
    return (), "whose rows were begun by an older version, which did not keep what masks it painted"


def foreign_labels(folder, synthesize, model, masks):
    shutil.copytree(masks, folder / "masks")
    values = {"id2label": {"0": "rock", "1": "sky", "4": "grass"}, "palette": LABELS.palette.tolist()[:3]}
    (folder / "masks" / "labels.json").write_text(json.dumps(values))
    message = "The data's labels are not the model's: the id 0 is 'rock' in the data and 'sky' in the model."
    return ("--dataset_name", folder / "masks"), message


def seed_without_latent(folder, synthesize, model, masks):
    plain = save_model(folder / "plain", generator=make_generator(latent_dim=None))
    return ("--model", plain, "--seed", 3, "--images_per_mask", 1), "--seed is 3, but this model has no latent"


def configuration_of_a_saved_data_set(folder, synthesize, model, masks):
    return ("--dataset_config_name", "a"), "--dataset_config_name is 'a', but"


def foreign_folder(folder, synthesize, model, masks):
    (folder / "out").mkdir()
    (folder / "out" / "thesis.txt").write_text("mine")
    return (), "which is not empty and has no settings.json of an earlier run"


def file_for_a_folder(folder, synthesize, model, masks):
    (folder / "out").write_text("mine")
    return (), f"--output_dir is {folder / 'out'}, which is a file. Give a folder."


def wrong_split(folder, synthesize, model, masks):
    return ("--split", "tset"), "split 'tset') cannot be loaded"


def wrong_column(folder, synthesize, model, masks):
    return ("--mask_column", "mask"), "--mask_column is 'mask'; the data set has the columns label, file_name."


def wrong_height(folder, synthesize, model, masks):
    return ("--height", 33), "--height is 33; this model makes images whose sides are multiples of 32, such as 32."


def no_model(folder, synthesize, model, masks):
    return ("--model", folder / "nothing"), f"--model is {folder / 'nothing'}, which is neither a folder nor a Hub id"


def nothing_readable(folder, synthesize, model, masks):
    broken = save_masks(folder / "broken", [Image.new("L", (8, 8), 9)])
    return ("--dataset_name", broken), "None of the 1 masks can be read; the first one: Row 0 of the data set"


def hub_without_push(folder, synthesize, model, masks):
    return ("--hub_dataset_id", "a/b"), "--hub_dataset_id and --hub_private_repo belong to --push_to_hub"


def file_size_of_folders(folder, synthesize, model, masks):
    return ("--masks_per_file", 2, "--output_format", "folders"), "--masks_per_file belongs to --output_format parquet"


@pytest.mark.parametrize(
    "case",
    [
        another_seed,
        another_model,
        another_data_set_of_the_same_name,
        a_folder_of_an_older_version,
        foreign_labels,
        seed_without_latent,
        configuration_of_a_saved_data_set,
        foreign_folder,
        file_for_a_folder,
        wrong_split,
        wrong_column,
        wrong_height,
        no_model,
        nothing_readable,
        hub_without_push,
        file_size_of_folders,
        conditions_that_nothing_reads,
        outlines_that_no_condition_fits,
        model_without_labels,
    ],
)
def test_what_is_wrong_is_one_line(case, synthesize, model, masks, tmp_path):
    wrong, message = case(tmp_path, synthesize, model, masks)
    before = contents(tmp_path)
    result = synthesize(*options(model, masks, tmp_path / "out"), *wrong)
    assert result.status == 2
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ") and message in line
    assert before.items() <= contents(tmp_path).items()


def test_settings_of_a_folder_without_rows_are_replaced(synthesize, model, masks, tmp_path):
    assert synthesize(*options(model, masks, tmp_path / "out", "--height", 33)).status == 2
    assert synthesize(*options(model, masks, tmp_path / "out", "--height", 64)).status == 0
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["height"] == 64
    row = datasets.load_dataset(str(tmp_path / "out"), split="train")[0]
    assert row["image"].size == row["label"].size == (64, 64)


def test_what_is_needed_is_named(synthesize):
    assert synthesize().stderr == (
        "error: Give --dataset_name, where the masks are, and --output_dir, where the pictures go. See --help.\n"
    )


def test_the_label_column_is_8_or_16_bits_by_the_label_set(synthesize, masks, tmp_path):
    wide = LabelSet(name="wide", labels=tuple(label._replace(id=label.id * 100) for label in LABELS.labels[:3]))
    generator = make_generator(use_unknown_label=False)
    model = save_model(tmp_path / "model", generator=generator, image_processor=SPADEImageProcessor(label_set=wide))
    ids = np.repeat(np.array([0, 100, 400, 400], dtype=np.uint16), 8)[:, None].repeat(32, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(ids).save(buffer, "PNG")
    source = save_masks(tmp_path / "masks", [{"bytes": buffer.getvalue(), "path": None}])
    assert synthesize("--model", model, "--dataset_name", source, "--output_dir", tmp_path / "out").status == 0
    label = datasets.load_dataset(str(tmp_path / "out"), split="train")[0]["label"]
    assert label.mode == "I;16"
    np.testing.assert_array_equal(label, ids)
