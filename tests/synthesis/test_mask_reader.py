"""Masks of a data set, read without its images."""

import numpy as np

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.data import load_panoptic
from spade_hf.synthesis import MaskReader

from ..dataset_layouts import write_panoptic


def test_masks_are_read_in_the_format_of_their_rows(tmp_path):
    drawn = write_panoptic(tmp_path)
    annotations, masks = tmp_path / "annotations" / "panoptic_val2017.json", tmp_path / "annotations/panoptic_val2017"
    rows = load_panoptic(str(annotations), {"image": str(tmp_path / "val2017"), "label": str(masks)})
    processor = SPADEImageProcessor(label_set=LabelSet.from_file(annotations))
    reader = MaskReader(rows, mask_column="label", instance_column=None, processor=processor)
    assert len(reader) == len(drawn)
    for index, ids in enumerate(drawn.values()):  # both in the order of the annotations
        np.testing.assert_array_equal(reader.read(index).ids, ids)
