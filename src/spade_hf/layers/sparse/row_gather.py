"""Sums of table rows with an efficient exact gradient.

The gradient of a gather sums, for each row of the table, the gradients of all outputs that read it. Scattered
additions for this are slow on CPUs, and neither fast nor deterministic on GPUs. Here the outputs are sorted by row
once per mask, and every layer's backward pass is a gather as well.

Legend: R outputs, M rows summed into each, U rows of the table, C columns.
"""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor


class RowGather:
    """The sum of M rows of a table for each of R outputs.

    Args:
        index (`Tensor`): int64 `(R, M)`, or `(R,)` for M = 1, row numbers in `0..num_rows - 1`.
        num_rows (`int`): U.
    """

    def __init__(self, index: Tensor, num_rows: int) -> None:
        self.index = index
        self.num_rows = num_rows

    def __call__(self, table: Tensor) -> Tensor:
        """Map a table `(U, C)` to outputs `(R, C)`; differentiable."""
        return _GatherSum.apply(table, self)

    def forward_sum(self, table: Tensor) -> Tensor:
        """Map a table `(U, C)` to outputs `(R, C)`."""
        if self.index.ndim == 1:
            return table.index_select(0, self.index)
        return F.embedding_bag(self.index, table, mode="sum")

    def transposed_sum(self, rows: Tensor) -> Tensor:
        """Sum, for each row of the table, the outputs that read it: `(R, C)` to `(U, C)`."""
        readers, offsets = self._readers
        return F.embedding_bag(readers, rows, offsets, mode="sum", include_last_offset=True)

    @cached_property
    def _readers(self) -> tuple[Tensor, Tensor]:
        """The outputs that read each row of the table, sorted by row, and each row's start in this list."""
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
