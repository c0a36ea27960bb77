"""Samples for outline models: exact maps, and maps as if painted by hand."""

import numpy as np
import pytest
import torch

from spade_hf import SPADEImageProcessor
from spade_hf.data import PairedImageDataset, PairedTransform
from spade_hf.data.outlines import HOLES, OutlineReader, paint_as_people_do
from spade_hf.data.simplification import CRUDE, _with_gaps_closed, simplify_label_map

from ..training_data import LABELS, make_rows


def make_dataset(count=6, **changes):
    options = {"mask_column": "label", "processor": SPADEImageProcessor(label_set=LABELS)}
    transform = PairedTransform(resolution=(32, 40), resize_ratio=1.0)
    return PairedImageDataset(
        make_rows(count), OutlineReader(**{**options, "transform": transform, **changes}), seed=0
    )


def landscape(seed=0, size=(96, 128)):
    """Bands with ragged borders and a few blobs, labels 0 to 3."""
    rng = np.random.default_rng(seed)
    rows = np.arange(size[0])[:, None] + rng.integers(-4, 5, size[1]).cumsum() % 9
    label_map = np.clip(rows * 3 // size[0], 0, 2)
    label_map[20:40, 30:60] = 3
    return torch.from_numpy(label_map)


def test_a_sample_has_both_maps_and_no_image():
    dataset = make_dataset()
    sample = dataset[2]
    assert set(sample) == {"label_map", "painted_map", "seed"}
    for name in ("label_map", "painted_map"):
        assert sample[name].shape == (32, 40) and sample[name].dtype == torch.int64
        assert 0 <= sample[name].min() and sample[name].max() <= 3  # three classes, and unknown as the last
    assert (sample["label_map"] == 3).any()  # id 255 of the data
    again = make_dataset()[2]
    assert all(sample[name].equal(again[name]) for name in sample)
    dataset.set_epoch(1)
    assert not dataset[2]["painted_map"].equal(sample["painted_map"])


def test_only_the_column_of_masks_is_read_and_a_bad_one_is_named():
    assert make_dataset().rows.column_names == ["label", "file_name"]
    with pytest.raises(ValueError, match="`mask_column` is 'masks'; the data set has the columns"):
        make_dataset(mask_column="masks")
    rows = make_rows(2, label=[b"no image"] * 2)
    with pytest.raises(ValueError, match="Row 1 of the data set.*label"):
        PairedImageDataset(rows, make_dataset().reader, seed=0)[1]


def test_some_maps_stay_exact_and_some_have_holes():
    exact, rng = landscape(), torch.Generator().manual_seed(0)
    painted = [paint_as_people_do(exact, 4, rng) for _ in range(60)]
    has_holes = [(one == 4).any().item() for one in painted]
    same = [one.equal(exact) for one in painted]
    whole = [(one == 4).all().item() for one in painted]
    assert 10 < sum(has_holes) < 40 and 2 < sum(same) < 20 and 1 <= sum(whole) < 15
    assert exact.equal(landscape())  # not changed


@pytest.mark.parametrize("hole", HOLES)
def test_holes(hole):
    painted = landscape().numpy()
    selected = [hole(painted, np.random.default_rng(seed)) for seed in range(8)]
    assert all(one.shape == painted.shape and one.dtype == bool and one.any() for one in selected)
    if hole is HOLES[-1]:
        assert all(one.all() for one in selected)
    else:
        assert len({one.tobytes() for one in selected}) > 3
        assert not all(one.all() for one in selected)
    single = np.zeros((16, 16), int)  # no borders
    assert hole(single, np.random.default_rng(0)).shape == (16, 16)


@pytest.mark.parametrize("tool", CRUDE.tools)
def test_crude_tools(tool):
    part = np.zeros((96, 128), bool)
    part[40:60, 4:124] = True
    part[50:54, 60:70] = False
    drawn = tool(part, 96, np.random.default_rng(0))
    assert drawn.shape == part.shape and drawn.dtype == bool
    assert 0.5 < drawn.sum() / part.sum() < 2 and (drawn & part).sum() > 0.6 * part.sum()


def test_crude_maps_are_simpler():
    exact = landscape()
    for seed in range(4):
        rng = torch.Generator().manual_seed(seed)
        crude = simplify_label_map(exact, 4, rng, crude=True)
        assert crude.shape == exact.shape and set(crude.unique().tolist()) <= {0, 1, 2, 3}
        borders, before = ((one[:, 1:] != one[:, :-1]).sum() for one in (crude, exact))
        assert borders < 0.7 * before


def test_scattered_parts_are_joined():
    scattered = np.zeros((64, 64), int)
    scattered[20:44:8, 10:54:8] = 1
    scattered[21:45:8, 10:54:8] = 1
    maps = [_with_gaps_closed(scattered, [6.0], np.random.default_rng(seed)) for seed in range(8)]
    assert any((one[22:36, 12:49] == 1).all() for one in maps)  # of the dots
    assert any((one == 0).all() for one in maps)  # of what is around them
    assert scattered.sum() == 36  # not changed
