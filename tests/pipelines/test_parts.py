"""Parts of label maps, and what natural maps keep of painted ones."""

import numpy as np
import pytest
from scipy import ndimage

from spade_hf.pipelines.parts import find_parts, keep_parts, num_pieces


RNG = np.random.default_rng(0)


@pytest.mark.parametrize("labels", [1, 2, 5])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (40, 56)])
def test_parts_are_the_connected_components(labels, size):
    label_map = RNG.integers(0, labels, size)
    numbers, count = find_parts(label_map).numbers, 0
    for label in range(labels):
        expected, found = ndimage.label(label_map == label)  # 4-connected
        count += found
        for number in range(1, found + 1):
            assert len(np.unique(numbers[expected == number])) == 1
    assert numbers.max() + 1 == len(np.unique(numbers)) == count


def test_areas_and_widths():
    label_map = np.zeros((256, 256), int)
    label_map[100:108, 20:220] = 1  # 8x200, inside the map
    label_map[:, :16] = 2  # 16 wide, at the edge, which is no border
    parts = find_parts(label_map)
    by_label = {int(label): number for number, label in enumerate(parts.labels)}
    bar, edge = by_label[1], by_label[2]
    assert (parts.areas[bar], parts.areas[edge]) == (1600, 4096)
    assert parts.widths[bar] == pytest.approx(2 * 1600 / 416)
    assert parts.widths[edge] == pytest.approx(2 * 4096 / 256)
    assert parts.is_thin(bar) and not parts.is_thin(edge) and not parts.is_thin(by_label[0])
    assert set(parts.large()) == {0, 1, 2}
    label_map[50:57, 50:59] = 3  # 63 pixels
    assert len(find_parts(label_map).large()) == 3
    for length, is_thin in ((120, False), (240, True)):  # of a bar 16 wide: like a cloud, like a river
        label_map = np.zeros((256, 256), int)
        label_map[100:116, 8 : 8 + length] = 1
        assert find_parts(label_map).is_thin(1) == is_thin


def scores_of(label_map, labels=3):
    return np.stack([(label_map == label).astype(float) for label in range(labels)])


def test_a_lost_part_comes_back_where_its_label_suits_best():
    painted, natural = np.zeros((64, 64), int), np.zeros((64, 64), int)
    painted[20:40, 20:40] = 1  # 400 pixels, of which natural has none
    scores = scores_of(natural)
    scores[1, 20:40, 20:] = np.linspace(0.9, 0, 44)  # best on the left
    kept = keep_parts(painted, natural, scores)
    assert (kept == 1).sum() == 260 and (kept[20:40, 20:33] == 1).all()  # 65 % of 400: 13 of 20 columns
    assert (natural == 0).all()  # the input is not changed


def test_a_part_that_is_there_is_left_alone():
    painted = np.zeros((64, 64), int)
    painted[20:40, 20:40] = 1
    natural = painted.copy()
    natural[20:40, 34:40] = 0  # 70 % are left
    assert (keep_parts(painted, natural, scores_of(natural)) == natural).all()


def test_a_thin_part_stays_in_one_piece():
    painted = np.zeros((256, 256), int)
    painted[100:106, 20:220] = 2
    natural = painted.copy()
    natural[:, 118:122] = 0  # a gap
    assert num_pieces(natural == 2, painted == 2) == 2
    kept = keep_parts(painted, natural, scores_of(natural))
    assert num_pieces(kept == 2, painted == 2) == 1 and (kept[100:106, 20:220] == 2).all()
    blob = np.zeros((256, 256), int)
    blob[60:160, 60:160] = 2
    natural = blob.copy()
    natural[:, 118:122] = 0
    assert (keep_parts(blob, natural, scores_of(natural)) == natural).all()  # it may come apart


def test_what_is_not_painted_has_no_parts_to_keep():
    painted, natural = np.full((64, 64), 3), RNG.integers(0, 3, (64, 64))
    assert (keep_parts(painted, natural, scores_of(natural)) == natural).all()
