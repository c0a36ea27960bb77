import math

import numpy as np
import pytest
import torch

from spade_hf.images.value_range import check_value_range, scale_values, stored_type, to_stored, unscale_values


def test_numbers_by_their_type():
    for dtype, white in ((torch.uint8, 255), (torch.uint16, 65535), (torch.float32, 1)):
        scaled, clipped = scale_values(torch.tensor([0, white], dtype=dtype), None, argument="`image`")
        assert scaled.tolist() == [0, 1] and scaled.dtype == torch.float32 and clipped == 0


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.float64])
def test_a_range_clips_and_counts(dtype):
    """Hounsfield units, as of a CT: air is below the range, metal above."""
    values = torch.tensor([-1024, -1000, 0, 500, 1000, 3000, 3001, 10], dtype=dtype)
    scaled, clipped = scale_values(values, (-1000.0, 1000.0), argument="`image`")
    assert scaled.tolist() == [0, 0, 0.5, 0.75, 1, 1, 1, pytest.approx(0.505)] and clipped == 3 / 8
    restored = unscale_values(scaled, (-1000.0, 1000.0))
    torch.testing.assert_close(restored, values.float().clamp(-1000, 1000), atol=1e-3, rtol=0)
    np.testing.assert_allclose(unscale_values(scaled.numpy(), (-1000.0, 1000.0)), restored.numpy(), atol=1e-3)


@pytest.mark.parametrize("value_range", [(0, 65535), (0, 4095), (0, 255), (-1000, 1000), (0, 1)])
def test_what_is_scaled_is_stored_again(value_range):
    """Every whole number of the range, exactly."""
    values = torch.arange(value_range[0], value_range[1] + 1)
    scaled, clipped = scale_values(values, value_range, argument="`image`")
    assert clipped == 0
    stored = to_stored(scaled, value_range)
    assert stored.dtype == stored_type(value_range)
    assert np.abs(stored.astype(np.float64) - values.numpy()).max() < (1e-3 if stored.dtype == np.float32 else 0.5)


def test_types_of_files():
    kinds = {None: "uint8", (0, 255): "uint8", (0, 4095): "uint16", (0, 65535): "uint16", (10, 300): "uint16"}
    kinds |= {(0, 1): "float32", (-1000, 1000): "float32", (0.0, 99.5): "float32", (0, 65536): "float32"}
    assert {value_range: stored_type(value_range).name for value_range in kinds} == kinds


@pytest.mark.parametrize("value_range", [(1,), (1, 2, 3), "ab", 5, (0, math.nan), (0, math.inf), ("0", "1")])
def test_ranges_that_are_none(value_range):
    with pytest.raises(ValueError, match="`value_range` is .*; give two numbers, the values of black and of white"):
        check_value_range(value_range)


@pytest.mark.parametrize("value_range", [(5, 5), (1000, -1000)])
def test_a_range_without_values(value_range):
    with pytest.raises(ValueError, match=r"`value_range` is \S+ to \S+, which holds no values"):
        check_value_range(value_range)
    assert check_value_range([0, 5]) == (0.0, 5.0) and check_value_range(None) is None


def test_values_that_are_not_finite_are_counted():
    values = torch.tensor([0.5, math.nan, math.inf, -math.inf, math.nan])
    for value_range in (None, (0.0, 1.0)):
        message = "`image` has 2 values that are NaN and 2 that are infinite, of 5"
        with pytest.raises(ValueError, match=message):
            scale_values(values, value_range, argument="`image`")


@pytest.mark.parametrize("values", [torch.tensor([-5, 5]), torch.tensor([0.0, 1.5])])
def test_numbers_that_need_a_range(values):
    with pytest.raises(ValueError, match="give `value_range`, the values of black and white"):
        scale_values(values, None, argument="`image`")


def test_8_bits_among_16():
    """They would be nearly black."""
    with pytest.raises(ValueError, match="has 8 bits, so values up to 255, but `value_range` is 0 to 65535"):
        scale_values(torch.zeros(3, dtype=torch.uint8), (0.0, 65535.0), argument="`image`")
