"""Changes of label maps."""

import numpy as np

from spade_hf.labels.editing import connected_components, paste_region, replace_labels


def test_labels_are_replaced_all_at_once():
    label_map = np.array([[1, 2, 3], [2, 2, 9]])
    assert replace_labels(label_map, {1: 2, 2: 1}).tolist() == [[2, 1, 3], [1, 1, 9]]
    assert label_map[0, 0] == 1  # the map that was given stays


def test_a_region_is_pasted_with_instances_of_its_own():
    label_map, instances = np.zeros((4, 5), int), np.full((4, 5), 7)
    source = np.array([[3, 3, 0], [0, 3, 4]])
    source_instances = np.array([[10, 11, 0], [0, 11, 12]])
    pasted, numbered = paste_region(
        label_map, source, source == 3, shift=(2, 3), instance_map=instances, source_instances=source_instances
    )
    assert pasted.tolist() == [[0] * 5, [0] * 5, [0, 0, 0, 3, 3], [0, 0, 0, 0, 3]]
    assert numbered.tolist() == [[7] * 5, [7] * 5, [7, 7, 7, 8, 9], [7, 7, 7, 7, 9]]
    pasted, numbered = paste_region(label_map, source, source > 0, shift=(-1, 4), instance_map=instances)
    assert np.argwhere(pasted).tolist() == [] and (numbered == 7).all()  # all of it falls outside
    pasted, numbered = paste_region(label_map, source, source > 0, shift=(-1, 3))
    assert pasted[0].tolist() == [0, 0, 0, 0, 3] and numbered is None


def test_areas_that_touch_by_corners_are_two():
    label_map = np.array([[5, 5, 0], [0, 0, 5], [5, 0, 5]])
    assert connected_components(label_map).tolist() == [[0, 0, 1], [2, 2, 3], [4, 2, 3]]
    assert connected_components(np.full((2, 2), 255, np.uint8)).tolist() == [[0, 0], [0, 0]]
