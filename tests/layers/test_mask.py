import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from spade_hf.layers import SPADE, SemanticMask
from spade_hf.layers.mask import _nearest_indices
from spade_hf.layers.sparse.path import SparsePath


def hard(codes: torch.Tensor, has_edges: bool = False) -> SemanticMask:
    return SemanticMask(codes=codes, num_label_channels=4, has_edges=has_edges, dtype=torch.float64)


@pytest.mark.parametrize("target", [(1, 1), (3, 5), (7, 7), (16, 11), (13, 29), (32, 64)])
@pytest.mark.parametrize("source", [(13, 29), (32, 64), (7, 7)])
def test_nearest_neighbor_picks_the_pixels_of_interpolate(source: tuple[int, int], target: tuple[int, int]):
    codes = torch.arange(source[0] * source[1]).view(1, *source)
    expected = F.interpolate(codes[None].double(), target, mode="nearest")[0].long()
    torch.testing.assert_close(hard(codes).codes_at(target), expected, atol=0, rtol=0)


def test_one_hot_with_edges():
    labels = torch.tensor([[[0, 1], [2, 3]]])
    edges = torch.tensor([[[0, 1], [1, 0]]])
    segmap = hard(labels + 4 * edges, has_edges=True).segmap_at((2, 2))
    expected = torch.cat([F.one_hot(labels, 4).movedim(-1, 1), edges[:, None]], dim=1).double()
    torch.testing.assert_close(segmap, expected, atol=0, rtol=0)


def test_soft_masks_have_no_neighborhoods():
    mask = SemanticMask(segmap=torch.rand(1, 4, 8, 8), num_label_channels=4, has_edges=False, dtype=torch.float32)
    assert not mask.is_hard
    assert mask.segmap_at((4, 4)).shape == (1, 4, 4, 4)


def test_a_resolution_is_computed_once():
    mask = hard(torch.zeros(1, 8, 8).long())
    assert mask.neighborhoods((4, 4), 3) is mask.neighborhoods((4, 4), 3)
    assert mask.segmap_at((4, 4)) is mask.segmap_at((4, 4))


def test_no_float64_on_the_masks_device():
    """Apple's GPUs have no float64; the "meta" device stands for them."""
    made = set()

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                made.add((result.device.type, result.dtype))
            return result

    mask = SemanticMask(
        codes=torch.zeros(1, 8, 8, dtype=torch.int64, device="meta"),
        num_label_channels=4,
        has_edges=False,
        dtype=torch.float32,
    )
    with Recorder():
        assert mask.segmap_at((4, 4)).device.type == "meta"
    assert ("meta", torch.int64) in made
    assert ("meta", torch.float64) not in made


def test_positions_are_computed_on_the_cpu_whatever_the_default_device_is():
    with torch.device("meta"):
        assert _nearest_indices(4, 2).tolist() == [0, 2]


def test_painting_one_by_one_leaves_the_callers_mask_as_it_is():
    mask, computed = (
        SemanticMask(
            codes=torch.zeros(1, 8, 8).long(),
            num_label_channels=4,
            has_edges=False,
            dtype=torch.float64,
            images_per_mask=3,
        ),
        [],
    )
    layer = torch.nn.Identity()
    for image, one in mask.one_by_one(torch.zeros(3, 1, 4, 4)):
        assert (len(image), one.images_per_mask) == (1, 1)
        one.modulation(layer, lambda: computed.append(1) or torch.zeros(1))
    assert len(computed) == 1  # kept for the three images
    assert mask.images_per_mask == 3
    mask.modulation(layer, lambda: computed.append(1) or torch.zeros(1))
    assert len(computed) == 2  # and only for them
    with pytest.raises(dataclasses.FrozenInstanceError, match="images_per_mask"):
        mask.images_per_mask = 1


@pytest.mark.parametrize("is_hard", [True, False])
def test_a_band_is_read_as_the_whole_mask_is(is_hard: bool):
    whole = hard(torch.arange(96).view(1, 12, 8) % 4)
    if not is_hard:
        whole = dataclasses.replace(whole, codes=None, segmap=torch.rand(1, 4, 12, 8), dtype=torch.float32)
    rows = slice(1, 5)
    band = whole.rows((6, 4), rows)
    torch.testing.assert_close(band.segmap_at((4, 4)), whole.segmap_at((6, 4))[:, :, rows], atol=0, rtol=0)
    if is_hard:
        torch.testing.assert_close(band.codes_at((4, 4)), whole.codes_at((6, 4))[:, rows], atol=0, rtol=0)
        index = whole.neighborhoods((6, 4), 3).index[:, rows]
        torch.testing.assert_close(band.neighborhoods((4, 4), 3).index, index, atol=0, rtol=0)


def test_permission_is_asked_once_in_a_forward_pass(monkeypatch: pytest.MonkeyPatch):
    """A layer uses the decision of its forward pass, and does not check again."""
    layer, asked = SPADE(4, 4).eval().double(), []
    monkeypatch.setattr(SparsePath, "permits", lambda path, mask: asked.append(mask) or True)
    layer(
        torch.zeros(1, 4, 8, 8, dtype=torch.float64),
        dataclasses.replace(hard(torch.zeros(1, 8, 8).long()), permits_sparse=False),
    )
    assert asked == []
