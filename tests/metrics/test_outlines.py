"""Figures of label maps' outlines, on maps whose values are known."""

import json

import numpy as np
import pytest

from spade_hf.labels import LabelSet
from spade_hf.labels.label_set import Label
from spade_hf.metrics import Figures
from spade_hf.metrics.outlines import (
    MIN_PARTS,
    count_changes,
    count_kept_parts,
    count_outlines,
    describe_kept_parts,
    describe_outlines,
    score_outlines,
)


NAMES = ("grass", "tree", "path")


def meadow(size: int = 256) -> np.ndarray:
    return np.zeros((size, size), int)


def test_counts_of_a_square_and_a_speck():
    label_map = meadow()
    label_map[40:60, 80:120] = 1  # 20x40, whole blocks of 4x4
    label_map[200, 201] = 1
    counts = count_outlines(label_map, 3)
    assert counts[:, 1].tolist() == [120 + 4, 800 + 1, 2 * (5 + 10), 50, 1, 1]
    assert counts[:, 0].tolist() == [120 + 4, 256**2 - 801, 30, 64**2 - 50, 1, 0]
    assert not counts[:, 2].any()


def test_the_edge_and_the_size_of_a_map():
    """The edge of the image is no outline; in a map of 128x128, a part of 16 pixels is large."""
    label_map = meadow(128)
    label_map[:, :4] = 2
    label_map[60:64, 60:64] = 1
    counts = count_outlines(label_map, 3)
    assert counts[:, 2].tolist() == [128, 512, 32, 32, 1, 0]
    assert counts[:, 1].tolist() == [16, 16, 4, 1, 1, 0]
    label_map[60, 60] = 0
    assert count_outlines(label_map, 3)[4:, 1].tolist() == [0, 1]


def test_a_map_without_outlines_and_pixels_without_label():
    assert count_outlines(meadow(), 3)[:, 0].tolist() == [0, 256**2, 0, 64**2, 1, 0]
    assert not count_outlines(np.full((256, 250), 3), 3).any()


def test_a_block_has_its_most_frequent_label():
    label_map = meadow(32)
    label_map[4:8, 4:7] = 1  # 12 of the 16 pixels of a block
    label_map[16:20, 16:17] = 1  # 4 of 16
    assert count_outlines(label_map, 3)[2:4, 1].tolist() == [4, 1]


def jagged(bars: int, teeth: int) -> np.ndarray:
    """Bars of 8x100 pixels of tree, each with teeth of one pixel above it."""
    label_map = meadow()
    for number in range(bars):
        top = 12 * number + 4
        label_map[top : top + 8, 20:120] = 1
        label_map[top - 1, 20 : 20 + 2 * teeth : 2] = 1
    return label_map


def test_deviations_from_exact_maps():
    exact, smooth = (count_outlines(jagged(20, teeth), 3) for teeth in (50, 0))
    figures = describe_outlines(smooth, exact, 1, NAMES)
    assert figures["labels"].keys() == figures["deviations"].keys() == {"tree"}  # of grass there is one part
    assert figures["labels"]["tree"]["perimeter"] == 216 / 800 and figures["labels"]["tree"]["parts"] == 20
    deviations = figures["deviations"]["tree"]
    assert deviations["perimeter"] == pytest.approx(216 / 800 / ((216 + 2 * 50) / 850) - 1)
    assert deviations["coarse_perimeter"] == 0  # a tooth is less than half a block
    assert deviations["parts"] == 0 and deviations["small_parts"] is None  # the exact maps have none
    assert figures["largest_deviation"] == {
        "perimeter": abs(deviations["perimeter"]),
        "coarse_perimeter": 0,
        "parts": 0,
        "small_parts": None,
    }
    json.dumps(figures, allow_nan=False)


def test_counts_of_maps_are_added():
    one, three = count_outlines(jagged(20, 3), 3), 3 * count_outlines(jagged(20, 3), 3)
    assert describe_outlines(three, three, 3, NAMES)["labels"] == describe_outlines(one, one, 1, NAMES)["labels"]


def test_a_label_needs_parts_and_can_be_lost():
    exact = count_outlines(jagged(MIN_PARTS, 0), 3)
    figures = describe_outlines(count_outlines(meadow(), 3), exact, 1, NAMES)
    assert figures["labels"]["tree"] == {"perimeter": None, "coarse_perimeter": None, "parts": 0, "small_parts": 0}
    assert figures["largest_deviation"] == dict.fromkeys(("perimeter", "coarse_perimeter", "small_parts")) | {
        "parts": 1
    }
    few = count_outlines(jagged(MIN_PARTS - 1, 0), 3)
    assert describe_outlines(exact, few, 1, NAMES) == {
        "labels": {},
        "deviations": {},
        "largest_deviation": dict.fromkeys(("perimeter", "coarse_perimeter", "parts", "small_parts")),
    }


def test_figures_of_all_batches():
    """The labels' names are those of classes, whatever channel unknown has; unknown pixels can't change."""
    label_set = LabelSet("toy", tuple(Label(i, NAMES[i - 1], (i, 0, 0)) for i in (1, 2, 3)), unknown_id=0)
    exact, smooth, nothing = (count_outlines(one, 3) for one in (jagged(20, 50), jagged(20, 0), meadow()))
    kept = np.zeros((4, 3), int)
    kept[:, 2] = (2, 1, 1, 1)
    counts = [
        {"exact": exact, "painted": nothing, "refined": smooth, "kept": kept, "changes": np.array([90, 4])},
        {"exact": nothing, "painted": nothing, "refined": nothing, "kept": kept, "changes": np.array([10, 1])},
    ]
    figures = {kind: Figures() for kind in ("exact", "painted", "refined")}
    score_outlines(figures, counts, label_set, 2)
    assert figures["exact"].values == {"exact_changed": 0.05}
    assert figures["exact"].outlines["labels"]["tree"]["parts"] == 10
    assert figures["refined"].outlines["deviations"]["tree"]["parts"] == 0
    assert figures["painted"].outlines["deviations"]["tree"]["parts"] == -1
    assert figures["refined"].outlines["kept_parts"] == 0.5 and "kept_parts" not in figures["painted"].outlines
    for batch in counts:
        batch["changes"] *= 0
    score_outlines(figures, counts, label_set, 2)
    assert figures["exact"].reasons == {"exact_changed": "no pixel of the masks has a label"}


def test_parts_that_keep_their_label_and_stay_whole():
    painted = meadow()
    painted[20:60, 20:60] = 1
    painted[20:60, 80:120] = 1
    painted[20, 140] = 1  # too small to count
    painted[100:106, 20:220] = 2  # two paths
    painted[200:206, 20:220] = 2
    natural = painted.copy()
    natural[20:36, 20:60] = 0  # 60 % are left
    natural[20:37, 80:120] = 0  # 57 %
    natural[20, 140] = 0
    natural[100:106, 118:122] = 0  # a gap
    natural[200:206, 118:122] = 0  # a gap, and a way round it
    natural[206:209, 110:130] = 2
    counts = count_kept_parts(painted, natural, 3)
    assert counts.T.tolist() == [[1, 1, 0, 0], [2, 1, 0, 0], [2, 2, 2, 1]]
    assert describe_kept_parts(counts, NAMES) == {
        "painted_parts": 5,
        "kept_parts": 4 / 5,
        "thin_parts": 2,
        "whole_thin_parts": 1 / 2,
        "whole_thin_parts_by_label": {"path": 1 / 2},
    }
    natural[100:106] = 0
    assert count_kept_parts(painted, natural, 3)[:, 2].tolist() == [2, 1, 2, 1]  # a path that is gone is not whole


def test_what_is_not_painted_is_no_part():
    counts = count_kept_parts(np.full((256, 256), 3), meadow(), 3)
    assert not counts.any()
    figures = describe_kept_parts(counts, NAMES)
    assert figures["kept_parts"] is None and figures["whole_thin_parts"] is None


def test_changed_pixels_are_those_with_a_label():
    exact, refined = meadow(4), meadow(4)
    exact[0] = 3  # without label: filled, not changed
    refined[1, :3] = 1
    assert count_changes(exact, refined, 3).tolist() == [12, 3]
