"""Tables from a model's classes to labels: built-in ones and files."""

import json

import pytest

from spade_hf.labels.class_tables import TABLES, load_class_table


def test_built_in_tables_have_names():
    assert load_class_table("ade20k") is TABLES["ade20k"] and TABLES["ade20k"].labels["hill"] == "mountain"


def test_a_file(tmp_path):
    file = tmp_path / "table.json"
    file.write_text(json.dumps({"lawn": "grass", "hill": "rock", "never": ["snow"]}))
    table = load_class_table(str(file))
    assert table.labels == {"lawn": "grass", "hill": "rock"} and table.never == {"snow"} and not table.is_general
    file.write_text(json.dumps({"never": "grass"}))  # a class of this name
    assert load_class_table(str(file)).labels == {"never": "grass"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"tree": "tree", "tree": "grass"}', "'tree' occurs 2 times; a class has one label"),
        ('["tree"]', r"table.json is not of the form \{"),
        ('{"tree": 6}', r"table.json is not of the form \{"),
        ('{"never": [6]}', r"table.json is not of the form \{"),
        ("{", "can't be read as JSON"),
    ],
)
def test_bad_files(text, message, tmp_path):
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_class_table(str(tmp_path / "table.json"))


def test_a_missing_file():
    with pytest.raises(ValueError, match="`class_table` is ade, which is no file; built-in tables are ade20k, coco-"):
        load_class_table("ade")
