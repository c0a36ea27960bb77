import dataclasses

import pytest

from spade_hf import LabelSet
from spade_hf.data.label_match import check_labels
from spade_hf.labels.label_set import Label

from ..training_data import LABELS


SKY, GRASS, ROCK, UNKNOWN = LABELS.labels


def labels(*rows: Label, unknown_id: int | None = 255) -> LabelSet:
    return LabelSet("data", rows, unknown_id)


@pytest.mark.parametrize(
    "data",
    [
        LABELS,
        labels(SKY, ROCK),  # some of the model's
        labels(SKY, GRASS, ROCK, Label(7, "lake", (0, 0, 255))),  # a mask with lakes cannot be read
        labels(SKY._replace(color=(1, 2, 3)), GRASS, ROCK),  # nor one in this color
        labels(SKY, GRASS, ROCK, UNKNOWN._replace(name="void")),
        labels(SKY, GRASS, ROCK, unknown_id=None),
    ],
)
def test_labels_that_are_read_as_meant(data):
    check_labels(data, LABELS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (labels(SKY._replace(id=1), GRASS._replace(id=0), ROCK), "the id 0 is 'grass' in the data and 'sky' in the"),
        (
            labels(SKY, GRASS, ROCK._replace(id=5)),
            r"color \(128, 64, 0\) is 'rock' in the data and 'rock' in the model",
        ),
        (labels(SKY, GRASS, ROCK, unknown_id=1), "the id 1 is unknown in the data and 'grass' in the model"),
        (
            labels(SKY._replace(color=GRASS.color), GRASS._replace(color=SKY.color), ROCK),
            r"the color \(0, 128, 0\) is 'sky' in the data and 'grass' in the model",
        ),
    ],
)
def test_labels_that_are_read_as_others(data, message):
    with pytest.raises(ValueError, match=f"The data's labels are not the model's: .*{message}"):
        check_labels(data, LABELS)


def test_a_tolerance_can_turn_a_color_into_another_label():
    near = labels(SKY._replace(color=(0, 120, 0)), GRASS._replace(color=(250, 250, 250)), ROCK)
    check_labels(near, LABELS)
    with pytest.raises(ValueError, match=r"the color \(0, 120, 0\) is 'sky' in the data and 'grass' in the model"):
        check_labels(near, LABELS, color_tolerance=10)


def test_a_model_without_names():
    anonymous = LabelSet.anonymous(3)
    named = dataclasses.replace(
        anonymous, labels=tuple(label._replace(name=f"class {label.id}") for label in anonymous.labels)
    )
    check_labels(named, anonymous)
    with pytest.raises(ValueError, match="the id 0 is unknown in the data and 'label 0' in the model"):
        check_labels(dataclasses.replace(named, unknown_id=0), anonymous)
