"""Work in bands: what it gives, and what it must not touch."""

import pytest
import torch
import torch.nn.functional as F

from spade_hf.models.tiling import map_bands


@pytest.mark.parametrize("num_bands", [1, 2, 3, 7, 13, 50])
@pytest.mark.parametrize("scale", [1, 2])
def test_bands_of_two_convolutions_are_those_of_the_whole(scale: int, num_bands: int):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 13, 5, generator=rng, dtype=torch.float64)
    first, second = (torch.randn(3, 3, 3, 3, generator=rng, dtype=torch.float64) for _ in range(2))

    def work(x: torch.Tensor, _: slice) -> torch.Tensor:
        return F.conv2d(F.conv2d(F.interpolate(x, scale_factor=scale), first, padding=1), second, padding=1)

    banded = map_bands(work, x, num_bands=num_bands, halo=2)
    torch.testing.assert_close(banded, work(x, slice(0, 13)))


def test_work_is_told_its_rows():
    x = torch.arange(10.0).view(1, 1, 10, 1)

    def work(part: torch.Tensor, rows: slice) -> torch.Tensor:
        assert part.flatten().tolist() == list(range(rows.start, rows.stop))
        return part * 2

    torch.testing.assert_close(map_bands(work, x, num_bands=4, halo=1), x * 2)
