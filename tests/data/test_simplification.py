import numpy as np
import pytest
import torch
from scipy import ndimage

from spade_hf.data import average_blocks, simplify_label_map
from spade_hf.data.simplification import CAREFUL


SIDE = 128
SKY, GROUND, TREE, ROCK = range(4)


def scene() -> torch.Tensor:
    """Sky over ground with a ragged border, a forest of scattered pixels, a large rock with a hole, specks."""
    draw = np.random.default_rng(0)
    label_map = np.full((SIDE, SIDE), SKY)
    for column, row in enumerate(60 + draw.integers(-4, 5, SIDE)):
        label_map[row:, column] = GROUND
    forest = draw.random((20, SIDE)) < 0.7
    label_map[60:80][forest] = TREE
    label_map[95:120, 30:80] = ROCK
    label_map[103:110, 45:60] = GROUND
    label_map[5:7, 5:7] = TREE
    return torch.from_numpy(label_map)


def simplified(count: int = 30) -> list[torch.Tensor]:
    return [simplify_label_map(scene(), 4, torch.Generator().manual_seed(seed)) for seed in range(count)]


def num_parts(label_map: torch.Tensor) -> int:
    return sum(ndimage.label(label_map.numpy() == label)[1] for label in range(4))


def outline(label_map: torch.Tensor) -> int:
    """Pixels beside another label."""
    return sum(label_map.diff(dim=axis).count_nonzero().item() for axis in (0, 1))


def test_simplified_maps_are_the_scene_with_fewer_parts_and_smoother_outlines():
    exact = scene()
    for one in simplified():
        assert one.shape == exact.shape and one.dtype == torch.int64 and one.min() >= 0 and one.max() < 4
        assert (one == exact).float().mean() > 0.75
        assert num_parts(one) < 0.5 * num_parts(exact) and outline(one) < 0.6 * outline(exact)
        assert one[6, 6] == SKY  # a speck
        assert one[:40].eq(SKY).all() and one[90:, :20].eq(GROUND).float().mean() > 0.8


def test_the_generator_decides():
    first, again = (simplified(5) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert len({one.numpy().tobytes() for one in simplified()}) > 20


@pytest.mark.parametrize("tool", CAREFUL.tools)
def test_a_tool_covers_about_its_part(tool):
    part = np.zeros((SIDE, SIDE), dtype=bool)
    part[40:70, 20:100] = True
    for seed in range(10):
        stroke = tool(part, SIDE, np.random.default_rng(seed))
        assert stroke.dtype == bool and (stroke & part).sum() > 0.75 * part.sum()
        assert (stroke & ~part).sum() < 0.35 * part.sum()


def test_a_polygon_leaves_holes_open():
    part = np.zeros((SIDE, SIDE), dtype=bool)
    part[30:100, 30:100] = True
    part[50:80, 50:80] = False
    polygon = CAREFUL.tools[-1](part, SIDE, np.random.default_rng(0))
    assert not polygon[60:70, 60:70].any() and polygon[35:45, 35:95].all()


@pytest.mark.parametrize("label_map", [torch.full((40, 64), 2), torch.arange(4).repeat(640).view(40, 64)])
def test_one_label_and_nothing_but_specks(label_map):
    for seed in range(10):
        one = simplify_label_map(label_map, 4, torch.Generator().manual_seed(seed))
        assert one.shape == (40, 64) and set(one.unique().tolist()) <= set(label_map.unique().tolist())


def test_average_blocks_lose_detail_and_keep_areas():
    label_map = torch.zeros(64, 64, dtype=torch.long)
    label_map[:, 32:] = 2  # a half
    label_map[10:12, 10:12] = 1  # a speck
    simple = average_blocks(label_map, 8, 3)
    assert simple.shape == label_map.shape and simple.dtype == torch.long
    assert set(simple.unique().tolist()) == {0, 2}
    assert (simple == label_map).float().mean() > 0.95
