"""A format of masks is a row of `FORMATS`: whoever reads or fingerprints masks asks it."""

import datasets
import numpy as np
import PIL.Image
import pytest

from spade_hf import SPADEImageProcessor
from spade_hf.data import PairedTransform, PairReader, fingerprint, rows
from spade_hf.data.formats.mask_format import MaskFormat

from ...training_data import LABELS, real_image


def shift(offset, image, label_set):
    if offset < 0:
        raise ValueError("a negative offset")
    return PIL.Image.fromarray((np.array(image()) + offset) % 2)  # sky and grass


@pytest.fixture(autouse=True)
def offsets(monkeypatch):
    added = MaskFormat("offset", shift, lambda offset: repr(offset).encode())
    for module in (rows, fingerprint):
        monkeypatch.setattr(module, "FORMATS", (*module.FORMATS, added))


def read(data):
    processor, transform = SPADEImageProcessor(label_set=LABELS), PairedTransform(resolution=(16, 16))
    reader = PairReader(
        image_column="image", mask_column="label", instance_column=None, processor=processor, transform=transform
    )
    prepared = reader.prepare(data)
    content = fingerprint.fingerprint(prepared, ("image", "label"), label_set=LABELS)["content"]
    return [reader.read(row, f"Row {index}")[1] for index, row in enumerate(prepared)], content


def with_offset(offset):
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.Image(), "offset": datasets.Value("int64")}
    )
    mask = PIL.Image.fromarray(np.zeros((32, 32), np.uint8))
    values = {"image": [real_image(0, (32, 32))], "label": [mask], "offset": [offset]}
    return datasets.Dataset.from_dict(values, features=features)


def test_readers_and_fingerprints_ask_it():
    (plain,), content = read(with_offset(None))
    (shifted,), other = read(with_offset(1))
    assert plain.unique().tolist() == [0] and shifted.unique().tolist() == [1]
    assert content != other


def test_its_errors_name_the_row():
    with pytest.raises(ValueError, match="Row 0: a negative offset"):
        read(with_offset(-1))
