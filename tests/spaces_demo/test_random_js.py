"""The page's random styles, drawn by Node.js, are PyTorch's."""

import pytest
import torch


pytestmark = pytest.mark.pages


def test_the_same_seed_gives_the_same_numbers(node):
    cases = [(0, 64), (7, 1), (12, 8), (2**31 - 1, 15), (5, 40), (999_999, 700)]
    body = "return given.map(([seed, count]) => Array.from(randn(seed, count)));"
    for (seed, count), numbers in zip(cases, node('{ randn } from "./random.js"', body, cases), strict=True):
        expected = torch.randn(count, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(torch.tensor(numbers), expected, atol=1e-6, rtol=1e-5)
