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
        occurring, numbers = _numbering(codes, num_codes)  # (U,), (K + 1,)
        border = (2 * (kernel_size // 2),) * 4
        padded = F.pad(_take(numbers, codes), border, value=len(occurring) - 1)  # (N, H+4r, W+4r)
        patch_ids, patch_codes = distinct_windows(padded, kernel_size)  # (N, H+2r, W+2r), (A', T)
        index, patches = distinct_windows(patch_ids, kernel_size, of_windows=True)  # (N, H, W), (B, T)
        # A patch around a position outside the image is all "outside", whatever labels it touches: merge them into
        # one. It comes last, and is the only one whose centre is outside.
        is_inside = patch_codes[:, kernel_size**2 // 2] < len(occurring) - 1
        patch_codes = F.pad(patch_codes[is_inside], (0, 0, 0, 1), value=len(occurring) - 1)  # (A, T)
        patches = _take(torch.where(is_inside, is_inside.cumsum(0) - 1, len(patch_codes) - 1), patches)
        patch_is_outside = torch.zeros(len(patch_codes), dtype=torch.bool, device=codes.device)
        patch_is_outside[-1] = True
        return cls(occurring, patch_codes, patch_is_outside, patches, index, len(patches) / index.numel())

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


def distinct_windows(ids: Tensor, size: int, *, of_windows: bool = False) -> tuple[Tensor, Tensor]:
    """Distinct `size` x `size` windows of int64 `ids` `(N, H, W)`: index `(N, H-size+1, W-size+1)`, windows `(V, T)`.

    Most windows of a real mask hold one id only: those need no search.

    Args:
        of_windows (`bool`, defaults to `False`): Whether each id stands for such a window itself. They overlap, so
            that the ids at the four corners tell all that a window shows, and are all that has to be compared.
    """
    n, h, w = ids.shape
    corners = ids[:, : h - size + 1, : w - size + 1].flatten()  # (N * H' * W',), the first id of every window
    places = torch.arange(ids.numel(), device=ids.device).view_as(ids)
    is_uniform = _is_uniform(ids, size)  # (N, H', W')
    is_mixed = is_uniform.logical_not().flatten()
    mixed = is_mixed.nonzero().squeeze(1)  # (M,)
    first = places[:, : h - size + 1, : w - size + 1].flatten().index_select(0, mixed)
    taps = places[0, :size, :size]  # relative to the first
    compared = taps[:: size - 1, :: size - 1] if of_windows and size > 1 else taps
    values = _take(ids, compared.flatten()[:, None] + first)  # (T or 4, M)
    mixed_index, examples = _distinct_tuples(values)  # (M,), (X,)
    windows = _take(ids, first[examples][:, None] + taps.flatten())  # (X, T)
    # number the ids that fill a window after the mixed windows
    fills_window = torch.zeros(int(ids.max()) + 2, dtype=torch.bool, device=ids.device)
    fills_window.scatter_(0, corners.masked_fill(is_mixed, -1) + 1, True)
    fills_window = fills_window[1:]
    numbers = len(windows) - 1 + fills_window.cumsum(0)
    index = numbers.index_select(0, corners).index_copy_(0, mixed, mixed_index)
    uniform = fills_window.nonzero().expand(-1, size**2)
    return index.view_as(is_uniform), torch.cat([windows, uniform])


def _numbering(codes: Tensor, num_codes: int) -> tuple[Tensor, Tensor]:
    """The codes that occur, and `num_codes`, ascending `(U,)`; and the number among them of each code `(K + 1,)`."""
    occurs = torch.zeros(num_codes + 1, dtype=torch.bool, device=codes.device)
    occurs.scatter_(0, codes.flatten(), True)
    occurs[num_codes] = True
    return occurs.nonzero().squeeze(1), occurs.cumsum(0) - 1


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
    """Distinct columns of int64 `(M, R)`: index `(R,)` into them, and for each an example `(X,)`, one of the R.

    Exact: a key holds the whole column, never a hash of it. Where it would not fit into 64 bits, what it holds so far
    is numbered anew.
    """
    base = int(values.max()) + 1 if values.numel() else 1
    key, num_keys = values[0], base
    for row in values[1:]:
        if num_keys * base > 2**63 - 1:
            distinct, key = torch.unique(key, return_inverse=True)
            num_keys = len(distinct)
        key, num_keys = key * base + row, num_keys * base
    distinct, index = torch.unique(key, return_inverse=True)
    # any place where a value occurs is an example
    return index, torch.empty_like(distinct).scatter_(0, index, torch.arange(len(index), device=index.device))


def _take(values: Tensor, index: Tensor) -> Tensor:
    """`values.flatten()[index]`, two to three times as fast on a CPU."""
    return values.flatten().index_select(0, index.flatten()).view(index.shape)


def _rows_of_taps(ids: Tensor) -> Tensor:
    """`(R, T)` ids to rows of a table that has T rows for each id, one for each tap."""
    taps = ids.shape[1]
    return ids * taps + torch.arange(taps, device=ids.device)
