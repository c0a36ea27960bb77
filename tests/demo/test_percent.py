"""Shares as text."""

from spade_hf.demo.percent import percent, percent_of_pixels


def test_a_small_share_is_not_nothing():
    shares = (0.001, 0.25, 1.0)
    assert [percent_of_pixels(share) for share in shares] == ["less than 1 %", "25 %", "100 %"]
    assert [percent(share) for share in shares] == ["0 %", "25 %", "100 %"]
