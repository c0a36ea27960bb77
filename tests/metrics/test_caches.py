"""The data that a segmenter was trained on is named by the files' content, wherever they are."""

import json

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_folders, load_panoptic
from spade_hf.metrics import segmenter_settings

from ..dataset_layouts import SIZE, write_cvat, write_panoptic
from .test_segmentation import ColorNetwork


def name_of(rows):
    processor = SPADEImageProcessor(label_set=LabelSet.anonymous(201))
    transform = PairedTransform(resolution=SIZE)
    columns = {"image_column": "image", "mask_column": "label", "instance_column": None}
    reader = PairReader(**columns, processor=processor, transform=transform)
    dataset = PairedImageDataset(rows, reader, seed=0)
    return segmenter_settings(ColorNetwork(), dataset, num_steps=1, seed=0)["data"]


def test_a_zip_is_the_files_in_it(tmp_path):
    write_cvat(tmp_path)
    frames = str(tmp_path / "frames")
    unpacked, zipped = (
        name_of(load_folders({"image": frames, "label": str(tmp_path / name)})) for name in ("export", "export.zip")
    )
    assert unpacked == zipped
    subfolder = str(tmp_path / "export" / "SegmentationObject")
    (tmp_path / "frames" / "frame_000003.jpg").unlink()
    assert name_of(load_folders({"image": frames, "label": subfolder})) != zipped


def test_the_categories_of_segments_belong_to_it(tmp_path):
    write_panoptic(tmp_path)
    file = tmp_path / "annotations" / "panoptic_val2017.json"
    folders = {"image": str(tmp_path / "val2017"), "label": str(tmp_path / "annotations" / "panoptic_val2017")}
    before = name_of(load_panoptic(str(file), folders))
    values = json.loads(file.read_text())
    values["annotations"][0]["segments_info"][0]["category_id"] = 3
    file.write_text(json.dumps(values))
    assert name_of(load_panoptic(str(file), folders)) != before
