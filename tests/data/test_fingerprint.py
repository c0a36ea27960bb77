import json
import zipfile
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest

from spade_hf.data import load_folders
from spade_hf.data.fingerprint import fingerprint, first_difference
from spade_hf.labels import LabelSet

from ..dataset_layouts import save
from ..training_data import LABELS, make_rows, real_image, write_imagefolder


COLUMNS = ("image", "label", None)


def undecoded(rows):
    for column in ("image", "label"):
        rows = rows.cast_column(column, datasets.Image(decode=False))
    return rows


def of(rows, **options):
    return fingerprint(undecoded(rows), COLUMNS, **{"label_set": LABELS, **options})


def test_the_same_content_is_the_same_data_wherever_it_is_stored(tmp_path):
    one = of(make_rows(6))
    make_rows(6).save_to_disk(str(tmp_path / "saved"))
    assert first_difference(json.loads(json.dumps(one)), of(datasets.load_from_disk(str(tmp_path / "saved")))) is None
    folders = [write_imagefolder(tmp_path / name / "pairs", count=4) for name in ("street", "village")]
    first, second = (of(datasets.load_dataset(str(folder), split="train")) for folder in folders)
    assert first["num_rows"] == 4 and first == second


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": make_rows(5)}, "the number of rows was 6 and is 5"),
        ({"rows": make_rows(6).select([1, 0, 2, 3, 4, 5])}, "in another order"),
        ({"color_tolerance": 20.0}, "`color_tolerance` was None and is 20.0"),
    ],
)
def test_a_difference_is_named(change, words):
    rows = change.pop("rows", make_rows(6))
    assert words in first_difference(of(make_rows(6)), of(rows, **change))


def test_a_corrected_table_of_labels_is_another_one():
    first, second, *others = LABELS.labels
    swapped = (first._replace(color=second.color), second._replace(color=first.color), *others)
    words = first_difference(of(make_rows(2)), of(make_rows(2), label_set=replace(LABELS, labels=swapped)))
    assert words is not None and words.startswith(f"the label {LABELS.ids[0]} = {LABELS.names[0]!r} in color")


def test_rows_that_are_not_hashed_still_count():
    assert of(make_rows(6), max_rows=2)["num_rows"] == 6
    assert of(make_rows(6), max_rows=2)["content"] == of(make_rows(6).select([0, 3]))["content"]
    stream = of(make_rows(6).to_iterable_dataset(), max_rows=2)
    assert stream["num_rows"] is None and stream["content"] == of(make_rows(6).select([0, 1]))["content"]


def test_what_an_older_fingerprint_lacks_is_not_compared():
    assert first_difference({}, of(make_rows(2))) is None


def test_files_that_cannot_be_read_are_left_to_whoever_reads_the_rows(tmp_path: Path):
    white = np.full((8, 8), 255, np.uint8)
    for name in ("1", "2"):
        save(tmp_path / "photos" / f"{name}.png", real_image(int(name), (8, 8)))
        save(tmp_path / "masks" / f"{name}-sky.png", white)
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for path in sorted((tmp_path / "photos").iterdir()):
            content.write(path, path.name)
    labels = LabelSet.from_dict({"labels": ["ground", "sky"]})
    rows = load_folders({"image": str(archive), "label": str(tmp_path / "masks")}, class_masks=labels)
    whole = of(rows, label_set=labels)
    (tmp_path / "masks" / "1-sky.png").unlink()
    without_mask = of(rows, label_set=labels)
    archive.write_bytes(archive.read_bytes().replace(b"IDAT", b"IDAX", 1))  # its checksum is now wrong
    contents = [one["content"] for one in (whole, without_mask, of(rows, label_set=labels))]
    assert len(set(contents)) == 3
