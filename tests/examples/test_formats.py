"""Training and evaluation on public data sets' own layouts, by the commands of docs/training.md."""

import json
import re

import datasets
import pytest

from spade_hf import LabelSet
from spade_hf_cli import main

from ..dataset_layouts import (
    save,
    write_cityscapes,
    write_cvat,
    write_panoptic,
    write_roboflow,
    write_voc,
    write_webdataset,
)
from ..training_data import mask as toy_mask
from ..training_data import png, real_image, write_labels
from .programs import SMALL
from .test_synthesize_dataset import make_generator, save_model


def cityscapes(root):
    write_cityscapes(root)
    options = (
        "--image_folder leftImg8bit/train --image_suffix _leftImg8bit.png --mask_folder gtFine/train "
        "--mask_suffix _gtFine_labelIds.png --instance_folder gtFine/train "
        "--instance_suffix _gtFine_instanceIds.png --label_set cityscapes"
    )
    return options, 3, LabelSet.from_name("cityscapes").names


def cityscapes_trainids(root):
    write_cityscapes(root, train_ids=True)
    options = (
        "--image_folder leftImg8bit/train --image_suffix _leftImg8bit.png --mask_folder gtFine/train "
        "--mask_suffix _gtFine_labelTrainIds.png --label_set cityscapes-trainids"
    )
    return options, 3, LabelSet.from_name("cityscapes-trainids").names


def voc(root):
    write_voc(root / "VOC2012")
    options = (
        "--image_folder VOC2012 --mask_folder VOC2012 --instance_folder VOC2012 "
        "--file_list VOC2012/ImageSets/Segmentation/train.txt --label_set voc"
    )
    return options, 2, LabelSet.from_name("voc").names


def coco_panoptic(root):
    write_panoptic(root)
    options = (
        "--panoptic_json annotations/panoptic_val2017.json --image_folder val2017 "
        "--mask_folder annotations/panoptic_val2017 --instance_folder annotations/panoptic_val2017"
    )
    return options, 2, ("unknown", "person", "car", "rug-merged")


def cvat(root):
    write_cvat(root)
    options = "--image_folder frames --mask_folder export.zip --instance_folder export.zip"
    return options, 3, ("background", "cat", "road sign")


def roboflow(root):
    write_roboflow(root)
    options = "--image_folder train --image_suffix .jpg --mask_folder train --mask_suffix _mask.png"
    return options, 2, ("background", "cat", "dog")


def webdataset(root):
    write_webdataset(root)
    return "--dataset_name shards --image_column jpg --mask_column seg.png", 2, LabelSet.anonymous(3).names


@pytest.mark.parametrize("layout", [cityscapes, cityscapes_trainids, voc, coco_panoptic, cvat, roboflow, webdataset])
def test_check_dry_run_and_an_update(layout, run, start, tmp_path, monkeypatch, capsys):
    options, num_pairs, names = layout(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["check", *options.split(), "--num_workers", "0"]) == 0
    assert f"{num_pairs} pairs read" in capsys.readouterr().out
    command = (*SMALL, *options.split(), "--output_dir", "model", "--dataloader_num_workers", 1)
    dry = run(*command, "--dry_run")
    assert dry.status == 0, dry.stderr
    assert re.search(rf"\b{num_pairs} (pairs|samples|rows)", dry.stderr), dry.stderr
    assert not (tmp_path / "model").exists()
    started = start(*command)
    started.train(1)
    pipeline = started.publisher.preview()
    assert pipeline.image_processor.label_set.names == names
    assert pipeline.image_processor.config.use_instance_edges == ("--instance_folder" in options)


@pytest.mark.parametrize("layout", [cvat, coco_panoptic])
def test_evaluation_reads_them_too(layout, evaluate, tmp_path, monkeypatch):
    options, num_pairs, _ = layout(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = re.sub(r" --instance_folder \S+", "", options).split()
    result = evaluate("--real", *options, "--segmenter", "none", "--json", "figures.json")
    assert result.status == 0, result.stderr
    assert json.loads((tmp_path / "figures.json").read_text())["counts"]["pictures"] == num_pairs


def test_errors_are_in_the_words_of_the_options(run, tmp_path, monkeypatch):
    options, _, _ = cityscapes(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = run(*SMALL, *options.replace("_gtFine_labelIds.png", ".png").split(), "--dry_run")
    assert result.status == 2
    ends = "--image_suffix, --mask_suffix, --instance_suffix and --condition_suffix"
    assert f"or give the ends of the names by {ends}" in result.stderr


def test_tables_of_bytes(synthesize, evaluate, tmp_path):
    """Parquet files that do not say that they hold images are scored, and painted, like others."""
    columns = {name: [png(make(i)) for i in range(4)] for name, make in (("image", real_image), ("label", toy_mask))}
    for split in ("train", "validation"):
        (tmp_path / "data").mkdir(exist_ok=True)
        datasets.Dataset.from_dict(columns).to_pandas().to_parquet(tmp_path / "data" / f"{split}.parquet")
    write_labels(tmp_path / "data" / "labels.json")
    data = ("--dataset_name", tmp_path / "data")
    result = evaluate("--real", *data, "--segmenter_steps", 1, "--json", tmp_path / "figures.json", "--device", "cpu")
    assert result.status == 0, result.stderr
    assert json.loads((tmp_path / "figures.json").read_text())["miou"] is not None
    model = save_model(tmp_path / "model", generator=make_generator())
    result = synthesize("--model", model, *data, "--images_per_mask", 1, "--output_dir", tmp_path / "out")
    assert result.status == 0 and "4 rows" in result.stdout, result.stderr


def test_tables_of_file_names(evaluate, tmp_path):
    """Names are those of files in the data set's folder, also where a mask gives the size of real images."""
    for i in range(2):
        save(tmp_path / "data" / "images" / f"{i}.png", real_image(i))
        save(tmp_path / "data" / "masks" / f"{i}.png", toy_mask(i))
    columns = {"image": ["images/0.png", "images/1.png"], "label": ["masks/0.png", "masks/1.png"]}
    datasets.Dataset.from_dict(columns).to_pandas().to_parquet(tmp_path / "data" / "validation.parquet")
    write_labels(tmp_path / "data" / "labels.json")
    command = ("--real", "--dataset_name", tmp_path / "data", "--segmenter", "none", "--device", "cpu")
    result = evaluate(*command, "--json", tmp_path / "figures.json")
    assert result.status == 0, result.stderr
    assert json.loads((tmp_path / "figures.json").read_text())["settings"]["resolution"] == [40, 48]
