"""Sums of table rows with an efficient exact gradient.

The gradient of a gather adds up, for each row of the table, the gradients of all places that read it. Done by
scattered additions that is slow on CPUs, and neither fast nor repeatable on GPUs. Here the places are sorted by row
once for each mask, and every layer's backward pass is a gather as well.

Legend: R outputs, M rows summed into each, U rows of the table, C columns.
"""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor


class RowGather:
    """The sum of M rows of a table for each of R outputs.

    Args:
        index (`Tensor`): int64 `(R, M)`, or `(R,)` for one row each, rows of the table, in `0..num_rows - 1`.
        num_rows (`int`): U.
    """

    def __init__(self, index: Tensor, num_rows: int) -> None:
        self.index = index
        self.num_rows = num_rows

    def __call__(self, table: Tensor) -> Tensor:
        """`(U, C)` to `(R, C)`, differentiable."""
        return _GatherSum.apply(table, self)

    def forward_sum(self, table: Tensor) -> Tensor:
        """`(U, C)` to `(R, C)`."""
        if self.index.ndim == 1:
            return table.index_select(0, self.index)
        return F.embedding_bag(self.index, table, mode="sum")

    def transposed_sum(self, rows: Tensor) -> Tensor:
        """`(R, C)` to `(U, C)`: the sum, for each row of the table, of the outputs that read it."""
        readers, offsets = self._readers
        return F.embedding_bag(readers, rows, offsets, mode="sum", include_last_offset=True)

    @cached_property
    def _readers(self) -> tuple[Tensor, Tensor]:
        """The outputs that read each row of the table, one row's after the other's, and where each row's begin."""
        flat = self.index.flatten()
        readers = flat.argsort(stable=True) // (flat.numel() // len(self.index))  # (R * M,)
        counts = torch.bincount(flat, minlength=self.num_rows)  # (U,)
        return readers, F.pad(counts.cumsum(0), (1, 0))  # (U + 1,)


class _GatherSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table: Tensor, gather: RowGather) -> Tensor:
        ctx.gather = gather
        return gather.forward_sum(table)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.gather.transposed_sum(grad.contiguous()), None
