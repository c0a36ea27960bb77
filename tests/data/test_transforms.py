import pytest
import torch

from spade_hf.data import PairedTransform, derive_seed


def coordinates(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An image, a label map and edges that all tell which pixel of the source one is looking at."""
    number = torch.arange(height * width).view(height, width)
    return number.float().expand(3, -1, -1), number, number % 2 == 0


def apply(transform: PairedTransform, size: tuple[int, int], seed: int, num_labels: int = 10_000):
    sample = transform(*coordinates(*size), num_labels=num_labels, rng=torch.Generator().manual_seed(seed))
    assert sample.keys() == {"real_images", "label_map", "instance_edges"}  # nothing else without simplified maps
    return tuple(sample.values())


@pytest.mark.parametrize("resolution", [(8, 8), (8, 12)])
def test_image_map_and_edges_move_together(resolution):
    transform = PairedTransform(resolution=resolution)
    seen = set()
    for seed in range(40):
        image, label_map, edges = apply(transform, (11, 14), seed)
        assert image.shape == (3, *resolution) and label_map.shape == edges.shape == resolution
        assert torch.equal(image[1].long(), label_map) and torch.equal(edges, label_map % 2 == 0)
        # a window of the source, mirrored or not
        step = label_map[0, 1] - label_map[0, 0]
        assert step in (1, -1) and (label_map[:, 1:] - label_map[:, :-1] == step).all()
        assert (label_map[1:] - label_map[:-1] == 14).all()
        corner = label_map.min().item()
        seen.add((corner // 14, corner % 14, step.item()))
    places = {place[:2] for place in seen}
    tops, lefts = {top for top, _ in places}, {left for _, left in places}
    assert tops == set(range(11 - resolution[0] + 1)) and lefts == set(range(14 - resolution[1] + 1))
    assert {step for *_, step in seen} == {1, -1}


def test_the_seed_decides():
    transform = PairedTransform(resolution=(8, 8))
    first, again = (apply(transform, (20, 20), 7)[1] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, apply(transform, (20, 20), 8)[1])


def test_center_crop_without_flip_is_fixed():
    transform = PairedTransform(resolution=(4, 4), center_crop=True, random_flip=False)
    expected = coordinates(10, 8)[1][3:7, 2:6]
    for seed in range(5):
        assert torch.equal(apply(transform, (10, 8), seed)[1], expected)


@pytest.mark.parametrize(
    ("size", "resolution", "ratio", "expected"),
    [
        ((192, 256), (64, 64), 1.0, (64, 85)),  # covers the square, proportions kept
        ((192, 256), (96, 128), 1.0, (96, 128)),
        ((100, 100), (256, 256), 286 / 256, (286, 286)),  # small images are enlarged
        ((640, 427), (96, 128), 1.0, (192, 128)),
    ],
)
def test_resized_shape(size, resolution, ratio, expected):
    assert PairedTransform(resolution=resolution, resize_ratio=ratio).resized_shape(*size) == expected


def test_resized_shape_always_covers_the_crop():
    transform = PairedTransform(resolution=(96, 128), resize_ratio=1.0)
    for height in range(50, 400, 7):
        for width in range(50, 400, 11):
            resized = transform.resized_shape(height, width)
            assert resized[0] >= 96 and resized[1] >= 128


def test_ratio_below_one():
    for ratio in (0.9, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"`resize_ratio` is {ratio}; it must be 1 or more"):
            PairedTransform(resolution=(8, 8), resize_ratio=ratio)


def test_share_of_simplified_maps_and_where_they_agree():
    label_map = torch.randint(0, 3, (64, 64), generator=torch.Generator().manual_seed(0))
    image = torch.zeros(3, 64, 64)
    transform = PairedTransform(resolution=(64, 64), resize_ratio=1, random_flip=False, simplify_probability=0.5)
    changed = []
    for seed in range(60):
        rng = torch.Generator().manual_seed(derive_seed(seed))
        sample = transform(image, label_map, None, num_labels=3, rng=rng)
        assert torch.equal(sample["agreement"], sample["label_map"] == label_map)
        changed.append(not sample["agreement"].all())
    assert 20 <= sum(changed) <= 40


def test_simplifying_leaves_crop_and_flip_alone():
    options = {"resolution": (8, 8), "resize_ratio": 1}
    source = (torch.arange(20 * 20.0).view(1, 20, 20).expand(3, -1, -1), torch.zeros(20, 20, dtype=torch.long), None)
    for seed in range(10):
        images = [
            PairedTransform(**options, simplify_probability=probability)(
                *source, num_labels=2, rng=torch.Generator().manual_seed(seed)
            )["real_images"]
            for probability in (0, 1)
        ]
        assert torch.equal(*images)
