"""The distinct label neighbourhoods of a label map.

gamma and beta of SPADE at a pixel are two k x k convolutions of the one-hot mask, so they depend on nothing but the
(2k-1) x (2k-1) labels around that pixel. Real masks have few distinct ones: compute gamma and beta once for each, and
gather. Nothing is approximated.

Legend: N masks, H W height and width, K label codes, of which U occur, T = k * k taps, A distinct k x k
neighbourhoods ("patches"), B distinct (2k-1) x (2k-1) neighbourhoods, each of them T overlapping patches.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .row_gather import RowGather


@dataclass(frozen=True)
class LabelNeighborhoods:
    """Every pixel's neighbourhood, as an index into the distinct ones.

    Args:
        codes: int64 `(U,)`, the label codes that occur, ascending; the last one is `K`, for outside the image.
        patch_codes: int64 `(A, T)`, each distinct patch as indices of codes.
        patch_is_outside: bool `(A,)`, whether the patch's own centre lies outside the image: its hidden activation is
            zero there, since the second convolution pads with zeros.
        patches: int64 `(B, T)`, each distinct neighbourhood as indices of patches.
        index: int64 `(N, H, W)`, the neighbourhood of every pixel.
        distinct_share: B / (N * H * W), how much of the dense work is left.
    """

    codes: Tensor
    patch_codes: Tensor
    patch_is_outside: Tensor
    patches: Tensor
    index: Tensor
    distinct_share: float

    @classmethod
    def from_codes(cls, codes: Tensor, *, num_codes: int, kernel_size: int) -> "LabelNeighborhoods":
        """Find the distinct neighbourhoods of int64 `codes` `(N, H, W)` in `0..num_codes - 1`."""
        n, h, w = codes.shape
        radius = kernel_size // 2
        padded = F.pad(codes, (2 * radius,) * 4, value=num_codes)  # (N, H+4r, W+4r)
        patch_ids, patch_codes = distinct_windows(padded, kernel_size)  # (N, H+2r, W+2r), (A, T)
        # A patch around a position outside the image is all "outside", whatever labels it touches: merge them into
        # one. It is appended last, and is the only one whose centre is outside.
        outside = torch.ones_like(patch_ids, dtype=torch.bool)
        outside[:, radius : radius + h, radius : radius + w] = False
        patch_ids = patch_ids.masked_fill(outside, len(patch_codes))
        patch_codes = torch.cat([patch_codes, patch_codes.new_full((1, kernel_size**2), num_codes)])
        index, patches = distinct_windows(patch_ids, kernel_size)  # (N, H, W), (B, T)
        patch_is_outside = torch.zeros(len(patch_codes), dtype=torch.bool, device=codes.device)
        patch_is_outside[-1] = True
        codes, patch_codes = torch.unique(patch_codes, return_inverse=True)
        return cls(codes, patch_codes, patch_is_outside, patches, index, len(patches) / index.numel())

    def rows(self, rows: slice) -> "LabelNeighborhoods":
        """Those of some rows of the pixels; the tables, and their share, stay those of the whole."""
        return replace(self, index=self.index[:, rows])

    @property
    def num_masks(self) -> int:
        """N."""
        return len(self.index)

    @property
    def num_patches(self) -> int:
        """A."""
        return len(self.patch_codes)

    @property
    def num_neighborhoods(self) -> int:
        """B."""
        return len(self.patches)

    @cached_property
    def labels_of_patches(self) -> RowGather:
        """Sums the T rows of a `(U * T, D)` table of codes and taps that make up each patch, `(A, D)`."""
        return RowGather(_rows_of_taps(self.patch_codes), len(self.codes) * self.patch_codes.shape[1])

    @cached_property
    def products_of_neighborhoods(self) -> RowGather:
        """Sums the T rows of an `(A * T, 2C)` table of patches and taps that make up each neighbourhood, `(B, 2C)`."""
        return RowGather(_rows_of_taps(self.patches), self.patch_codes.numel())

    @cached_property
    def patches_of_neighborhoods(self) -> RowGather:
        """Lists the T rows of an `(A, D)` table of patches that make up each neighbourhood, `(B * T, D)`."""
        return RowGather(self.patches.flatten(), self.num_patches)

    @cached_property
    def positions(self) -> RowGather:
        """Spreads a `(B, C)` table of neighbourhoods over the positions, `(N * H * W, C)`."""
        return RowGather(self.index.flatten(), self.num_neighborhoods)


def distinct_windows(ids: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Distinct `size` x `size` windows of int64 `ids` `(N, H, W)`: index `(N, H-size+1, W-size+1)`, windows `(V, T)`.

    Most windows of a real mask hold one id only: those need no search.
    """
    n, h, w = ids.shape
    corners = ids[:, : h - size + 1, : w - size + 1].flatten()  # (N * H' * W',), the first id of every window
    places = torch.arange(ids.numel(), device=ids.device).view_as(ids)
    is_uniform = _is_uniform(ids, size)  # (N, H', W')
    is_mixed = is_uniform.logical_not().flatten()
    mixed = is_mixed.nonzero().squeeze(1)  # (M,)
    first = places[:, : h - size + 1, : w - size + 1].flatten().index_select(0, mixed)
    taps = places[0, :size, :size].flatten()  # relative to the first
    windows = ids.flatten().index_select(0, (first[:, None] + taps).flatten()).view(-1, size**2)
    mixed_index, distinct = _distinct_tuples(windows)  # (M,), (X, T)
    # number the ids that fill a window after the mixed windows
    fills_window = torch.zeros(int(ids.max()) + 2, dtype=torch.bool, device=ids.device)
    fills_window.scatter_(0, corners.masked_fill(is_mixed, -1) + 1, True)
    fills_window = fills_window[1:]
    numbers = len(distinct) - 1 + fills_window.cumsum(0)
    index = numbers.index_select(0, corners).index_copy_(0, mixed, mixed_index)
    uniform = fills_window.nonzero().expand(-1, size**2)
    return index.view_as(is_uniform), torch.cat([distinct, uniform])


def _is_uniform(ids: Tensor, size: int) -> Tensor:
    """Whether each window of `(N, H, W)` holds a single id: bool `(N, H-size+1, W-size+1)`."""
    rows = torch.ones_like(ids[:, :, size - 1 :], dtype=torch.bool)  # (N, H, W'): the row of a window is of one id
    same_as_right = ids[:, :, 1:] == ids[:, :, :-1]
    for offset in range(size - 1):
        rows &= same_as_right[:, :, offset : offset + rows.shape[2]]
    out = rows[:, : ids.shape[1] - size + 1].clone()
    same_as_below = ids[:, 1:, : rows.shape[2]] == ids[:, :-1, : rows.shape[2]]
    for offset in range(size - 1):
        out &= same_as_below[:, offset : offset + out.shape[1]]
        out &= rows[:, offset + 1 : offset + 1 + out.shape[1]]
    return out


def _distinct_tuples(values: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows of int64 `(R, M)`: index `(R,)` and the distinct rows `(X, M)`.

    Exact: a key holds the whole row, never a hash of it. Where it would not fit into 64 bits, what it holds so far is
    numbered anew.
    """
    if len(values) == 0:
        return values[:, 0], values
    base = int(values.max()) + 1
    key, num_keys = values[:, 0], base
    for column in values.T[1:]:
        if num_keys * base > 2**63 - 1:
            distinct, key = torch.unique(key, return_inverse=True)
            num_keys = len(distinct)
        key, num_keys = key * base + column, num_keys * base
    distinct, index = torch.unique(key, return_inverse=True)
    # any place where a row occurs shows its values
    places = torch.empty_like(distinct).scatter_(0, index, torch.arange(len(index), device=index.device))
    return index, values[places]


def _rows_of_taps(ids: Tensor) -> Tensor:
    """`(R, T)` ids to rows of a table that has T rows for each id, one for each tap."""
    taps = ids.shape[1]
    return ids * taps + torch.arange(taps, device=ids.device)
