"""The canvas' text of runs."""

import numpy as np
import pytest

from spade_hf import LabelSet
from spade_hf.demo.formats import Format
from spade_hf.demo.mask_canvas import blank_channel, canvas_props, encode_runs, read_canvas, write_canvas


LANDSCAPES = LabelSet.from_name("landscapes")


def test_runs_are_what_the_script_reads():
    assert encode_runs(np.array([[0, 0, 3], [3, 3, 1]])) == "3 2 2 0 3 3 1 1"


@pytest.mark.parametrize("name", ["landscapes", "ade20k", "coco-stuff"])
def test_what_is_written_is_read_back(name):
    label_set = LabelSet.from_name(name)
    label_map = np.random.default_rng(0).choice(label_set.ids, (24, 40))
    formats = [Format(str(size), size, size) for size in ((24, 24), (24, 40))]
    np.testing.assert_array_equal(read_canvas(write_canvas(label_map, label_set), label_set, formats), label_map)


@pytest.mark.parametrize(
    "text",
    ["", "2 2 4", "2 2 4 0 1", "2 2 3 0", "2 2 5 0", "3 2 4 0", "2 2 4 12", "2 2 4 -1", "2 2 4 0 ", "a", "2 2 4 ٣",
     "2 2 9999999999999 0", "2 2 4 0" + " 0 0" * 1000],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="The canvas could not be read"):
        read_canvas(text, LANDSCAPES, [Format("tiny", (2, 2), (2, 2))])


def test_transparent_pixels_are_unknown_or_sky():
    assert LANDSCAPES.names[blank_channel(LANDSCAPES)] == "sky"
    ade20k = LabelSet.from_name("ade20k")
    assert ade20k.ids[blank_channel(ade20k)] == ade20k.unknown_id


@pytest.mark.parametrize(("name", "channel"), [("landscapes", 12), ("ade20k", 0)])
def test_a_model_that_fills_what_is_not_painted_has_a_label_for_it(name, channel):
    label_set = LabelSet.from_name(name)
    known = label_set.with_unknown()
    props = canvas_props(known, [], label="sky", storage="x", unpainted=known.unknown_channel)
    assert props["unpainted"] == channel and props["labels"][channel]["name"] == "not painted"
    without = canvas_props(label_set, [], label="sky", storage="x")
    assert "unpainted" not in without and "not painted" not in [label["name"] for label in without["labels"]]
