"""Masks of a data set, read without its images."""

import datasets
import numpy as np
import pytest

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.data import load_panoptic
from spade_hf.synthesis import MaskReader

from ..dataset_layouts import write_panoptic
from ..training_data import LABELS, make_rows


def test_masks_are_read_in_the_format_of_their_rows(tmp_path):
    drawn = write_panoptic(tmp_path)
    annotations, masks = tmp_path / "annotations" / "panoptic_val2017.json", tmp_path / "annotations/panoptic_val2017"
    rows = load_panoptic(str(annotations), {"image": str(tmp_path / "val2017"), "label": str(masks)})
    processor = SPADEImageProcessor(label_set=LabelSet.from_file(annotations))
    reader = MaskReader(rows, mask_column="label", instance_column=None, processor=processor)
    assert len(reader) == len(drawn)
    for index, ids in enumerate(drawn.values()):  # both in the order of the annotations
        np.testing.assert_array_equal(reader.read(index).ids, ids)


def test_conditions_of_arrays_are_read_in_their_units():
    planes = np.random.default_rng(0).uniform(0, 80, (2, 20, 24, 2)).astype(np.float32)
    planes[1, 3, 4, 0] = np.nan
    column = datasets.Dataset.from_dict(
        {"planes": planes.tolist()}, features=datasets.Features({"planes": datasets.Array3D((20, 24, 2), "float32")})
    )
    rows = datasets.concatenate_datasets([make_rows(count=2), column], axis=1)
    processor = SPADEImageProcessor(label_set=LABELS, condition_channels=2, condition_range=(0, 80))
    columns = {"mask_column": "label", "instance_column": None, "condition_column": "planes"}
    reader = MaskReader(rows, processor=processor, **columns)
    np.testing.assert_allclose(reader.read(0).condition, planes[0].transpose(2, 0, 1), atol=1e-5)
    with pytest.raises(ValueError, match=r"Row 1 of the data set \(1.jpg\): `condition` has 1 values that are NaN"):
        reader.read(1)
