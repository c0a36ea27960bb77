import pytest
import torch

from spade_hf.layers import read_mask
from spade_hf.models.semantics import num_semantic_channels

from ..tiny_networks import one_hot, random_label_map


def pyramid(mask, instance_edges=None, *, num_labels=4, use_unknown_label=False, use_instance_edges=False):
    return read_mask(
        mask,
        instance_edges,
        num_labels=num_labels,
        use_unknown_label=use_unknown_label,
        use_instance_edges=use_instance_edges,
        dtype=torch.float32,
    )


@pytest.mark.parametrize(
    ("labels", "channels"),
    [((182, True, True), 184), ((150, True, False), 151), ((35, False, True), 36), ((12, False, False), 12)],
)
def test_channels_of_the_public_data_sets(labels, channels):
    assert num_semantic_channels(*labels) == channels


def test_no_labels():
    with pytest.raises(ValueError, match="`num_labels` is 0; a model needs at least one label"):
        num_semantic_channels(0, True, True)


def test_one_hot_of_ids():
    label_map = random_label_map((16, 24))
    mask = pyramid(label_map)
    assert mask.is_hard and mask.num_masks == 2 and mask.size == (16, 24)
    torch.testing.assert_close(mask.segmap_at((16, 24)), one_hot(label_map))


def test_channel_order_is_labels_then_unknown_then_edges():
    label_map = torch.tensor([[[0, 3, 4, 4]]])
    edges = torch.tensor([[[1, 0, 1, 0]]])
    segmap = pyramid(label_map, edges, use_unknown_label=True, use_instance_edges=True).segmap_at((1, 4))
    expected = [[1, 0, 0, 0], [0] * 4, [0] * 4, [0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]]
    assert segmap[0, :, 0].tolist() == expected


def test_255_is_a_class_where_there_are_that_many():
    label_map = torch.tensor([[[255, 299, 300]]])
    segmap = pyramid(label_map, num_labels=300, use_unknown_label=True).segmap_at((1, 3))
    assert segmap[0, :, 0].argmax(0).tolist() == [255, 299, 300]


@pytest.mark.parametrize("use_unknown_label", [False, True])
def test_255_is_no_unknown_id(use_unknown_label):
    message = rf"`segmap` has label ids \[255\]; this model knows the channels 0\.\.{3 + use_unknown_label}\. "
    with pytest.raises(ValueError, match=message):
        pyramid(torch.full((1, 2, 2), 255), use_unknown_label=use_unknown_label)


def test_soft_mask_is_passed_through():
    segmap = torch.rand(2, 4, 8, 8)
    mask = pyramid(segmap)
    assert not mask.is_hard
    torch.testing.assert_close(mask.segmap_at((8, 8)), segmap)


def test_soft_mask_with_edges():
    segmap, edges = torch.rand(2, 4, 8, 8), torch.randint(2, (2, 8, 8)).bool()
    expected = torch.cat([segmap, edges[:, None].float()], dim=1)
    torch.testing.assert_close(pyramid(segmap, edges, use_instance_edges=True).segmap_at((8, 8)), expected)
    torch.testing.assert_close(pyramid(expected, use_instance_edges=True).segmap_at((8, 8)), expected)


@pytest.mark.parametrize("size", [(4, 8), (8, 4), (5, 7), (32, 32)])
def test_both_forms_pick_the_same_pixels_at_every_size(size):
    label_map = random_label_map((16, 24))
    torch.testing.assert_close(pyramid(label_map).segmap_at(size), pyramid(one_hot(label_map)).segmap_at(size))
