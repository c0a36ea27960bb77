import json
import time

import numpy as np
import pytest

from spade_hf.labels.label_set import Label, LabelSet


EXPECTED = (Label(0, "Lane marking", (128, 64, 128)), Label(1, "sky", (1, 2, 3)), Label(2, "Void", (0, 0, 0)))
TABLES = {
    "label_colors.txt": "128 64 128\t\tLane marking\n1 2 3\t\tsky\n0 0 0\t\tVoid\n",  # CamVid's
    "class_dict.csv": "name,r,g,b\nLane marking,128,64,128\nsky,1,2,3\nVoid,0,0,0",
    "spaces.csv": "name, r, g, b\r\nLane marking, 128, 64, 128\r\nsky, 1, 2, 3\r\nVoid, 0, 0, 0\r\n",
    "excel.csv": "\ufeffname;r;g;b\nLane marking;128;64;128\nsky;1;2;3\nVoid;0;0;0",
    "labelmap.txt": "# label:color_rgb:parts:actions\nLane marking:128,64,128::\nsky:1,2,3::\nVoid:0,0,0::",  # CVAT
    "plain.TXT": "\nLane marking 128 64 128\n\nsky 1 2 3\nVoid 0 0 0\n",
    "ids.csv": "id,name,red,green,blue\n1,sky,1,2,3\n0,Lane marking,128,64,128\n2,Void,0,0,0",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_colors(name, tmp_path):
    file = tmp_path / name
    file.write_text(TABLES[name], encoding="utf-8")
    labels = LabelSet.from_file(file)
    assert labels.labels == EXPECTED and labels.unknown_id == 2 and labels.num_labels == 2
    assert labels.name == file.stem


def test_masks_are_read_by_the_table(tmp_path):
    file = tmp_path / "colors.csv"
    file.write_text("sky,1,2,3\nroad,9,9,9", encoding="utf-8")
    labels = LabelSet.from_file(file)
    assert not labels.use_unknown_label
    assert labels.ids_from_colors(np.array([[9, 9, 9], [1, 2, 3]], dtype=np.uint8)).tolist() == [1, 0]


def test_ids_without_colors_get_those_of_voc(tmp_path):
    file = tmp_path / "_classes.csv"  # Roboflow's
    file.write_text("Pixel Value, Class\n0, background\n2, traffic light\n1, void\n", encoding="utf-8")
    labels = LabelSet.from_file(file)
    colors = ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert labels.labels == tuple(map(Label, range(3), ("background", "void", "traffic light"), colors))
    assert labels.unknown_id == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky,1,2,3\nroad,9,9", "line 2 is 'road,9,9'; a line is a name and a color, `road,128,64,128`, "),
        ("sky,70 130\n", "line 1 is 'sky,70 130'; a line is"),
        ("sky,#4682b4\nroad,#4682b", "line 2 is 'road,#4682b'; a line is"),
        ("sky 1 2 3\nroad 9 9", "line 2 is 'road 9 9'; a line is"),
        ("sky\nroad\n3 tree", "line 2 is 'road'; a line is"),
        ("0,sky\n\0,road", "line 2 is .*; a line is"),
        ("1 2 3 4", "line 1 is '1 2 3 4'; a line is"),
        ("1,sky,1,2,3\nroad,9,9,9", "line 2 has no id before its name, but other lines have one"),
        ("0,sky,1,2,3\n1,road", "line 2 has no color, but other lines have one"),
        ("sky,1,2,300", r"the color \[1, 2, 300\]; a color is three integers in 0..255"),
        ("sky,1,2,3\nroad,1,2,3", r"the color \(1, 2, 3\) 2 times; make them differ"),
        ("", "has no class"),
    ],
)
def test_what_is_no_table_is_named_by_file_and_line(text, message, tmp_path):
    file = tmp_path / "colors.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"colors.csv' cannot be read as a label set: .*{message}"):
        LabelSet.from_file(file)


def test_a_large_id_without_a_color_takes_no_time(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("999999999, road\n1, sky")
    with pytest.raises(ValueError, match=r"has ids \[999999999\]; allowed are 0\.\.65535"):
        LabelSet.from_file(path)


COLORS = ((90, 150, 220), (40, 140, 60), (120, 120, 120))
VOC = ((0, 0, 0), (128, 0, 0), (0, 128, 0))
DRAWN = [{"name": name, "color": color} for name, color in zip(("sky", "grass", "road"), COLORS, strict=True)]
FORMS = {
    "class_names.txt": ("sky\ngrass\nroad\n", VOC),  # one name per line, as Label Studio, labelme and others
    "header.txt": ("label\nsky\ngrass\nroad\n", VOC),
    "ids.txt": ("0  sky\n1  grass\n2  road\n", VOC),  # COCO-Stuff's
    "colon.txt": ("0: sky\n1: grass\n2: road\n", VOC),  # PASCAL Context's
    "tab.txt": ("0\tsky\n1\tgrass\n2\troad\n", VOC),
    "quoted.csv": ('"name","r","g","b"\n"sky",90,150,220\n"grass",40,140,60\n"road",120,120,120\n', COLORS),  # R's
    "hex.csv": ("sky,#5a96dc\ngrass,#288c3c\nroad,#787878\n", COLORS),
    "hex_header.csv": ("id,name,hex\n0,sky,#5a96dc\n1,grass,#288C3C\n2,road,#787878\n", COLORS),
    "hex_first.txt": ("# colors\n#5a96dc sky\n#288c3c grass\n#787878 road\n", COLORS),
    "comments.txt": (
        "# label:color_rgb:parts:actions\nsky:90,150,220::\ngrass:40,140,60:: #green\nroad:120,120,120::",
        COLORS,
    ),
    "bom.txt": ("\ufeffsky 90 150 220\ngrass 40 140 60\nroad 120 120 120", COLORS),
    "bom.json": ("\ufeff" + '{"id2label": {"0": "sky", "1": "grass", "2": "road"}}', VOC),
    "id2label.json": ('{"0": "sky", "1": "grass", "2": "road"}', VOC),
    "name2id.json": ('{"sky": 0, "grass": 1, "road": 2}', VOC),
    "monai.json": ('{"label_dict": {"0": "sky", "1": "grass", "2": "road"}}', VOC),
    "list.json": ('["sky", "grass", "road"]', VOC),
    "notes.json": (
        json.dumps({"categories": [{"id": i, **row} for i, row in enumerate(DRAWN)]}),
        COLORS,
    ),  # Label Studio's
    "dataset_meta.json": (
        json.dumps({"label_map": {"0": "sky", "1": "grass", "2": "road"}, "segmentation_colors": COLORS}),
        COLORS,
    ),  # datumaro's
    "config.json": (json.dumps({"labels": DRAWN}), COLORS),  # Mapillary's
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_other_programs(name, tmp_path):
    text, colors = FORMS[name]
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    labels = LabelSet.from_file(file)
    classes = [label for label in labels.labels if label.id != labels.unknown_id]
    assert classes == [Label(*row) for row in zip(range(3), ("sky", "grass", "road"), colors, strict=True)]
    assert labels.unknown_id == (255 if name == "notes.json" else None)  # COCO's pixels without segment


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0, sky\n1, 2-wheeler\n2, 3\n", ("sky", "2-wheeler", "3")),  # Roboflow's names
        ("building;edifice,120,120,180\ngrass;field,1,2,3", ("building;edifice", "grass;field")),
        ('"grass, dry",1,2,3\n"sky",4,5,6', ("grass, dry", "sky")),
        ("sky:blue,1,2,3\nroad,4,5,6", ("sky:blue", "road")),
        ("area 51\n2-wheeler", ("area 51", "2-wheeler")),
        ("snow,#ffffff\nsand,#ffd700", ("snow", "sand")),  # the first line has no digit, and is no header
        ("void\nsky", ("void", "sky")),
    ],
)
def test_names_of_every_kind(text, names, tmp_path):
    (tmp_path / "labels.csv").write_text(text)
    labels = LabelSet.from_file(tmp_path / "labels.csv")
    assert labels.names == names
    assert labels.unknown_id == (0 if "void" in names else None)


def test_labelmes_first_line_has_the_id_255(tmp_path):
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\n")
    labels = LabelSet.from_file(tmp_path / "labels.txt")
    assert labels.id2label == {0: "_background_", 1: "cat", 255: "unknown"}


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "1" * 200_000, "a" + " " * 200_000 + "b", "1 " * 100_000, '"' * 200_000]
)
def test_long_lines_take_no_time(text, tmp_path):
    (tmp_path / "labels.txt").write_text(f"0 sky\n{text}")
    start = time.process_time()
    with pytest.raises(ValueError, match="cannot be read as a label set"):
        LabelSet.from_file(tmp_path / "labels.txt")
    assert time.process_time() - start < 5


def test_keys_of_the_unknown_id(tmp_path):
    values = {"ignore_index": None, "ignore_label": 255, "labels": [{"id": 0, "name": "sky", "color": (1, 2, 3)}]}
    assert LabelSet.from_dict(values).unknown_id == 255
    assert LabelSet.from_dict({**values, "ignore_index": 7}).unknown_id == 7


def test_categories_with_all_the_usual_unknown_ids():
    rows = [{"id": i, "name": f"class {i}"} for i in (0, 255, 65535)]
    assert LabelSet.from_dict({"categories": rows}).unknown_id == 65534


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sky": 0, "road": 0}, "two names have the same id"),
        ({"sky": 0, "road": "x"}, "is not in a known form"),
        ({"sky": True}, "is not in a known form"),
        ({"-1": "sky"}, "is not in a known form"),
        ({"sky": -1}, r"has ids \[-1\]"),
        ({"labels": [{"name": "sky"}, {"name": "road", "color": [1, 2, 3]}]}, "is not in a known form"),
        ({"label_map": {"0": "sky"}, "segmentation_colors": []}, "`segmentation_colors` has 0 colors for 1 names"),
    ],
)
def test_what_is_no_form(values, message):
    with pytest.raises(ValueError, match=message):
        LabelSet.from_dict(values)
