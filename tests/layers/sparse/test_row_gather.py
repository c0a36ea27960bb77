import pytest
import torch

from spade_hf.layers.sparse.row_gather import RowGather


@pytest.mark.parametrize("shape", [(50,), (50, 4)])
def test_sums_and_gradients(shape: tuple[int, ...]):
    rng = torch.Generator().manual_seed(0)
    index = torch.randint(0, 7, shape, generator=rng)  # row 7 and 8 are never read
    table = torch.randn(9, 3, dtype=torch.float64, generator=rng, requires_grad=True)
    gather = RowGather(index, num_rows=9)
    expected = table[index] if index.ndim == 1 else table[index].sum(1)
    torch.testing.assert_close(gather(table), expected)
    probe = torch.randn(50, 3, dtype=torch.float64, generator=rng)
    (gradient,) = torch.autograd.grad((gather(table) * probe).sum(), table)
    (expected_gradient,) = torch.autograd.grad((expected * probe).sum(), table)
    torch.testing.assert_close(gradient, expected_gradient)
    assert torch.autograd.gradcheck(gather, table)
