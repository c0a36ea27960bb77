"""The scene that a page without examples starts with."""

import numpy as np
import pytest

from spade_hf import LabelSet
from spade_hf.demo.first_mask import first_mask, horizon_channels


def names_in(names: list[str], unknown_id: int | None = None) -> list[str]:
    colors = np.random.default_rng(0).choice(256, (len(names), 3), replace=True).tolist()
    labels = [
        {"id": i, "name": name, "color": color} for i, (name, color) in enumerate(zip(names, colors, strict=True))
    ]
    label_set = LabelSet.from_dict({"name": "test", "labels": labels, "ignore_index": unknown_id})
    label_map, found = first_mask(label_set, (32, 48))
    assert label_map.shape == (32, 48)
    assert sorted(found) == sorted(label_set.names[label_set.ids.index(i)] for i in np.unique(label_map))
    return found


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Void", "Road", "Tree", "Building", "Sky", "RoadShoulder"], ["Sky", "Building", "Tree", "Road"]),
        (["floor-wood", "wall-brick", "ceiling-tile", "plant"], ["ceiling-tile", "wall-brick", "plant", "floor-wood"]),
        (["skin", "hair", "eye", "mouth", "nose"], ["skin", "hair", "eye", "mouth"]),
        (["unlabelled", "grass", "cow"], ["cow", "grass"]),
        (["void", "background"], ["void", "background"]),
        (["one"], ["one"]),
    ],
)
def test_the_labels_are_plausible(names, expected):
    assert names_in(names) == expected


def test_the_unknown_label_is_not_among_them():
    assert names_in(["nothing", "sky", "grass"], unknown_id=0) == ["sky", "grass"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("landscapes", ("sky", "grass")), ("cityscapes", ("sky", "terrain")), ("ade20k", ("sky", "grass"))],
)
def test_a_cleared_canvas_is_sky_and_ground(name, expected):
    label_set = LabelSet.from_name(name)
    assert tuple(label_set.names[channel] for channel in horizon_channels(label_set)) == expected
