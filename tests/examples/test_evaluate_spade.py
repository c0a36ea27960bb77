"""The evaluation script on a tiny model and data set."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors import safe_open

from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.data import PairedTransform, fingerprint
from spade_hf.images.resize import resize_labels
from spade_hf.metrics import (
    Scorer,
    choose_partners,
    class_ious,
    color_statistics,
    confusion_matrix,
    load_feature_network,
    load_segmenter,
    outlines,
    pixel_accuracy,
    style_agreement,
)
from spade_hf.metrics.features import feature_maps
from spade_hf.metrics.pixels import resize_bicubic
from spade_hf.metrics.scoring import OUTLINES, OutlineSettings, to_8_bits
from spade_hf.models.model_hash import hash_model
from spade_hf.seeding import generators
from spade_hf_cli.evaluate.run import name_image_folder

from ..tiny_networks import randomized, save_tiny_segmenter, tiny_outlines
from ..training_data import (
    LABELS,
    make_dataset,
    make_networks,
    make_rows,
    mask,
    real_image,
    write_imagefolder,
    write_labels,
)
from .programs import EVALUATE


CENTER = PairedTransform(resolution=(32, 32), resize_ratio=1.0, center_crop=True, random_flip=False)
STYLE_KEYS = {"style", "style_features", "diversity"}
KEYS = {"fid", "kid", "miou", "pixel_accuracy", "sharpness", "light", "feature_distance"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    networks = make_networks()
    folder = tmp_path_factory.mktemp("model")
    processor = SPADEImageProcessor(label_set=LABELS)
    parts = {name: randomized(networks[name], seed=0) for name in ("generator", "style_encoder")}
    for network in parts.values():
        network.fuse_spectral_norm()
    SPADEPipeline(image_processor=processor, **parts).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Splits `train` and `validation`, three scenes of two images each."""
    folder = tmp_path_factory.mktemp("data")
    scene = [0, 0, 1, 1, 2, 2]
    lights = [real_image(index).point(lambda value, index=index: value * (index + 1) // 6) for index in range(6)]
    rows = make_rows(image=lights, label=[mask(number) for number in scene]).add_column("scene", scene)
    datasets.DatasetDict({"train": rows, "validation": rows}).save_to_disk(str(folder))
    write_labels(folder / "labels.json")
    return folder


TRAINED, NONE = ("--segmenter_steps", 2), ("--segmenter", "none")


def options(data, folder, name="result", segmenter=TRAINED):
    files = ("--json", folder / f"{name}.json", "--output_dir", folder)
    return ("--dataset_name", data, *segmenter, "--batch_size", 4, "--device", "cpu", *files)


def test_all_figures_of_a_model_and_the_same_ones_again(evaluate, model, data, tmp_path):
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A model\n")
    result = evaluate("--model", model, *options(data, tmp_path), "--group_column", "scene", "--update_model_card")
    assert result.status == 0, result.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert KEYS | STYLE_KEYS < report.keys() and KEYS < report["painted"].keys()
    assert report["diversity"] > 0 and -1 < report["style"] < 1
    assert {key for key in KEYS if report[key] is None} == {"fid"}
    assert report["reasons"]["exact"].keys() == {"fid", "agreement"}  # too few pictures; a model without segmenter
    assert report["counts"] == {"pictures": 6, "feature_dimensions": 352}
    assert report["real"]["sharpness"] == 1 and report["real"]["kid"] == pytest.approx(0, abs=1e-9)
    assert report["settings"]["resolution"] == [32, 32] and "torchmetrics" in report["versions"]
    why = "- fid: 6 pictures are not more than the 352 feature dimensions"
    assert result.stdout.count("are not more than") == 1 and result.stdout.splitlines()[-4] == why
    assert "\n6 pairs; figures of fewer than 300 are rough.\n" in result.stdout
    table = (tmp_path / "table.md").read_text()
    assert table.startswith("| | exact | painted | real |") and table in result.stdout
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.width == 9 * 32 and sheet.height > 6 * 32  # with headings

    (kid,) = [one for one in ModelCard.load(model / "README.md").data.eval_results if one.metric_type == "kid"]
    assert kid.metric_value == report["kid"] and kid.dataset_name == data.name and kid.metric_args["num_images"] == 6

    trained = [path.stat().st_mtime_ns for path in tmp_path.glob("segmenter-*.safetensors")]
    again = (*options(data, tmp_path, "again"), "--group_column", "scene", "--update_model_card")
    evaluate("--model", model, *again)
    again = json.loads((tmp_path / "again.json").read_text())
    assert again == report
    assert [path.stat().st_mtime_ns for path in tmp_path.glob("segmenter-*.safetensors")] == trained


def test_figures_are_those_of_the_images_masks_and_styles_in_the_folder(evaluate, model, data, tmp_path):
    command = ("--model", model, *options(data, tmp_path), "--group_column", "scene", "--ignored_pixels", "count")
    assert evaluate(*command).status == 0
    report = json.loads((tmp_path / "result.json").read_text())
    (folder,) = tmp_path.glob("pictures-*")
    made = {kind: read_images(folder / kind) for kind in ("exact", "painted", "styled")}
    rows = datasets.load_from_disk(str(data))["validation"]
    samples = [make_dataset(rows, transform=CENTER)[index] for index in range(6)]
    real, exact_masks = (torch.stack([sample[name] for sample in samples]) for name in ("real_images", "label_map"))

    pipeline = SPADEPipeline.from_pretrained(model)
    partners = choose_partners(rows["scene"][:], torch.Generator().manual_seed(0))
    for kind, styles in (("exact", real), ("styled", real[partners])):  # the style images are rounded to 8 bits
        z = pipeline.encode_style(to_8_bits(styles))
        with torch.no_grad():
            expected = to_8_bits(pipeline.generator(exact_masks, z).images)
        assert (made[kind].int() - expected.int()).abs().max() <= 1, kind
    assert (made["exact"].int() - made["styled"].int()).abs().max() > 9
    styles = to_8_bits(real)[partners]
    assert report["style"] == pytest.approx(
        style_agreement(color_statistics(made["styled"]), color_statistics(styles))
    )

    sheet = np.array(Image.open(tmp_path / "sheet.png"))[-6 * 32 :]
    columns = [torch.from_numpy(sheet[:, start : start + 32]).view(6, 32, 32, 3) for start in range(0, 9 * 32, 32)]
    assert columns[1].movedim(-1, 1).equal(to_8_bits(real))
    simplified_masks = torch.from_numpy(LABELS.ids_to_channels(LABELS.ids_from_colors(columns[3].numpy())))
    assert exact_masks[0].equal(exact_masks[1]) and not simplified_masks[0].equal(simplified_masks[1])

    network = load_feature_network("efficientnet-lite2")
    (file,) = tmp_path.glob("segmenter-*.safetensors")
    segmenter = load_segmenter(file, network, LABELS)
    for kind, masks, values in (("exact", exact_masks, report), ("painted", simplified_masks, report["painted"])):
        images = made[kind].float() / 127.5 - 1
        confusion = confusion_matrix(segmenter.predict(images, feature_maps(network, images)), masks, 4)
        scores = {count: pixel_accuracy(confusion, unknown=3, count_unknown=count) for count in (True, False)}
        assert values["pixel_accuracy"] == pytest.approx(scores[True]) and scores[True] != scores[False]
        if kind == "painted":
            confusion = confusion_matrix(segmenter.predict(images, feature_maps(network, images)), exact_masks, 4)
            ious = class_ious(confusion, unknown=3, count_unknown=True).values()
            assert values["miou_exact"] == pytest.approx(sum(ious) / len(ious))
            assert values["miou_exact"] != values["miou"]
    assert "miou_exact" not in report.keys() | report["real"].keys()
    with safe_open(file, framework="pt") as content:
        transform = json.loads(content.metadata()["settings"])["transform"]
    assert transform["random_flip"] and transform["center_crop"]


@pytest.fixture(scope="module")
def outline_model(model, tmp_path_factory):
    """The model with an outline model."""
    folder = tmp_path_factory.mktemp("outlines")
    pipeline = SPADEPipeline.from_pretrained(model)
    pipeline.register_modules(outline_model=tiny_outlines(num_labels=LABELS.num_labels))
    pipeline.save_pretrained(folder)
    return folder


def test_refined_masks(evaluate, outline_model, data, tmp_path, monkeypatch):
    made, make = [], Scorer._make_images
    monkeypatch.setattr(Scorer, "_make_images", lambda self, *words: made.append(words) or make(self, *words))
    monkeypatch.setattr(outlines, "MIN_PARTS", 3)  # the maps are few and small
    (outline_model / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A model\n")
    command = ("--model", outline_model, *options(data, tmp_path), "--outline_steps", 2, "--update_model_card")
    result = evaluate(*command, "--outline_strength", 0.7)
    assert result.status == 0, result.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert KEYS | {"miou_exact", "outlines"} < report["refined"].keys() == report["painted"].keys()
    assert len(made) == 6 * 2  # kinds and batches

    # Masks, images and figures are those of the pipeline with the samples' own seeds
    rows = datasets.load_from_disk(str(data))["validation"]
    samples = [make_dataset(rows, transform=CENTER)[index] for index in range(6)]
    real, exact = (torch.stack([sample[name] for sample in samples]) for name in ("real_images", "label_map"))
    pipeline = SPADEPipeline.from_pretrained(outline_model)

    def refine(ids):
        rngs = generators([int(sample["seed"]) for sample in samples], OUTLINES)
        masks = pipeline.refine_mask(torch.from_numpy(ids), 0.7, 2, rngs, height=32, width=32)
        return np.stack([np.array(one) for one in masks])

    sheet = np.array(Image.open(tmp_path / "sheet.png"))[-6 * 32 :]
    simplified, refined = (
        LABELS.ids_from_colors(sheet[:, start : start + 32]).reshape(6, 32, 32) for start in (3 * 32, 5 * 32)
    )
    assert sheet.shape[1] == 11 * 32 and np.array_equal(refined, refine(simplified))
    assert not np.array_equal(refined, simplified)
    (folder,) = tmp_path.glob("pictures-*/refined-0.7-2-*")
    masks = torch.from_numpy(LABELS.ids_to_channels(refined))
    with torch.no_grad():
        expected = to_8_bits(pipeline.generator(masks, pipeline.encode_style(to_8_bits(real))).images)
    assert (read_images(folder).int() - expected.int()).abs().max() <= 1
    exact_ids = LABELS.channels_to_ids(exact.numpy())
    changed = (refine(exact_ids) != exact_ids)[exact_ids != LABELS.unknown_id].mean()
    assert report["exact_changed"] == pytest.approx(changed) and 0 < changed < 1

    found = report["refined"]["outlines"]
    assert 0 <= found["kept_parts"] <= 1 and found["painted_parts"] >= 6
    assert found["labels"].keys() == report["outlines"]["labels"].keys() == {"sky", "grass", "rock"}
    assert set(report["outlines"]["largest_deviation"].values()) <= {0, None}
    assert report["painted"]["outlines"]["largest_deviation"]["perimeter"] > 0
    table = (tmp_path / "table.md").read_text()
    assert table.startswith("| | exact | painted | refined | real |") and "\n| exact_changed | " in table
    assert "\n| painted, refined against exact | perimeter |" in table and "\n| rock | " in table
    results = ModelCard.load(outline_model / "README.md").data.eval_results
    assert {one.metric_args["outline_strength"] for one in results} == {0.7}

    # Another strength makes only the refined images anew
    assert evaluate(*command, "--outline_strength", 0, "--batch_size", 3).status == 0
    assert len(made) == 6 * 2 + 2
    held = json.loads((tmp_path / "result.json").read_text())
    assert held["exact_changed"] == 0 and held["refined"]["outlines"]["kept_parts"] == 1
    assert held["refined"]["kid"] != report["refined"]["kid"]
    assert held["painted"]["outlines"] == report["painted"]["outlines"]


def read_images(folder):
    """uint8 `(N, 3, H, W)`."""
    images = [np.array(Image.open(path)) for path in sorted(folder.iterdir())]
    return torch.from_numpy(np.stack(images)).movedim(-1, 1)


def test_the_image_folder_is_named_by_all_that_its_images_depend_on(data, tmp_path):
    rows = datasets.load_from_disk(str(data))["validation"]

    def name(
        seed=0, networks=0, encoder=0, partners=(1, 0), transform=CENTER, rows=rows, color_tolerance=None, size=None
    ):
        parts = {
            "generator": make_networks(networks)["generator"],
            "style_encoder": make_networks(encoder)["style_encoder"],
        }
        pipeline = SPADEPipeline(image_processor=SPADEImageProcessor(label_set=LABELS), **parts)
        dataset = make_dataset(rows, transform=transform, color_tolerance=color_tolerance)
        return name_image_folder(SimpleNamespace(seed=seed, painting_size=size), pipeline, dataset, partners)

    changes = [
        {"seed": 1},
        {"networks": 1},
        {"encoder": 1},
        {"partners": (0, 1)},
        {"transform": PairedTransform(resolution=(32, 64))},
        {"rows": rows.select([1, 0])},
        {"color_tolerance": 5.0},
        {"size": [32, 64]},
    ]
    assert name() == name()
    assert len({name(), *(name(**change) for change in changes)}) == len(changes) + 1


def test_a_model_is_known_by_its_content_not_its_folder(model, tmp_path):
    shutil.copytree(model, tmp_path / "copy")
    parts = [SPADEPipeline.from_pretrained(folder) for folder in (model, tmp_path / "copy")]
    first, copy = (hash_model(one.generator, one.image_processor) for one in parts)
    assert first == copy != hash_model(make_networks(1)["generator"], parts[0].image_processor)


def test_images_are_kept_and_made_once(evaluate, model, data, tmp_path, monkeypatch):
    command = ("--model", model, *options(data, tmp_path, segmenter=NONE))
    made, make = [], Scorer._make_images

    def make_twice(self, *arguments):
        if len(made) == 2:
            raise OSError("the machine is gone")
        made.append(arguments)
        return make(self, *arguments)

    monkeypatch.setattr(Scorer, "_make_images", make_twice)
    assert "the machine is gone" in evaluate(*command).stderr
    assert not (tmp_path / "result.json").exists()
    monkeypatch.setattr(
        Scorer, "_make_images", lambda self, *arguments: made.append(arguments) or make(self, *arguments)
    )
    assert evaluate(*command).status == 0
    assert len(made) == 5 * 2  # kinds and batches
    whole = json.loads((tmp_path / "result.json").read_text())

    (folder,) = tmp_path.glob("pictures-*")
    assert {path.name for path in folder.iterdir()} == {"exact", "painted", "styled", "random", "again"}
    files = sorted((folder / "exact").iterdir())
    assert [path.name for path in files] == [f"0000{row}.png" for row in range(6)]
    assert Image.open(files[0]).size == (32, 32)
    assert evaluate(*command).status == 0
    assert len(made) == 10 and json.loads((tmp_path / "result.json").read_text()) == whole
    assert evaluate(*command, "--seed", 1).status == 0
    assert len(made) == 20 and len(list(tmp_path.glob("pictures-*"))) == 2

    files[3].write_bytes(files[3].read_bytes()[:80])
    result = evaluate(*command)
    assert result.status == 2 and f"error: {files[3]} can't be read" in result.stderr
    Image.new("RGB", (8, 8)).save(files[3])
    assert "it is 8x8, not 32x32 (width x height). Delete it" in evaluate(*command).stderr
    files[3].unlink()
    assert evaluate(*command).status == 0
    assert json.loads((tmp_path / "result.json").read_text()) == whole


@pytest.mark.slow  # two processes that import everything
def test_two_processes_say_what_one_does(evaluate, model, data, tmp_path):
    command = ("--model", model, *options(data, tmp_path), "--batch_size", 1)
    evaluate(*command)
    alone = json.loads((tmp_path / "result.json").read_text())
    launch = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    words = [sys.executable, "-m", *launch, str(EVALUATE), *map(str, command)]
    search_path = os.pathsep.join([str(EVALUATE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search_path}
    result = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "Process 1 of 2" in result.stderr and "Process 2 of 2" in result.stderr
    together = json.loads((tmp_path / "result.json").read_text())
    for name in KEYS | STYLE_KEYS:
        assert together[name] == (None if alone[name] is None else pytest.approx(alone[name], rel=1e-4))
    assert together["settings"] == alone["settings"] and together["counts"] == alone["counts"]


@pytest.fixture
def hashed_rows(monkeypatch):
    """The rows that are hashed, which means that their files are read once more."""
    rows, hash_row = [], fingerprint.hash_row
    monkeypatch.setattr(fingerprint, "hash_row", lambda row, columns: rows.append(row) or hash_row(row, columns))
    return rows


def test_rows_are_hashed_once_and_only_to_keep_results(evaluate, model, data, tmp_path, hashed_rows):
    command = ("--model", model, "--dataset_name", data, "--device", "cpu", "--no-painted_masks", *TRAINED)
    assert evaluate(*command).status == 0
    assert not hashed_rows
    assert evaluate(*command, "--output_dir", tmp_path).status == 0
    assert len(hashed_rows) == 6 + 6  # the segmenter's and the scored pairs


@pytest.mark.parametrize("painting_size", [(32, 32), (160, 192)], ids=["enlarged", "reduced"])
def test_a_model_that_paints_at_another_size(painting_size, evaluate, model, data, tmp_path):
    command = (
        "--model",
        model,
        *options(data, tmp_path, segmenter=NONE),
        "--no-painted_masks",
        "--resolution",
        40,
        48,
    )
    assert evaluate(*command, "--painting_size", *painting_size).status == 0
    first, *_ = sorted(tmp_path.glob("pictures-*/exact/*.png"))
    pipeline = SPADEPipeline.from_pretrained(model)
    rows = datasets.load_from_disk(str(data))["validation"]
    sample = make_dataset(rows, transform=dataclasses.replace(CENTER, resolution=(40, 48)))[0]
    z = pipeline.encode_style(to_8_bits(sample["real_images"])[None])
    with torch.no_grad():
        (image,) = to_8_bits(pipeline.generator(resize_labels(sample["label_map"][None], painting_size), z).images)
    if painting_size == (32, 32):
        expected = resize_bicubic(image[None], (40, 48))[0]
    else:  # what is read of a real picture of that size
        painted = Image.fromarray(image.movedim(0, -1).numpy())
        rows = datasets.Dataset.from_list([{"image": painted, "label": Image.new("L", painted.size)}])
        reader = make_dataset(rows, transform=dataclasses.replace(CENTER, resolution=(40, 48)))
        expected = to_8_bits(reader[0]["real_images"])
    expected = expected.movedim(0, -1).int().numpy()
    np.testing.assert_allclose(np.array(Image.open(first)).astype(int), expected, atol=1)


def test_masks_are_refined_at_the_size_at_which_the_model_paints(model, data, monkeypatch):
    pipeline = SPADEPipeline.from_pretrained(model)
    sizes, refined = [], []

    def refine(self, maps, strength, steps, rngs, *, height, width):
        sizes.append((height, width))
        refined.extend(resize_labels(one, (height, width)) for one in maps.numpy())
        return refined

    monkeypatch.setattr(SPADEPipeline, "refine_mask", refine)
    dataset = make_dataset(datasets.load_from_disk(str(data))["validation"], transform=CENTER)
    scorer = Scorer(
        None, dataset, pipeline.image_processor, kinds=["refined"], partners=[], shown=frozenset(), pipeline=pipeline,
        reduce=None, device="cpu", outlines=OutlineSettings(0.5, 1, ""), painting_size=(64, 64),
    )  # fmt: skip
    label_map = dataset[0]["label_map"][None]
    assert torch.equal(scorer._refine(label_map, []), label_map) and sizes == [(64, 64)]


def test_real_images_and_reduced_ones(evaluate, data, tmp_path, hashed_rows):
    command = (*options(data, tmp_path, segmenter=NONE), "--real", "--resolution", 40, 48)
    assert evaluate(*command).status == 0
    assert not hashed_rows
    real = json.loads((tmp_path / "result.json").read_text())
    assert real["sharpness"] == 1 and real["feature_distance"] == pytest.approx(0, abs=1e-9)
    assert real["miou"] is None and real["reasons"]["exact"]["miou"] == "--segmenter none"
    assert real["style"] is None and real["reasons"]["exact"]["diversity"] == "real pictures have one style each"
    assert real["painted"] is None and real["reasons"]["painted"] == "real pictures have exact masks only"
    assert evaluate(*command, "--reduce", 20).status == 0
    reduced = json.loads((tmp_path / "result.json").read_text())
    assert reduced["sharpness"] < 0.5 and reduced["kid"] > 0 and reduced["feature_distance"] > 0
    assert reduced["real"] == real["real"]


def test_real_images_of_the_size_of_their_masks(evaluate, tmp_path):
    folder = write_imagefolder(tmp_path / "pairs", mode="L")
    (folder / "metadata.jsonl").unlink()
    names = {"image": [f"{index}.png" for index in range(6)], "label": [f"masks/{index}.png" for index in range(6)]}
    datasets.Dataset.from_dict(names).to_parquet(folder / "rows.parquet")  # names of files beside it
    command = ("--real", "--dataset_name", folder / "rows.parquet", "--split", "train", "--device", "cpu")
    result = evaluate(*command, *NONE, "--label_set", folder / "labels.json", "--json", tmp_path / "result.json")
    assert result.status == 0, result.stderr
    assert json.loads((tmp_path / "result.json").read_text())["settings"]["resolution"] == [40, 48]


@pytest.fixture(scope="module")
def two_folders(tmp_path_factory):
    """Folders `images` and `masks`, and the labels beside them."""
    folder = write_imagefolder(tmp_path_factory.mktemp("folders") / "pairs", mode="L")
    (folder / "images").mkdir()
    for path in folder.glob("*.png"):
        path.rename(folder / "images" / path.name)
    return folder


def test_folders_without_images_to_train_on(evaluate, model, two_folders, tmp_path):
    folders = ("--image_folder", two_folders / "images", "--mask_folder", two_folders / "masks")
    result = evaluate("--model", model, *folders, "--num_images", 3, "--json", tmp_path / "result.json")
    assert result.status == 0, result.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert report["miou"] is None and report["counts"]["pictures"] == 3
    why = "there are no pairs to train a segmenter on. Name them: --segmenter_image_folder and"
    assert result.stdout.count("to train a segmenter") == 1
    assert f"- miou, pixel_accuracy, miou_exact: {why}" in result.stdout


def test_two_folders_have_a_segmenter_of_two_others(evaluate, model, two_folders, tmp_path):
    (tmp_path / "model").mkdir()
    shutil.copytree(model, tmp_path / "model", dirs_exist_ok=True)
    (tmp_path / "model" / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A model\n")
    (tmp_path / "names.txt").write_text("1\n2\n4\n")
    pairs = ("--image_folder", two_folders / "images", "--mask_folder", two_folders / "masks")
    others = ("--segmenter_image_folder", two_folders / "images", "--segmenter_mask_folder", two_folders / "masks")
    command = ("--model", tmp_path / "model", *pairs, *others, "--segmenter_file_list", tmp_path / "names.txt")
    files = ("--output_dir", tmp_path / "out", "--json", tmp_path / "result.json", "--update_model_card")
    result = evaluate(*command, *TRAINED, *files, "--no-painted_masks")
    assert result.status == 0, result.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert 0 < report["pixel_accuracy"] < 1 and report["settings"]["split"] is None
    (file,) = (tmp_path / "out").glob("segmenter-*.safetensors")
    with safe_open(file, framework="pt") as content:
        assert json.loads(content.metadata()["settings"])["data"]["num_rows"] == 3
    results = ModelCard.load(tmp_path / "model" / "README.md").data.eval_results
    assert {(one.dataset_type, one.dataset_name, one.dataset_split) for one in results} == {
        ("folders", "local folders", None)
    }


@pytest.mark.parametrize("where", ["with the data", "given", "with the segmenter's data"])
def test_labels_other_than_the_model_s_are_refused(where, evaluate, model, data, tmp_path):
    other = shutil.copytree(data, tmp_path / "other")
    values = json.loads((other / "labels.json").read_text())
    names = {"0": "rock", "1": "sky", "4": "grass", "255": "unknown"}
    (other / "labels.json").write_text(json.dumps({**values, "id2label": names}))
    options = {
        "with the data": ("--dataset_name", other),
        "given": ("--dataset_name", data, "--label_set", other / "labels.json"),
        "with the segmenter's data": ("--dataset_name", data, "--segmenter_dataset", other),
    }[where]
    result = evaluate("--model", model, "--device", "cpu", *options)
    assert result.status == 2
    difference = "the id 0 is 'rock' in the data and 'sky' in the model"
    assert f"error: The data's labels are not the model's: {difference}" in result.stderr.splitlines()[-1]


def test_the_segmenter_is_trained_on_the_configuration_that_is_scored(evaluate, data, tmp_path):
    folder = tmp_path / "data"
    configs = ""
    for name, numbers in (("a", range(6)), ("b", range(1, 7))):
        (folder / name).mkdir(parents=True)
        make_rows(label=[mask(number) for number in numbers]).to_parquet(folder / name / "train.parquet")
        configs += f"- config_name: {name}\n  data_files: {name}/train.parquet\n"
        configs += "  default: true\n" if name == "a" else ""
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    write_labels(folder / "labels.json")
    command = ("--real", "--dataset_name", folder, "--split", "train", "--resolution", 32, "--device", "cpu")
    for name in ("a", "b"):
        output = ("--output_dir", tmp_path / name, "--dataset_config_name", name)
        assert evaluate(*command, *TRAINED, *output).status == 0
    files = {next((tmp_path / name).glob("segmenter-*")).name for name in ("a", "b")}
    assert len(files) == 2


def test_a_missing_train_split_is_a_reason_and_a_named_one_an_error(evaluate, model, data, tmp_path):
    datasets.DatasetDict({"test": make_rows()}).save_to_disk(str(tmp_path / "test-only"))
    command = ("--model", model, "--dataset_name", tmp_path / "test-only", "--split", "test", "--device", "cpu")
    result = evaluate(*command, "--no-painted_masks", "--json", tmp_path / "result.json")
    assert result.status == 0, result.stderr
    (why,) = [line for line in result.stdout.splitlines() if line.startswith("- miou, pixel_accuracy: ")]
    assert "(config None, split 'train') cannot be loaded" in why and why.endswith("on: --segmenter_dataset")
    report = json.loads((tmp_path / "result.json").read_text())
    assert report["pixel_accuracy"] is None and report["reasons"]["exact"]["miou"] in why
    assert evaluate(*command, "--segmenter_split", "tset").status == 2
    named = evaluate(*command, "--segmenter_dataset", data, "--segmenter_split", "tset")
    assert named.status == 2 and "split 'tset') cannot be loaded" in named.stderr


def test_a_segmenter_of_transformers(evaluate, model, data, tmp_path):
    save_tiny_segmenter(tmp_path / "segformer", ("sky", "wall", "lawn", "rock"))
    (tmp_path / "names.json").write_text('{"lawn": "grass"}')
    options = ("--segmenter", tmp_path / "segformer", "--segmenter_labels", tmp_path / "names.json")
    result = evaluate(
        "--model", model, "--dataset_name", data, "--device", "cpu", "--json", tmp_path / "figures.json", *options
    )
    assert result.status == 0, result.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert 0 < figures["miou"] < 1 and 0 < figures["real"]["pixel_accuracy"] < 1


def bad_split(data, folder):
    return ("--dataset_name", data, "--split", "tset"), "split 'tset') cannot be loaded"


def bad_pair(data, folder):
    rows = make_rows(3, label=[mask(0), mask(1, size=(40, 20)), mask(2)])
    datasets.DatasetDict({"validation": rows}).save_to_disk(str(folder / "unpaired"))
    return ("--dataset_name", folder / "unpaired"), "the image is 48x40 and the mask 20x40 (width x height)"


def bad_folders(data, folder):
    for name, numbers in (("images", (0, 1)), ("masks", (0, 2))):
        (folder / name).mkdir()
        for number in numbers:
            mask(number).save(folder / name / f"{number}.png")
    return ("--image_folder", folder / "images", "--mask_folder", folder / "masks"), "has no file for 1"


def bad_group(data, folder):
    return ("--dataset_name", data, "--group_column", "layout"), "--group_column is 'layout'; the data set has the"


def bad_mask(data, folder):
    stranger = Image.fromarray(np.full((40, 48), 9, dtype=np.uint8))
    datasets.DatasetDict({"validation": make_rows(1, label=[stranger])}).save_to_disk(str(folder / "stranger"))
    return ("--dataset_name", folder / "stranger"), "has label ids [9]"


def bad_segmenter(data, folder):
    (folder / "mine.safetensors").write_bytes(b"nonsense")
    return ("--dataset_name", data, "--segmenter", folder / "mine.safetensors"), "can't be read as a segmenter"


def bad_classes(data, folder):
    save_tiny_segmenter(folder / "segformer", ("sky", "grass", "wall"))
    return ("--dataset_name", data, "--segmenter", folder / "segformer"), "has no class for rock. Its classes are sky"


def bad_names(data, folder):
    save_tiny_segmenter(folder / "segformer", ("sky", "grass", "wall"))
    (folder / "names.json").write_text('["rock"]')
    options = ("--dataset_name", data, "--segmenter", folder / "segformer")
    return (*options, "--segmenter_labels", folder / "names.json"), "names.json is not of the form {"


def bad_names_for(data, folder):
    options = ("--segmenter_labels", folder / "names.json")
    return ("--dataset_name", data, *options), "--segmenter_labels belongs to a --segmenter that is a folder or Hub id"


def bad_reduce(data, folder):
    return ("--dataset_name", data, "--reduce", 16), "--reduce belongs to --real, which is missing"


def bad_card(data, folder):
    options = ("--dataset_name", data, "--model", folder, "--update_model_card")
    return options, f"The model card of --model '{folder}' cannot be read"


def bad_column_of_real_images(data, folder):
    return ("--real", "--dataset_name", data, "--mask_column", "nope"), "--mask_column is 'nope'; the data set has the"


def bad_first_mask(data, folder):
    broken = [{"bytes": b"no image", "path": None}]
    datasets.DatasetDict({"validation": make_rows(1, label=broken)}).save_to_disk(str(folder / "broken"))
    options = ("--real", "--dataset_name", folder / "broken", "--label_set", data / "labels.json")
    return options, "Row 0 of the data set: column `label` holds an image that cannot be read"


def bad_scenes(data, folder):
    return ("--dataset_name", data, "--group_column", "image"), "--group_column is 'image', which holds Image("


def bad_sizes(data, folder):
    return ("--dataset_name", data, "--resolution", 32, 32, 32), "--resolution is 32 32 32; give one side, or height"


def bad_painting_size(data, folder):
    options = ("--dataset_name", data, "--resolution", 40, 48, "--painting_size", 33)
    return options, "--painting_size is 33x33 (height x width); both must be"


def painting_size_of_real_images(data, folder):
    return ("--real", "--dataset_name", data, "--painting_size", 32), "--painting_size is for models"


def bad_side(data, folder):
    return (
        "--dataset_name",
        data,
        "--resolution",
        33,
    ), "--resolution is 33x33 (height x width); both must be"


def bad_reduced_side(data, folder):
    return (
        "--real",
        "--dataset_name",
        data,
        "--reduce",
        40,
    ), "--reduce is 40; the pictures are 40x48 (height x width)"


def bad_device(data, folder):
    return ("--dataset_name", data, "--device", "abacus"), "--device is abacus, which torch cannot use here"


def bad_model(data, folder):
    return ("--dataset_name", data, "--model", folder / "nowhere"), "which is neither a folder nor a Hub id"


def simplified_masks_of_real_images(data, folder):
    return ("--dataset_name", data, "--real", "--painted_masks"), "--painted_masks is for models; real pictures have"


def outlines_without_outline_model(data, folder):
    return ("--dataset_name", data, "--outline_strength", 0.5), "no `outline_model`, so it cannot change outlines"


def strength_of_outlines(data, folder):
    return ("--dataset_name", data, "--outline_strength", 1.5), "--outline_strength is 1.5; it must be in 0..1."


def outlines_without_painted_masks(data, folder):
    options = ("--dataset_name", data, "--outline_strength", 0, "--no-painted_masks")
    return options, "--outline_strength is for a model's painted masks, which --real and --no-painted_masks leave out"


def steps_without_strength(data, folder):
    return ("--dataset_name", data, "--outline_steps", 2), "--outline_steps belongs to --outline_strength"


def split_of_folders(data, folder):
    options = ("--image_folder", folder, "--mask_folder", folder, "--split", "test")
    return options, "--split is for --dataset_name and has no effect on folders"


def column_of_folders(data, folder):
    options = ("--image_folder", folder, "--mask_folder", folder, "--mask_column", "mask")
    return options, "--mask_column belongs to --dataset_name; folders have no configurations and columns"


def steps_of_no_segmenter(data, folder):
    return ("--dataset_name", data, "--segmenter_steps", 9), "--segmenter_steps is for --segmenter train and has no"


def pixels_of_no_segmenter(data, folder):
    options = ("--dataset_name", data, "--ignored_pixels", "count", "--segmenter", "none")
    return options, "--ignored_pixels count needs a segmenter"


def half_of_the_segmenter_s_pairs(data, folder):
    options = ("--dataset_name", data, "--segmenter", "train", "--segmenter_image_folder", folder)
    return options, "--segmenter_image_folder and --segmenter_mask_folder must be given together"


def two_sorts_of_the_segmenter_s_pairs(data, folder):
    folders = ("--segmenter_image_folder", folder, "--segmenter_mask_folder", folder)
    options = ("--dataset_name", data, "--segmenter", "train", "--segmenter_dataset", data, *folders)
    return options, "Give either --segmenter_dataset, or --segmenter_image_folder with --segmenter_mask_folder"


def split_of_the_segmenter_s_folders(data, folder):
    folders = ("--segmenter_image_folder", folder, "--segmenter_mask_folder", folder)
    options = ("--dataset_name", data, "--segmenter", "train", *folders, "--segmenter_split", "train")
    return options, "--segmenter_split is for a data set and has no effect on folders"


def folder_of_folders_for_the_segmenter(data, folder):
    for name in ("images", "masks"):
        (folder / "pairs" / "train" / name).mkdir(parents=True)
        mask(0).save(folder / "pairs" / "train" / name / "0.png")
    options = ("--dataset_name", data, "--segmenter", "train", "--segmenter_dataset", folder / "pairs")
    return options, "give both: --segmenter_image_folder and --segmenter_mask_folder."


def bad_network(data, folder):
    return (
        "--dataset_name",
        data,
        "--feature_network",
        "efficientnet-lite0",
    ), "--feature_network is 'efficientnet-lite0'; allowed"


@pytest.mark.parametrize(
    "case",
    [
        bad_split,
        bad_pair,
        bad_folders,
        bad_group,
        bad_mask,
        bad_segmenter,
        bad_classes,
        bad_names,
        bad_names_for,
        bad_reduce,
        bad_card,
        bad_network,
        bad_column_of_real_images,
        bad_first_mask,
        bad_scenes,
        bad_sizes,
        bad_side,
        bad_reduced_side,
        bad_painting_size,
        painting_size_of_real_images,
        bad_device,
        bad_model,
        simplified_masks_of_real_images,
        outlines_without_outline_model,
        strength_of_outlines,
        outlines_without_painted_masks,
        steps_without_strength,
        split_of_folders,
        column_of_folders,
        steps_of_no_segmenter,
        pixels_of_no_segmenter,
        half_of_the_segmenter_s_pairs,
        two_sorts_of_the_segmenter_s_pairs,
        split_of_the_segmenter_s_folders,
        folder_of_folders_for_the_segmenter,
    ],
)
def test_what_is_wrong_is_one_line(case, evaluate, model, data, tmp_path):
    wrong, message = case(data, tmp_path)
    output = ("--json", tmp_path / "result.json", "--output_dir", tmp_path / "out")
    no_segmenter = () if "--ignored_pixels" in wrong else ("--segmenter", "none")
    scored = () if "--real" in wrong else ("--model", model)
    result = evaluate(*scored, "--device", "cpu", *output, *no_segmenter, *wrong)
    assert result.status == 2
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ") and message in line
    assert "Traceback" not in result.stderr and "load_folders" not in line
    assert not (tmp_path / "result.json").exists() and not (tmp_path / "out").exists()
