"""Data sets in the layouts in which they are unpacked."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_folders, load_label_set

from ...dataset_layouts import SIZE, save, write_cityscapes, write_cvat, write_roboflow, write_voc
from ...training_data import real_image


CITYSCAPES = {"image": "_leftImg8bit.png", "label": "_gtFine_labelIds.png", "instance": "_gtFine_instanceIds.png"}


def read(rows, label_set):
    """Whole samples of all rows: label ids by name, and edges by name."""
    has_edges = "instance" in rows.column_names
    reader = PairReader(
        image_column="image",
        mask_column="label",
        instance_column="instance" if has_edges else None,
        processor=SPADEImageProcessor(label_set=label_set, use_instance_edges=has_edges),
        transform=PairedTransform(resolution=SIZE, resize_ratio=1.0, random_flip=False),
    )
    samples = list(map(PairedImageDataset(rows, reader, seed=0).__getitem__, range(len(rows))))
    ids = {
        name: label_set.channels_to_ids(sample["label_map"].numpy())
        for name, sample in zip(rows["file_name"], samples, strict=True)
    }
    return ids, {name: sample.get("instance_edges") for name, sample in zip(ids, samples, strict=True)}


def assert_ids(found, drawn, ending):
    assert found.keys() == {name + ending for name in drawn}
    for name, ids in drawn.items():
        np.testing.assert_array_equal(found[name + ending], ids)


def cityscapes_folders(root, split="train"):
    fine = str(root / "gtFine" / split)
    return {"image": str(root / "leftImg8bit" / split), "label": fine, "instance": fine}


def test_cityscapes_as_it_is_unpacked(tmp_path):
    drawn = write_cityscapes(tmp_path)
    rows = load_folders(cityscapes_folders(tmp_path), suffixes=CITYSCAPES)
    found, edges = read(rows, LabelSet.from_name("cityscapes"))
    assert_ids(found, drawn, "_leftImg8bit.png")
    middle = SIZE[1] // 2  # where the second car begins
    for name, ids in found.items():
        across = ids[:, middle] == 26
        assert across.any() and torch.equal(edges[name][:, middle - 1], edges[name][:, middle])
        assert edges[name][:, middle].numpy()[across].all()


def test_cityscapes_train_ids(tmp_path):
    drawn = write_cityscapes(tmp_path, split="val", train_ids=True)
    folders = cityscapes_folders(tmp_path, "val")
    del folders["instance"]
    suffixes = {"image": "_leftImg8bit.png", "label": "_gtFine_labelTrainIds.png", "instance": None}
    found, _ = read(load_folders(folders, suffixes=suffixes), LabelSet.from_name("cityscapes-trainids"))
    assert_ids(found, drawn, "_leftImg8bit.png")


def test_roboflow_has_masks_beside_their_images(tmp_path):
    drawn = write_roboflow(tmp_path)
    folder = str(tmp_path / "train")
    rows = load_folders({"image": folder, "label": folder}, suffixes={"image": ".jpg", "label": "_mask.png"})
    label_set = load_label_set(None, mask_folder=folder)
    assert label_set.id2label == {0: "background", 1: "cat", 2: "dog"}
    assert_ids(read(rows, label_set)[0], drawn, ".jpg")


def test_a_column_without_suffix_goes_by_the_extension(tmp_path):
    for number in range(2):
        save(tmp_path / "raw" / "a" / f"{number}.{'jpg' if number else 'png'}", real_image(number, SIZE))
        save(tmp_path / "masks" / "a" / f"{number}_L.png", np.full(SIZE, number, np.uint8))
    folders = {"image": str(tmp_path / "raw"), "label": str(tmp_path / "masks")}
    assert load_folders(folders, suffixes={"label": "_L.png"})["file_name"][:] == ["a/0.png", "a/1.jpg"]


def test_subfolders_belong_to_the_name(tmp_path):
    """Frames of the same name in two cities are two pairs."""
    for number, city in enumerate(("a", "b")):
        save(tmp_path / "images" / city / "1_i.png", real_image(number, SIZE))
        save(tmp_path / "masks" / city / "1_m.png", np.full(SIZE, number, np.uint8))
    folders = {"image": str(tmp_path / "images"), "label": str(tmp_path / "masks")}
    found, _ = read(load_folders(folders, suffixes={"image": "_i.png", "label": "_m.png"}), LabelSet.anonymous(2))
    assert {name: ids.max() for name, ids in found.items()} == {"a/1_i.png": 0, "b/1_i.png": 1}


def test_a_list_of_whole_names_as_a_run_writes_it(tmp_path):
    """Of the first folder, as `validation_files.txt`, beside names without their ends."""
    write_cityscapes(tmp_path)
    folders = cityscapes_folders(tmp_path)
    every = load_folders(folders, suffixes=CITYSCAPES)["file_name"][:]
    file = tmp_path / "list.txt"
    file.write_text(f"{every[1]}\n{every[0].removesuffix(CITYSCAPES['image'])}\n")
    assert load_folders(folders, suffixes=CITYSCAPES, file_list=str(file))["file_name"][:] == every[:2]


@pytest.mark.parametrize("names", ["whole", "subfolders"])
def test_voc(names, tmp_path, caplog):
    caplog.set_level("INFO")
    drawn = write_voc(tmp_path)
    parts = {"image": "JPEGImages", "label": "SegmentationClass", "instance": "SegmentationObject"}
    if names == "whole":  # the masks decide what is read
        folders, file_list = dict.fromkeys(parts, str(tmp_path)), None
    else:
        folders = {column: str(tmp_path / part) for column, part in parts.items()}
        file_list = str(tmp_path / "ImageSets" / "Segmentation" / "train.txt")
        drawn.pop("2007_000033")
    found, edges = read(load_folders(folders, file_list=file_list), LabelSet.from_name("voc"))
    assert_ids(found, drawn, ".jpg")
    assert all(one[:, SIZE[1] // 2].any() for one in edges.values())
    assert ("has no mask for them: 1" in caplog.text) == (names == "whole")


def test_vocs_photographs_without_a_list(tmp_path):
    write_voc(tmp_path)
    folders = {"image": str(tmp_path / "JPEGImages"), "label": str(tmp_path / "SegmentationClass")}
    with pytest.raises(ValueError, match=r"Class has no file for 2008_000001. .* or list the others in a `file_list`"):
        load_folders(folders)


@pytest.mark.parametrize("form", ["zip", "folder", "zip with images"])
def test_cvat(form, tmp_path):
    drawn = write_cvat(tmp_path, save_images=form == "zip with images")
    export = str(tmp_path / ("export" if form == "folder" else "export.zip"))
    images = export if form == "zip with images" else str(tmp_path / "frames")
    label_set = load_label_set(None, mask_folder=export)
    assert label_set.name == "export" and label_set.id2label == {0: "background", 1: "cat", 2: "road sign"}
    rows = load_folders({"image": images, "label": export, "instance": export})
    found, edges = read(rows, label_set)
    assert_ids(found, drawn, ".jpg")
    for name, ids in found.items():
        assert edges[name][:, SIZE[1] // 2].numpy()[ids[:, 0] == 1].all()


def test_cvats_frames_in_subfolders(tmp_path):
    write_cvat(tmp_path)
    for folder in ("frames", "export/SegmentationClass"):
        moved = tmp_path / folder
        moved.rename(tmp_path / "there")
        moved.mkdir()
        (tmp_path / "there").rename(moved / "camera 1")
    rows = load_folders({"image": str(tmp_path / "frames"), "label": str(tmp_path / "export")})
    assert rows["file_name"][0] == "camera 1/frame_000000.jpg" and len(rows) == 3


def test_a_named_label_set_wins_over_cvats(tmp_path):
    write_cvat(tmp_path)
    assert load_label_set("voc", mask_folder=str(tmp_path / "export.zip")) == LabelSet.from_name("voc")


def test_a_labelmap_that_is_none(tmp_path):
    write_cvat(tmp_path)
    (tmp_path / "export" / "labelmap.txt").write_text("cat\n1 2 3 dog\nbird\n")
    with pytest.raises(ValueError, match=r"labelmap.txt in .*export cannot be read as a label set: .*'bird'"):
        load_label_set(None, mask_folder=str(tmp_path / "export"))


def remove_mask(root):
    next((root / "gtFine" / "train" / "ulm").glob("*labelIds.png")).unlink()
    return (
        {},
        r"train has no file for ulm/ulm_000000_000019. Files are paired .*or give the ends of the names by `suffixes`",
    )


def wrong_suffix(root):
    return {"suffixes": {**CITYSCAPES, "label": "_labelIds"}}, r"train has no file that ends with '_labelIds'"


def strange_column(root):
    return {"suffixes": {"mask": "_m.png"}}, r"`suffixes` has mask; there are folders for image, label, instance"


def listed_stranger(root):
    file = root / "list.txt"
    file.write_text("ulm/ulm_000000_000019\nulm/ulm_000000_000019_gtFine_labelIds.png\n\n")
    message = (
        r"has no file for ulm/ulm_000000_000019_gtFine_labelIds.png; .*which `file_list` .*list.txt names. A line"
    )
    return {"file_list": str(file)}, message


def empty_list(root):
    (root / "list.txt").write_text("\n")
    return {"file_list": str(root / "list.txt")}, r"`file_list` .*list.txt' is empty. It needs one name per line"


def no_list(root):
    return {"file_list": str(root / "list.txt")}, r"`file_list` .*list.txt' cannot be read: .*No such file"


def no_folder(root):
    shutil.rmtree(root / "gtFine")
    return {}, r"gtFine.train is neither a folder nor a zip file. Give the folders"


@pytest.mark.parametrize(
    "damage", [remove_mask, wrong_suffix, strange_column, listed_stranger, empty_list, no_list, no_folder]
)
def test_what_does_not_match_is_named(damage, tmp_path: Path):
    write_cityscapes(tmp_path)
    options, message = damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_folders(cityscapes_folders(tmp_path), **{"suffixes": CITYSCAPES, **options})
