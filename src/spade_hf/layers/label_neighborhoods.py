"""The distinct label neighbourhoods of a label map.

gamma and beta of SPADE at a pixel are two k x k convolutions of the one-hot mask, so they depend on nothing but the
(2k-1) x (2k-1) labels around that pixel. Real masks have few distinct ones: compute gamma and beta once for each, and
gather. Nothing is approximated.

Legend: N batch, H W height and width, K label codes, T = k * k taps, A distinct k x k neighbourhoods ("patches"),
B distinct (2k-1) x (2k-1) neighbourhoods, each of them T overlapping patches.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .row_gather import RowGather


@dataclass(frozen=True)
class LabelNeighborhoods:
    """Every pixel's neighbourhood, as an index into the distinct ones.

    Args:
        num_codes: K.
        patch_codes: int64 `(A, T)`, label codes of each distinct patch, `K` where the position lies outside the image.
        patch_is_outside: bool `(A,)`, whether the patch's own centre lies outside the image: its hidden activation is
            zero there, since the second convolution pads with zeros.
        patches: int64 `(B, T)`, each distinct neighbourhood as indices of patches.
        index: int64 `(N * H * W,)`, the neighbourhood of every pixel, in row-major order.
    """

    num_codes: int
    patch_codes: Tensor
    patch_is_outside: Tensor
    patches: Tensor
    index: Tensor

    @cached_property
    def labels_of_patches(self) -> RowGather:
        """Sums the T rows of a `((K+1) * T, D)` table of codes and taps that make up each patch, `(A, D)`."""
        return RowGather(_row_of_tap(self.patch_codes), (self.num_codes + 1) * self.patch_codes.shape[1])

    @cached_property
    def products_of_neighborhoods(self) -> RowGather:
        """Sums the T rows of an `(A * T, 2C)` table of patches and taps that make up each neighbourhood, `(B, 2C)`."""
        return RowGather(_row_of_tap(self.patches), len(self.patch_codes) * self.patch_codes.shape[1])

    @cached_property
    def patches_of_neighborhoods(self) -> RowGather:
        """Lists the T rows of an `(A, D)` table of patches that make up each neighbourhood, `(B * T, D)`."""
        return RowGather(self.patches.view(-1, 1), len(self.patch_codes))

    @cached_property
    def positions(self) -> RowGather:
        """Spreads a `(B, C)` table of neighbourhoods over the positions, `(N * H * W, C)`."""
        return RowGather(self.index[:, None], len(self.patches))

    @classmethod
    def from_codes(cls, codes: Tensor, *, num_codes: int, kernel_size: int) -> "LabelNeighborhoods":
        """Find the distinct neighbourhoods of int64 `codes` `(N, H, W)` in `0..num_codes - 1`."""
        n, h, w = codes.shape
        radius = kernel_size // 2
        padded = F.pad(codes, (2 * radius,) * 4, value=num_codes)  # (N, H+4r, W+4r)
        patch_ids, patch_codes = _distinct_windows(padded, kernel_size)  # (N, H+2r, W+2r), (A, T)
        # A patch around a position outside the image is all "outside", whatever labels it touches: merge them into
        # one. It is appended last, and is the only one whose centre is outside.
        outside = torch.ones_like(patch_ids, dtype=torch.bool)
        outside[:, radius : radius + h, radius : radius + w] = False
        patch_ids = patch_ids.masked_fill(outside, len(patch_codes))
        patch_codes = torch.cat([patch_codes, patch_codes.new_full((1, kernel_size**2), num_codes)])
        index, patches = _distinct_windows(patch_ids, kernel_size)  # (N, H, W), (B, T)
        patch_is_outside = torch.zeros(len(patch_codes), dtype=torch.bool, device=codes.device)
        patch_is_outside[-1] = True
        return cls(num_codes, patch_codes, patch_is_outside, patches, index.flatten())


def _row_of_tap(ids: Tensor) -> Tensor:
    """`(R, T)` ids to rows of a table that has T rows for each id, one for each tap."""
    taps = ids.shape[1]
    return ids * taps + torch.arange(taps, device=ids.device)


def _distinct_windows(ids: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Distinct `size` x `size` windows of int64 `ids` `(N, H, W)`: index `(N, H-size+1, W-size+1)`, windows `(U, T)`.

    Separable: first the distinct rows of a window, then the distinct triples (say) of rows, so that a key always fits
    into 64 bits and no two windows are ever merged.
    """
    row_index, rows = _distinct_tuples(ids.unfold(2, size, 1))  # (N, H, W'), (R, size)
    index, triples = _distinct_tuples(row_index.unfold(1, size, 1))  # (N, H', W'), (U, size)
    return index, rows[triples].flatten(1)


def _distinct_tuples(values: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct tuples along the last axis of int64 `(..., M)`: index `(...)` and the tuples `(U, M)`."""
    base = int(values.max()) + 1
    if base ** values.shape[-1] > 2**63 - 1:
        raise ValueError(
            f"The masks of one batch have {base} distinct label patterns; exact sparse modulation packs at most "
            "2**21 of them. Use a smaller batch or size, or `set_modulation_backend('dense')`."
        )
    key = values[..., 0]
    for tap in range(1, values.shape[-1]):
        key = key * base + values[..., tap]
    distinct, index = torch.unique(key, return_inverse=True)
    powers = base ** torch.arange(values.shape[-1] - 1, -1, -1, device=values.device)
    return index, distinct[:, None] // powers % base
