"""The image processor of conditions: real numbers beside the labels, or in their place."""

import json
import logging
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from spade_hf import SPADEImageProcessor

from ..training_data import LABELS


def processor(channels: int = 1, value_range=None, **options) -> SPADEImageProcessor:
    given = {"label_set": LABELS, **options}
    return SPADEImageProcessor(condition_channels=channels, condition_range=value_range, **given)


def test_values_are_scaled_as_those_of_images(tmp_path: Path):
    """By type, or by the range; pictures of three channels as RGB."""
    rng = np.random.default_rng(0)
    for channels, value_range, values in (
        (1, None, rng.integers(0, 256, (6, 8), dtype=np.uint8)),
        (1, None, rng.integers(0, 65536, (6, 8), dtype=np.uint16)),
        (1, (0.5, 80), rng.uniform(0, 100, (6, 8)).astype(np.float32)),
        (2, (-5, 5), rng.normal(size=(6, 8, 2))),
        (3, None, rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)),
    ):
        ours = processor(channels, value_range).preprocess_condition(values)
        images = SPADEImageProcessor(label_set=LABELS, image_channels=channels, value_range=value_range)
        assert ours.shape == (1, channels, 6, 8) and ours.equal(images.preprocess_image(values))
        np.save(tmp_path / "1.npy", values)
        assert processor(channels, value_range).preprocess_condition(tmp_path / "1.npy").equal(ours)
    assert processor(3).preprocess_condition(PIL.Image.new("L", (4, 4), 255)).eq(1).all()
    small = processor().preprocess_condition([np.zeros((4, 6), np.uint8), np.full((2, 3), 255, np.uint8)], size=(2, 3))
    assert small.shape == (2, 1, 2, 3) and small[0].eq(-1).all() and small[1].eq(1).all()


def test_clipped_values_are_said(caplog):
    with caplog.at_level(logging.WARNING):
        processor(1, (0, 10)).preprocess_condition(np.array([[0, 5, 10, 11]]))
    assert "`condition` has 25.00% of its values outside of 0 to 10, which were clipped." in caplog.text


@pytest.mark.parametrize(
    "channels, value_range, values, message",
    [
        (2, None, np.zeros((4, 4, 3), np.uint8), r"`condition` has shape \(4, 4, 3\); an array is \(H, W, 2\)"),
        (1, None, PIL.Image.new("RGB", (4, 4)), "has 3 channels .*, but `condition_channels` is 1. Convert it"),
        (1, None, PIL.Image.new("F", (4, 4)), "whose white level is unknown. Give `condition_range`"),
        (1, None, np.full((4, 4), 7.5), r"floats must be in \[0, 1\]. Rescale it, or give `condition_range`"),
        (1, None, np.zeros((4, 4), np.int32), "For other integers, give `condition_range`"),
        (1, (0, 65535), np.zeros((4, 4), np.uint8), "has 8 bits, .* but `condition_range` is 0 to 65535"),
        (1, None, np.array([[0, np.nan, np.inf, 1]]), "has 1 values that are NaN and 1 that are infinite, of 4"),
        (0, None, np.zeros((4, 4), np.uint8), "`condition` was given, but this model reads masks alone"),
    ],
)
def test_bad_conditions(channels: int, value_range, values, message: str):
    with pytest.raises(ValueError, match=message):
        processor(channels, value_range).preprocess_condition(values)


def test_a_file_of_another_shape_names_the_option(tmp_path: Path):
    np.save(tmp_path / "1.npy", np.zeros((4, 5, 6)))
    with pytest.raises(ValueError, match=r"1.npy\) has shape \(4, 5, 6\); with `condition_channels` 2, an array is"):
        processor(2).preprocess_condition(tmp_path / "1.npy")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"condition_channels": -1}, "`condition_channels` is -1; give 0 for none, or the number of planes"),
        ({"condition_channels": 1.5}, "`condition_channels` is 1.5"),
        ({"condition_range": (0, 1)}, "`condition_range` was given, but `condition_channels` is 0"),
        ({"condition_channels": 1, "condition_range": (3, 3)}, "`condition_range` is 3 to 3, which holds no values"),
        ({"label_set": None}, "`label_set` is None, but a model reads masks, or a condition alone"),
        ({"label_set": None, "condition_channels": 1, "use_instance_edges": True}, "and no `use_instance_edges`"),
    ],
)
def test_bad_options(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        SPADEImageProcessor(**{"label_set": LABELS, **options})


def test_without_labels_nothing_reads_masks(tmp_path: Path):
    ours = processor(3, (0, 9), label_set=None)
    ours.save_pretrained(tmp_path)
    loaded = SPADEImageProcessor.from_pretrained(tmp_path)
    assert not loaded.has_labels and not ours.has_labels
    assert loaded.condition_options() == {"condition_channels": 3, "condition_range": (0, 9)}
    assert loaded.preprocess_condition(np.full((2, 2, 3), 9.0)).eq(1).all()
    for call in (lambda: loaded.label_set, lambda: loaded.preprocess_mask(np.zeros((4, 4), np.uint8))):
        with pytest.raises(ValueError, match="This model has no labels: .* of 3 channels alone"):
            call()
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "condition_channels": 0}))
    with pytest.raises(ValueError, match="without `label_set`. Copy it again"):
        SPADEImageProcessor.from_pretrained(tmp_path)


def test_a_config_of_before_has_no_condition():
    config = {name: value for name, value in processor(0).config.items() if not name.startswith("condition")}
    loaded = SPADEImageProcessor.from_config(config)
    assert loaded.has_labels and loaded.condition_options() == {"condition_channels": 0, "condition_range": None}
    assert torch.equal(loaded.preprocess_mask(np.zeros((2, 2), np.uint8)), torch.zeros(1, 2, 2, dtype=torch.long))
