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
def test_tables_of_colours(name, tmp_path):
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


def test_ids_without_colours_get_those_of_voc(tmp_path):
    file = tmp_path / "_classes.csv"  # Roboflow's
    file.write_text("Pixel Value, Class\n0, background\n2, traffic light\n1, void\n", encoding="utf-8")
    labels = LabelSet.from_file(file)
    colors = ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert labels.labels == tuple(map(Label, range(3), ("background", "void", "traffic light"), colors))
    assert labels.unknown_id == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky,1,2,3\nroad,9,9", "line 2 is 'road,9,9'; a line is a name and a colour, `road,128,64,128` or"),
        ("sky,70 130\n", "line 1 is 'sky,70 130'; a line is"),
        ("name,hex\nsky,#4682b4", "line 2 is 'sky,#4682b4'; a line is"),
        ("sky:blue,1,2,3", "line 1 is 'sky:blue,1,2,3'; a line is"),
        ("1 2 3 4", "line 1 is '1 2 3 4'; a line is"),
        ("1,sky,1,2,3\nroad,9,9,9", "line 2 has no id before its name, but other lines have one"),
        ("0,sky,1,2,3\n1,road", "line 2 has no colour, but other lines have one"),
        ("sky,1,2,300", r"the colour \[1, 2, 300\]; a colour is three integers in 0..255"),
        ("sky,1,2,3\nroad,1,2,3", r"the colour \(1, 2, 3\) 2 times; make them differ"),
        ("", "has no class"),
    ],
)
def test_what_is_no_table_is_named_by_file_and_line(text, message, tmp_path):
    file = tmp_path / "colors.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"colors.csv' cannot be read as a label set: .*{message}"):
        LabelSet.from_file(file)


def test_a_large_id_without_a_colour_takes_no_time(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("999999999, road\n1, sky")
    with pytest.raises(ValueError, match=r"has ids \[999999999\]; allowed are 0\.\.65535"):
        LabelSet.from_file(path)
