"""COCO's panoptic format."""

import json

import numpy as np
import PIL.Image
import pytest

from spade_hf import LabelSet
from spade_hf.data import load_panoptic
from spade_hf.labels.colors import voc_colors

from ...dataset_layouts import SIZE, save, write_panoptic
from .test_folders import assert_ids, read


def folders(root):
    masks = str(root / "annotations" / "panoptic_val2017")
    return {"image": str(root / "val2017"), "label": masks, "instance": masks}


def annotations(root):
    return root / "annotations" / "panoptic_val2017.json"


def change(root, edit):
    values = json.loads(annotations(root).read_text())
    edit(values)
    annotations(root).write_text(json.dumps(values))


def test_segments_become_categories_and_instances(tmp_path):
    drawn = write_panoptic(tmp_path)
    label_set = LabelSet.from_file(annotations(tmp_path))
    found, edges = read(load_panoptic(str(annotations(tmp_path)), folders(tmp_path)), label_set)
    assert_ids(found, drawn, ".jpg")
    middle = SIZE[1] // 2
    for name, ids in found.items():  # two persons touch in the middle, and no other class has two segments
        inner = ids[1:-1, 0] == ids[2:, 0]
        inner &= ids[1:-1, 0] == ids[:-2, 0]
        np.testing.assert_array_equal(edges[name][1:-1, middle].numpy()[inner], (ids[1:-1, 0] == 1)[inner])


def test_the_jsons_categories_are_a_label_set(tmp_path):
    write_panoptic(tmp_path)
    labels = LabelSet.from_file(annotations(tmp_path))
    assert labels.name == "panoptic_val2017" and labels.unknown_id == 0
    assert labels.id2label == {0: "unknown", 1: "person", 3: "car", 200: "rug-merged"}
    colors = [color for color, _ in zip(voc_colors(), range(3), strict=False)]
    assert [label.color for label in labels.labels] == [(0, 0, 0), *colors]


@pytest.mark.parametrize(("ids", "unknown"), [((1, 2), 0), ((0, 2), 255), ((0, 255), 65535)])
def test_unknown_is_an_id_that_is_free(ids, unknown):
    labels = LabelSet.from_dict({"categories": [{"id": i, "name": f"class {i}"} for i in ids]})
    assert labels.unknown_id == unknown


def test_colors_of_the_categories_are_kept_and_told_apart():
    colors = {1: [128, 0, 0], 2: [128, 0, 0], 3: [9, 9, 9]}
    categories = [{"id": i, "name": f"class {i}", "color": color} for i, color in colors.items()]
    labels = LabelSet.from_dict({"categories": [*categories, {"id": 4, "name": "class 4"}]})
    assert [label.color for label in labels.labels[1:4]] == [(128, 0, 0), (128, 0, 0), (9, 9, 9)]
    assert len({tuple(color) for color in labels.palette.tolist()}) == 5


def no_json(root):
    annotations(root).write_text("{")
    return r"`panoptic_json` .*panoptic_val2017.json' cannot be read \(JSONDecodeError"


def detection_json(root):
    change(root, lambda values: [row.pop("segments_info") for row in values["annotations"]])
    return r"cannot be read \(KeyError\('segments_info'\)\). It needs `categories`, `images`"


def no_annotations(root):
    change(root, lambda values: values["annotations"].clear())
    return r"has no annotations"


def no_image(root):
    (root / "val2017" / "000000000285.jpg").unlink()
    return r"000000000285.jpg, which .*json names, is missing, and 0 more files of the column `image`. Give the folder"


def number_for_a_name(root):
    change(root, lambda values: values["images"][0].update(file_name=139))
    return r"cannot be read \(TypeError"


def image_elsewhere(root):
    save(root / "mine.png", PIL.Image.new("RGB", SIZE[::-1]))
    change(root, lambda values: values["images"][0].update(file_name=str(root / "mine.png")))
    return r"names the file '.*mine.png', which is not in .*val2017. Only files of that folder are opened"


def mask_above(root):
    save(root / "mine.png", PIL.Image.new("RGB", SIZE[::-1]))
    change(root, lambda values: values["annotations"][0].update(file_name="../../mine.png"))
    return r"names the file '.*mine.png', which is not in .*panoptic_val2017. Only files of that folder are opened"


@pytest.mark.parametrize(
    "damage",
    [no_json, detection_json, no_annotations, no_image, number_for_a_name, image_elsewhere, mask_above],
)
def test_what_cannot_be_loaded_is_named(damage, tmp_path):
    write_panoptic(tmp_path)
    message = damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_panoptic(str(annotations(tmp_path)), folders(tmp_path))


def unlisted_segment(root):
    change(root, lambda values: values["annotations"][0]["segments_info"].pop(0))
    return r"Row 0 .*000000000139.jpg.*: the mask has the segment ids \[7\], which the JSON's `segments_info`"


def gray_mask(root):
    mask = root / "annotations" / "panoptic_val2017" / "000000000139.png"
    save(mask, PIL.Image.open(mask).convert("L"))
    return r"Row 0 .*the mask has the PIL mode 'L'; panoptic masks are RGB"


@pytest.mark.parametrize("damage", [unlisted_segment, gray_mask])
def test_a_broken_row_is_named(damage, tmp_path):
    write_panoptic(tmp_path)
    message = damage(tmp_path)
    rows = load_panoptic(str(annotations(tmp_path)), folders(tmp_path))
    with pytest.raises(ValueError, match=message):
        read(rows, LabelSet.from_file(annotations(tmp_path)))


def test_pixels_of_no_segment_need_an_unknown_label(tmp_path):
    write_panoptic(tmp_path)
    rows = load_panoptic(str(annotations(tmp_path)), folders(tmp_path))
    with pytest.raises(ValueError, match=r"segment ids \[0\], .* has no unknown label for pixels without a segment"):
        read(rows, LabelSet.anonymous(201))


def write_conditions(root, end=".png"):
    """Write a condition for each image, whose value tells its place in the order of names."""
    for number, name in enumerate(sorted(path.stem for path in (root / "val2017").iterdir())):
        save(root / "depth" / f"{name}{end}", PIL.Image.new("L", SIZE[::-1], number + 1))
    return {**folders(root), "condition": str(root / "depth")}


@pytest.mark.parametrize(("end", "suffix"), [(".png", None), ("_depth.png", "_depth.png")])
def test_conditions_have_the_names_of_the_images(end, suffix, tmp_path):
    write_panoptic(tmp_path)
    rows = load_panoptic(str(annotations(tmp_path)), write_conditions(tmp_path, end), condition_suffix=suffix)
    order = sorted(rows["file_name"])
    for row in rows:
        assert np.unique(np.array(row["condition"])).tolist() == [order.index(row["file_name"]) + 1]


def test_an_image_without_condition_is_named(tmp_path):
    write_panoptic(tmp_path)
    given = write_conditions(tmp_path)
    (tmp_path / "depth" / "000000000285.png").unlink()
    with pytest.raises(ValueError, match=r"depth has no file for the image 000000000285.jpg, and none for 0 more"):
        load_panoptic(str(annotations(tmp_path)), given)
