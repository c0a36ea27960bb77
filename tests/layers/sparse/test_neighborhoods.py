import pytest
import torch
import torch.nn.functional as F

from spade_hf.layers.sparse.neighborhoods import LabelNeighborhoods, _distinct_tuples, distinct_windows


NUM_CODES = 5


def label_maps(name: str) -> torch.Tensor:
    """int64 `(N, H, W)`."""
    rng = torch.Generator().manual_seed(0)
    random = torch.randint(0, NUM_CODES, (2, 6, 9), generator=rng)
    return {
        "random": random,
        "one label": torch.full((1, 7, 7), 3),
        "blobs": random.repeat_interleave(4, 1).repeat_interleave(4, 2),
        "unlike masks": torch.stack([torch.zeros(8, 8).long(), torch.arange(64).view(8, 8) % NUM_CODES]),
        "two by two": random[:, :2, :2],
        "single pixel": random[:1, :1, :1],
    }[name]


NAMES = ["random", "one label", "blobs", "unlike masks", "two by two", "single pixel"]


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_every_neighborhood_holds_the_labels_around_its_pixel(name: str, kernel_size: int):
    codes, radius = label_maps(name), kernel_size // 2
    n, h, w = codes.shape
    found = LabelNeighborhoods.from_codes(codes, num_codes=NUM_CODES, kernel_size=kernel_size)

    padded = F.pad(codes, (2 * radius,) * 4, value=NUM_CODES)
    patches = padded.unfold(1, kernel_size, 1).unfold(2, kernel_size, 1).flatten(3)  # (N, H+2r, W+2r, T)
    outside = F.pad(torch.zeros(n, h, w, dtype=torch.bool), (radius,) * 4, value=True)
    patches = patches.masked_fill(outside[..., None], NUM_CODES)  # all alike: their hidden activation is zero
    expected = patches.unfold(1, kernel_size, 1).unfold(2, kernel_size, 1)  # (N, H, W, T, k, k)
    expected = expected.flatten(4).transpose(3, 4)  # (N, H, W, T, T)
    torch.testing.assert_close(found.codes[found.patch_codes][found.patches[found.index]], expected, atol=0, rtol=0)
    outside = outside.unfold(1, kernel_size, 1).unfold(2, kernel_size, 1).flatten(3)  # (N, H, W, T)
    torch.testing.assert_close(found.patch_is_outside[found.patches[found.index]], outside, atol=0, rtol=0)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_no_neighborhood_is_listed_twice_or_unused(name: str, kernel_size: int):
    found = LabelNeighborhoods.from_codes(label_maps(name), num_codes=NUM_CODES, kernel_size=kernel_size)
    assert len(found.patches.unique(dim=0)) == len(found.patches) == len(found.index.unique())
    assert found.distinct_share == len(found.patches) / found.index.numel()


def test_one_label_has_few_neighborhoods():
    found = LabelNeighborhoods.from_codes(torch.zeros(2, 64, 64).long(), num_codes=1, kernel_size=3)
    assert found.num_neighborhoods == 25  # the position matters only within 2 pixels of a border


def test_keys_that_do_not_fit_into_64_bits_are_exact():
    values = torch.randint(0, 2**40, (300, 5), generator=torch.Generator().manual_seed(0))[torch.arange(600) % 300]
    index, examples = _distinct_tuples(values.T)
    assert len(examples) == 300
    torch.testing.assert_close(values[examples][index], values, atol=0, rtol=0)


@pytest.mark.parametrize(("base", "taps"), [(256, 9), (2, 64), (2**31, 3)])
def test_keys_one_bit_too_long_are_exact(base: int, taps: int):
    """Without a renumbering, a key's first value would be lost: two columns that differ in it alone become one."""
    values = torch.zeros(taps, 3, dtype=torch.int64)
    values[0, 1] = base - 1
    values[1, 2] = base - 1
    index, examples = _distinct_tuples(values)
    assert len(examples) == 3
    torch.testing.assert_close(values[:, examples][:, index], values, atol=0, rtol=0)


def test_windows_of_one_id_beside_mixed_ones():
    ids = torch.tensor([[[7, 7, 7, 2], [7, 7, 7, 2], [7, 7, 7, 2]]])
    index, windows = distinct_windows(ids, 3)
    assert windows[index[0, 0]].tolist() == [[7] * 9, [7, 7, 2] * 3]
