"""Pairs that are held out of training."""

import unicodedata

import pytest

from spade_hf.data import load_folders
from spade_hf.training import check_apart, hold_out, write_names
from spade_hf.training.validation import NAMES_FILE

from ..dataset_layouts import save
from ..training_data import real_image


def rows_of(root, names):
    for name in names:
        save(root / f"{name}.png", real_image(0, (4, 4)))
    return load_folders({"image": str(root)})


def test_a_pair_stays_on_its_side_when_others_come(tmp_path):
    few = hold_out(rows_of(tmp_path, [f"photo {number}" for number in range(0, 200, 2)]), 0.2)
    many = hold_out(rows_of(tmp_path, [f"photo {number}" for number in range(200)]), 0.2)
    for before, after in zip(few, many, strict=True):
        assert set(before["file_name"]) < set(after["file_name"])
    assert not set(many[0]["file_name"]) & set(many[1]["file_name"])
    assert len(many[0]) + len(many[1]) == 200 and 20 <= len(many[1]) <= 60
    assert set(hold_out(rows_of(tmp_path, []), 0.1)[1]["file_name"]) < set(many[1]["file_name"])


def test_the_disks_form_of_a_letter_does_not_matter(tmp_path):
    sides = []
    for form in ("NFC", "NFD"):
        names = [unicodedata.normalize(form, f"forêt {number}") for number in range(30)]
        held_out = hold_out(rows_of(tmp_path / form, names), 0.5)[1]["file_name"]
        sides.append([unicodedata.normalize("NFC", name) for name in held_out])
    assert sides[0] == sides[1]


@pytest.mark.parametrize(("share", "verb"), [(1e-9, "holds out"), (1 - 1e-9, "trains on")])
def test_a_part_without_pairs(share, verb, tmp_path):
    with pytest.raises(ValueError, match=rf"`validation_share` .* of 3 pairs {verb} none, .* `validation_image_f"):
        hold_out(rows_of(tmp_path, "abc"), share)


def test_what_is_trained_on_is_not_held_out(tmp_path):
    rows, others = rows_of(tmp_path / "photos", "abc"), rows_of(tmp_path / "others", "abc")
    check_apart(rows, others, "image")  # equal names of other files
    (tmp_path / "link").symlink_to(tmp_path / "photos", target_is_directory=True)
    with pytest.raises(ValueError, match=r"3 of the 3 pairs held out are trained on, such as .*a.png. Give `valid"):
        check_apart(rows, load_folders({"image": str(tmp_path / "link")}), "image")


def test_the_names_are_listed(tmp_path):
    write_names(rows_of(tmp_path / "photos", "ba"), tmp_path / "run")
    assert (tmp_path / "run" / NAMES_FILE).read_text() == "a.png\nb.png\n"
