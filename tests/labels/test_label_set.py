import dataclasses
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from spade_hf.labels.colors import MAX_COLOR_TOLERANCE, voc_colors
from spade_hf.labels.label_set import Label, LabelSet


SHARED = Path(os.environ.get("SPADE_HF_SHARED", Path(__file__).parents[3] / "shared"))
CHANNELS = {
    "ade20k": 151,
    "camvid": 32,
    "cityscapes": 35,
    "cityscapes-trainids": 20,
    "coco-stuff": 183,
    "gaugan": 32,
    "landscapes": 12,
    "voc": 22,
    "carla": 29,
}


@pytest.fixture
def sparse() -> LabelSet:
    """Ids with gaps, the unknown id between them."""
    labels = (Label(9, "tree", (0, 99, 0)), Label(2, "sky", (0, 0, 99)))
    return LabelSet(name="sparse", labels=labels, unknown_id=5)


@pytest.mark.parametrize(("name", "num_channels"), CHANNELS.items())
def test_built_in_sets_have_the_channels_of_the_public_checkpoints(name: str, num_channels: int):
    labels = LabelSet.from_name(name)
    assert labels.num_channels == num_channels
    assert labels.num_labels == num_channels - labels.use_unknown_label


def test_built_in_names_are_those_of_the_files():
    assert LabelSet.built_in_names() == tuple(sorted(CHANNELS))


@pytest.mark.parametrize(
    ("name", "ids", "channels"),
    [
        ("coco-stuff", [0, 181, 255], [0, 181, 182]),  # unknown comes last
        ("ade20k", [0, 1, 150], [0, 1, 150]),  # unknown comes first: raw ids, no shift by one
        ("cityscapes", [0, 33, 34], [0, 33, 34]),
        ("cityscapes-trainids", [0, 18, 255], [0, 18, 19]),
        ("voc", [0, 20, 255], [0, 20, 21]),
        ("camvid", [0, 30, 31], [0, 30, 31]),  # Void comes last but one
        ("gaugan", [94, 156, 181], [0, 22, 31]),
        ("landscapes", [0, 11], [0, 11]),
    ],
)
def test_channels_follow_the_label_conventions(name: str, ids: list[int], channels: list[int]):
    labels = LabelSet.from_name(name)
    result = labels.ids_to_channels(np.array(ids, dtype=np.uint8))
    assert result.dtype == np.int64
    assert result.tolist() == channels
    assert labels.channels_to_ids(result).tolist() == ids


def test_channels_are_the_ids_in_ascending_order(sparse: LabelSet):
    assert sparse.ids == (2, 5, 9)
    assert sparse.names == ("sky", "unknown", "tree")
    assert sparse.ids_to_channels(np.array([[9, 2], [5, 5]], dtype=np.uint16)).tolist() == [[2, 0], [1, 1]]
    assert (sparse.id_of("tree"), sparse.channel_of("tree")) == (9, 2)
    assert sparse.id2label == {2: "sky", 5: "unknown", 9: "tree"}
    assert (sparse.num_labels, sparse.num_channels) == (2, 3)


def test_the_unknown_channel_is_its_ids_place():
    channels = {name: LabelSet.from_name(name).unknown_channel for name in ("ade20k", "camvid", "coco-stuff")}
    assert channels == {"ade20k": 0, "camvid": 30, "coco-stuff": 182}
    assert LabelSet.anonymous(3).unknown_channel is None and LabelSet.anonymous(3, True).unknown_channel == 3


@pytest.mark.parametrize("name", CHANNELS)
def test_every_palette_is_invertible(name: str):
    labels = LabelSet.from_name(name)
    label_map = np.array(labels.ids, dtype=np.uint8)[None].repeat(2, axis=0)  # (2, L)
    colors = labels.colorize(label_map)
    assert colors.dtype == np.uint8 and colors.shape == (*label_map.shape, 3)
    np.testing.assert_array_equal(labels.ids_from_colors(colors), label_map)


def test_shared_official_colors_read_as_the_first_class_and_are_kept():
    labels = LabelSet.from_name("cityscapes")
    official = {label.id: label.color for label in labels.labels}
    assert official[26] == official[34] == (0, 0, 142)  # car and license plate
    assert labels.ids_from_colors(np.array([[official[34]]], dtype=np.uint8)).tolist() == [[26]]
    assert labels.palette[34].tolist() == [32, 0, 142]


def test_colors_of_coco_stuff_are_the_voc_map():
    colors = [color for color, _ in zip(voc_colors(), range(182), strict=False)]
    assert [label.color for label in LabelSet.from_name("coco-stuff").labels[:-1]] == colors


def test_voc_is_drawn_in_its_own_map():
    labels = LabelSet.from_name("voc")
    colors = {label.id: label.color for label in labels.labels}
    assert colors[0] == (0, 0, 0) and colors[255] == (224, 224, 192)  # as the devkit's PNG files hold them
    assert [colors[i] for i in range(1, 21)] == [color for color, _ in zip(voc_colors(), range(20), strict=False)]
    assert labels.unknown_id == labels.id_of("void") == 255


def test_train_ids_are_cityscapes_classes_in_their_colors():
    full, trained = LabelSet.from_name("cityscapes"), LabelSet.from_name("cityscapes-trainids")
    official = {label.name: label.color for label in full.labels}
    assert all(official[label.name] == label.color for label in trained.labels if label.id != 255)
    ids = [full.id_of(name) for name in trained.names[:-1]]
    assert ids == [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]  # the ids that its authors evaluate, in order


def test_gaugans_colors_hold_the_ids_of_coco_stuff():
    coco = {i: name.removesuffix("-other") for i, name in LabelSet.from_name("coco-stuff").id2label.items()}
    for label in LabelSet.from_name("gaugan").labels:
        assert label.id == label.color[0]
        assert coco[label.id] == label.name.removesuffix("-other")


def test_camvid_has_its_authors_classes():
    labels = LabelSet.from_name("camvid")
    assert labels.names[labels.channel_of("Void")] == labels.id2label[labels.unknown_id]
    assert (labels.num_labels, labels.names[0], labels.names[-1]) == (31, "Animal", "Wall")
    assert labels.labels[labels.channel_of("Road")].color == (128, 64, 128)


@pytest.mark.parametrize("name", CHANNELS)
def test_dict_and_file_round_trip(name: str, tmp_path: Path):
    labels = LabelSet.from_name(name)
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(labels.to_dict()))
    again = LabelSet.from_file(path)
    assert again == labels and hash(again) == hash(labels)
    np.testing.assert_array_equal(again.palette, labels.palette)
    assert pickle.loads(pickle.dumps(labels)) == labels  # data loader workers get it so


def test_reads_id2label_with_palette(tmp_path: Path):
    path = tmp_path / "park.json"
    values = {"id2label": {"10": "pond", "2": "lawn", "11": "void"}, "palette": [[0, 9, 0], [0, 0, 9], [0, 0, 0]]}
    path.write_text(json.dumps({**values, "ignore_label": 11}))
    labels = LabelSet.from_file(path)
    assert labels.name == "park"
    assert labels.labels == (Label(2, "lawn", (0, 9, 0)), Label(10, "pond", (0, 0, 9)), Label(11, "void", (0, 0, 0)))
    assert (labels.unknown_id, labels.num_labels) == (11, 2)


@pytest.mark.parametrize("path", ["data/landscapes-256/labels.json", "data/label-sets/landscapes.json"])
def test_landscapes_are_those_of_the_data_set(path: str):
    if not (SHARED / path).exists():
        pytest.skip(f"{SHARED / path} is not there; SPADE_HF_SHARED names the optional data folder")
    official = LabelSet.from_file(SHARED / path)
    assert dataclasses.replace(official, name="landscapes") == LabelSet.from_name("landscapes")


def test_unknown_gets_black_or_the_next_free_color(sparse: LabelSet):
    assert sparse.labels[1] == Label(5, "unknown", (0, 0, 0))
    with_black = LabelSet(name="night", labels=(Label(0, "night", (0, 0, 0)),), unknown_id=255)
    assert with_black.labels[1].color == (128, 0, 0)


@pytest.mark.parametrize(("num_labels", "unknown_id"), [(3, 255), (255, 255), (256, 65535), (300, 65535)])
def test_anonymous_labels(num_labels: int, unknown_id: int):
    labels = LabelSet.anonymous(num_labels, use_unknown_label=True)
    assert labels.ids == (*range(num_labels), unknown_id)
    assert labels.names[1] == "label 1"
    assert labels == LabelSet.anonymous(num_labels, use_unknown_label=True)
    assert LabelSet.anonymous(num_labels).ids == tuple(range(num_labels))


def test_is_immutable(sparse: LabelSet):
    with pytest.raises(dataclasses.FrozenInstanceError, match="name"):
        sparse.name = "other"
    with pytest.raises(ValueError, match="read-only"):
        sparse.palette[0] = 1


def test_unknown_ids_are_listed_with_the_known_ones():
    labels = LabelSet.from_name("coco-stuff")
    label_map = np.array([[0, 200], [201, 255]], dtype=np.uint8)
    with pytest.raises(ValueError, match=r"`mask` has label ids \[200, 201\]; .* 0\.\.181 and 255 \(unknown\)"):
        labels.ids_to_channels(label_map)
    with pytest.raises(ValueError, match=r"label ids \[-1\]"):
        labels.ids_to_channels(np.array([-1]))
    with pytest.raises(ValueError, match=r"label ids \[300, 301, .*309, \.\.\.\] \(20\)"):
        labels.ids_to_channels(np.arange(300, 320))


def test_ids_in_a_gap_are_unknown_ids(sparse: LabelSet):
    with pytest.raises(ValueError, match=r"label ids \[3\]; this label set knows ids 2, 9 and 5 \(unknown\)"):
        sparse.ids_to_channels(np.array([2, 3]))


def test_float_ids_are_an_error(sparse: LabelSet):
    with pytest.raises(ValueError, match="has dtype float64; label ids are integers"):
        sparse.ids_to_channels(np.array([2.0]))


def test_channels_out_of_range_are_an_error(sparse: LabelSet):
    with pytest.raises(ValueError, match=r"values 0\.\.3; allowed are 0\.\.2"):
        sparse.channels_to_ids(np.array([0, 3]))


def test_off_palette_colors_are_listed_most_frequent_first(sparse: LabelSet):
    image = np.zeros((3, 3, 3), dtype=np.uint8)
    image[0, 0] = 1, 2, 3
    image[1] = 200, 0, 0
    expected = (
        r"has 2 colors off the palette .*'sparse': \(200, 0, 0\) on 3 pixels, \(1, 2, 3\) on 1 pixel\. .*tolerance"
    )
    with pytest.raises(ValueError, match=expected):
        sparse.ids_from_colors(image)


def test_tolerance_takes_the_nearest_color_up_to_a_distance(sparse: LabelSet):
    image = np.array([[[3, 0, 103], [0, 96, 4]]], dtype=np.uint8)  # 5 from sky, 5 from tree
    assert sparse.ids_from_colors(image, color_tolerance=5).tolist() == [[2, 9]]
    with pytest.raises(ValueError, match=r"2 colors farther than `color_tolerance=4` .* pass `color_tolerance=5` to"):
        sparse.ids_from_colors(image, color_tolerance=4)
    image[0, 0] = 3, 1, 104  # a distance of 5.1 is rounded up
    with pytest.raises(ValueError, match=r"2 colors off the palette .* or pass `color_tolerance=6` to"):
        sparse.ids_from_colors(image)
    assert sparse.ids_from_colors(image, color_tolerance=6).tolist() == [[2, 9]]


def test_the_largest_tolerance_takes_every_color():
    black = LabelSet("black", (Label(0, "night", (0, 0, 0)),))
    white = np.full((1, 1, 3), 255, dtype=np.uint8)
    assert black.ids_from_colors(white, color_tolerance=MAX_COLOR_TOLERANCE).tolist() == [[0]]
    with pytest.raises(ValueError, match=f"pass `color_tolerance={MAX_COLOR_TOLERANCE}`"):
        black.ids_from_colors(white)


@pytest.mark.parametrize("tolerance", [-1, float("nan")])
def test_tolerance_must_be_a_distance(sparse: LabelSet, tolerance: float):
    with pytest.raises(ValueError, match="`color_tolerance` is .* 0 or more"):
        sparse.ids_from_colors(np.zeros((1, 1, 3), dtype=np.uint8), color_tolerance=tolerance)


def test_colors_must_be_uint8_rgb(sparse: LabelSet):
    with pytest.raises(ValueError, match=r"is float64 \(1, 1, 3\); a map in colors is uint8"):
        sparse.ids_from_colors(np.zeros((1, 1, 3)))


def test_unknown_names_list_the_known_ones(sparse: LabelSet):
    with pytest.raises(ValueError, match="are ade20k, camvid, carla, cityscapes, .*, landscapes, voc"):
        LabelSet.from_name("pascal")
    with pytest.raises(ValueError, match="`name` is 'dog'; label set 'sparse' has sky, unknown, tree"):
        sparse.channel_of("dog")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "has no class"),
        ((Label(1, "a", (0, 0, 0)), Label(1, "b", (1, 1, 1))), "uses the id 1 2 times; make each one unique"),
        ((Label(1, "a", (0, 0, 0)), Label(2, "a", (1, 1, 1))), "uses the name 'a' 2 times"),
        (
            (Label(1, "a", (1, 1, 1)), Label(2, "b", (1, 1, 1))),
            r"uses the color .* 2 times; make them differ, or give `distinct_colors`",
        ),
        ((Label(70000, "a", (0, 0, 0)),), r"has ids \[70000\]; allowed are 0\.\.65535"),
        ((Label(0, "a", (0, 0, 256)),), r"has the color \[0, 0, 256\]; a color is three integers"),
        ((Label(0, "a", 7),), r"has the color \[7\]; a color is three integers"),
        ((Label(1.5, "a", (0, 0, 0)),), r"has the id 1\.5; an id is an integer in 0\.\.65535"),
        ((Label(True, "a", (0, 0, 0)),), "has the id True; an id is an integer"),
        ((Label(0, None, (0, 0, 0)), Label(0, "a", (1, 1, 1))), "has the name None; names are texts"),
    ],
)
def test_bad_labels_are_an_error(labels: tuple[Label, ...], message: str):
    with pytest.raises(ValueError, match=message):
        LabelSet(name="bad", labels=labels)


def test_replacement_color_of_a_stranger_is_an_error():
    with pytest.raises(ValueError, match=r"`distinct_colors` has ids \[7\]"):
        LabelSet(name="bad", labels=(Label(0, "a", (0, 0, 0)),), distinct_colors={7: (1, 1, 1)})


@pytest.mark.parametrize("num_labels", [0, 65536])
def test_anonymous_counts_are_checked(num_labels: int):
    with pytest.raises(ValueError, match=rf"`num_labels` is {num_labels}; allowed are 1\.\.65535"):
        LabelSet.anonymous(num_labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as a label set"),
        ("[1]", "cannot be read as a label set"),
        ('{"classes": []}', "is not in a known form"),
        ("[" * 100_000, "cannot be read as a label set"),
        ('{"name": 5, "labels": [{"id": 0, "name": "a", "color": [0, 0, 0]}]}', "has the name 5; names are texts"),
        ('{"ignore_index": "x", "labels": [{"id": 0, "name": "a", "color": [0, 0, 0]}]}', "has the id 'x'; an id is"),
        ('{"id2label": {"0": "a"}, "palette": []}', "`palette` has 0 colors for 1 names"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, message: str):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"broken\.json.*{message}"):
        LabelSet.from_file(path)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match="nowhere.json.*cannot be read"):
        LabelSet.from_file("nowhere.json")


def test_numpys_integers_are_colors():
    labels = LabelSet(
        name="numpy", labels=tuple((i, f"{i}", color) for i, color in enumerate(np.eye(3, dtype=np.uint8)))
    )
    assert labels.labels[1].color == (0, 1, 0)
    assert LabelSet.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


def test_classes_are_the_channels_but_the_unknown_one():
    first = LabelSet("first", (Label(0, "unknown", (0, 0, 0)), *two_labels(1)), unknown_id=0)
    assert first.class_channels.tolist() == [1, 2] and first.channel_classes.tolist() == [2, 0, 1]
    without = LabelSet("two", two_labels(0))
    assert without.class_channels.tolist() == [0, 1] and without.channel_classes.tolist() == [0, 1]


def test_a_set_gets_an_unknown_label():
    without = LabelSet("two", two_labels(0))
    with_unknown = without.with_unknown()
    assert with_unknown.unknown_id == 255 and with_unknown.num_labels == 2 and without.unknown_id is None
    assert with_unknown.channel_classes.tolist() == [0, 1, 2]
    assert with_unknown.with_unknown() is with_unknown
    with pytest.raises(ValueError, match="255, which would stand for it, is the id of 'two'"):
        LabelSet("taken", (Label(1, "one", (1, 1, 1)), Label(255, "two", (2, 2, 2)))).with_unknown()


def two_labels(first_id):
    return Label(first_id, "one", (1, 1, 1)), Label(first_id + 1, "two", (2, 2, 2))
