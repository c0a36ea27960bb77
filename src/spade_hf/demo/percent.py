"""Shares as the page says them."""

import math


def percent(share: float) -> str:
    """Format a share: 0.5 is "50 %". Halves are rounded up, as the static page's `Math.round` does."""
    return f"{math.floor(100 * share + 0.5)} %"


def percent_of_pixels(share: float) -> str:
    """Format a share of an image's pixels; a small one is not rounded to 0."""
    return "less than 1 %" if share < 0.01 else percent(share)
