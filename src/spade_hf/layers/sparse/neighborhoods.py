"""The distinct label neighborhoods of a label map.

SPADE's gamma and beta at a pixel are two k x k convolutions of the one-hot mask, so they depend only on the
(2k-1) x (2k-1) labels around that pixel. Real masks have few distinct neighborhoods of this size, so gamma and beta
are computed once for each neighborhood, then gathered. The result is exact.

Legend: N masks, H W height and width, K label codes, of which U occur, T = k * k taps, A distinct k x k
neighborhoods ("patches"), B distinct (2k-1) x (2k-1) neighborhoods, each of them T overlapping patches.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .row_gather import RowGather


@dataclass(frozen=True)
class LabelNeighborhoods:
    """The neighborhood of every pixel, as an index into the distinct neighborhoods.

    Args:
        codes: int64 `(U,)`, the label codes that occur, ascending; the last one, `K`, means outside the image.
        patch_codes: int64 `(A, T)`, each distinct patch as indices into `codes`.
        patch_is_outside: bool `(A,)`, whether the patch's center is outside the image. Its hidden activation is then
            zero, because the second convolution pads with zeros.
        patches: int64 `(B, T)`, each distinct neighborhood as indices into `patch_codes`.
        index: int64 `(N, H, W)`, the neighborhood of every pixel.
        distinct_share: B / (N * H * W), the share of the dense work that remains.
    """

    codes: Tensor
    patch_codes: Tensor
    patch_is_outside: Tensor
    patches: Tensor
    index: Tensor
    distinct_share: float

    @classmethod
    def from_codes(cls, codes: Tensor, *, num_codes: int, kernel_size: int) -> "LabelNeighborhoods":
        """Find the distinct neighborhoods of int64 `codes` `(N, H, W)` in `0..num_codes - 1`."""
        occurring, numbers = _numbering(codes, num_codes)  # (U,), (K + 1,)
        border = (2 * (kernel_size // 2),) * 4
        padded = F.pad(_take(numbers, codes), border, value=len(occurring) - 1)  # (N, H+4r, W+4r)
        patch_ids, patch_codes = distinct_windows(padded, kernel_size)  # (N, H+2r, W+2r), (A', T)
        index, patches = distinct_windows(patch_ids, kernel_size, of_windows=True)  # (N, H, W), (B, T)
        # All patches whose center is outside the image have the same hidden activation, zero: merge them into one.
        # It comes last, and is the only patch whose center is outside.
        is_inside = patch_codes[:, kernel_size**2 // 2] < len(occurring) - 1
        patch_codes = F.pad(patch_codes[is_inside], (0, 0, 0, 1), value=len(occurring) - 1)  # (A, T)
        patches = _take(torch.where(is_inside, is_inside.cumsum(0) - 1, len(patch_codes) - 1), patches)
        patch_is_outside = torch.zeros(len(patch_codes), dtype=torch.bool, device=codes.device)
        patch_is_outside[-1] = True
        return cls(occurring, patch_codes, patch_is_outside, patches, index, len(patches) / index.numel())

    def rows(self, rows: slice) -> "LabelNeighborhoods":
        """Return the neighborhoods of some rows; tables and `distinct_share` stay those of the whole mask."""
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
        """The sum, for each patch, of T rows of a `(U * T, D)` table of codes and taps: `(A, D)`."""
        return RowGather(_rows_of_taps(self.patch_codes), len(self.codes) * self.patch_codes.shape[1])

    @cached_property
    def products_of_neighborhoods(self) -> RowGather:
        """The sum, for each neighborhood, of T rows of an `(A * T, 2C)` table of patches and taps: `(B, 2C)`."""
        return RowGather(_rows_of_taps(self.patches), self.patch_codes.numel())

    @cached_property
    def patches_of_neighborhoods(self) -> RowGather:
        """The list, for each neighborhood, of T rows of an `(A, D)` table of patches: `(B * T, D)`."""
        return RowGather(self.patches.flatten(), self.num_patches)

    @cached_property
    def positions(self) -> RowGather:
        """The row, for each position, of a `(B, C)` table of neighborhoods: `(N * H * W, C)`."""
        return RowGather(self.index.flatten(), self.num_neighborhoods)


def distinct_windows(ids: Tensor, size: int, *, of_windows: bool = False) -> tuple[Tensor, Tensor]:
    """Find distinct `size` x `size` windows of int64 `(N, H, W)`: index `(N, H-size+1, W-size+1)`, windows `(V, T)`.

    Most windows of a real mask hold a single id; these need no search.

    Args:
        of_windows (`bool`, defaults to `False`): Whether each id itself stands for a window of this size. Neighboring
            ids then overlap, so the ids at a window's four corners determine it, and only these are compared.
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
    # ids that fill a whole window are numbered after the mixed windows
    fills_window = torch.zeros(int(ids.max()) + 2, dtype=torch.bool, device=ids.device)
    fills_window.scatter_(0, corners.masked_fill(is_mixed, -1) + 1, True)
    fills_window = fills_window[1:]
    numbers = len(windows) - 1 + fills_window.cumsum(0)
    index = numbers.index_select(0, corners).index_copy_(0, mixed, mixed_index)
    uniform = fills_window.nonzero().expand(-1, size**2)
    return index.view_as(is_uniform), torch.cat([windows, uniform])


def _numbering(codes: Tensor, num_codes: int) -> tuple[Tensor, Tensor]:
    """Return the codes that occur and `num_codes`, ascending `(U,)`, and each code's index among them `(K + 1,)`."""
    occurs = torch.zeros(num_codes + 1, dtype=torch.bool, device=codes.device)
    occurs.scatter_(0, codes.flatten(), True)
    occurs[num_codes] = True
    return occurs.nonzero().squeeze(1), occurs.cumsum(0) - 1


def _is_uniform(ids: Tensor, size: int) -> Tensor:
    """Return whether each window of `(N, H, W)` holds a single id: bool `(N, H-size+1, W-size+1)`."""
    rows = torch.ones_like(ids[:, :, size - 1 :], dtype=torch.bool)  # (N, H, W'): whether a window's row has one id
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
    """Find the distinct columns of int64 `(M, R)`: an index `(R,)` into them, and for each an example `(X,)` in the R.

    Exact: a key encodes the whole column, not a hash of it. Before keys exceed 64 bits, the distinct keys so far are
    renumbered.
    """
    base = int(values.max()) + 1 if values.numel() else 1
    key, num_keys = values[0], base
    for row in values[1:]:
        if num_keys * base > 2**63 - 1:
            distinct, key = torch.unique(key, return_inverse=True)
            num_keys = len(distinct)
        key, num_keys = key * base + row, num_keys * base
    distinct, index = torch.unique(key, return_inverse=True)
    # any position of a column can be its example
    return index, torch.empty_like(distinct).scatter_(0, index, torch.arange(len(index), device=index.device))


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Return `values.flatten()[index]`, two to three times as fast on a CPU."""
    return values.flatten().index_select(0, index.flatten()).view(index.shape)


def _rows_of_taps(ids: Tensor) -> Tensor:
    """Map ids `(R, T)` to row numbers of a table that has T rows per id, one per tap."""
    taps = ids.shape[1]
    return ids * taps + torch.arange(taps, device=ids.device)
