"""A semantic mask that can be read at every resolution of a forward pass.

Legend: N masks, S images of one mask, L semantic channels (classes, unknown, instance edges), H W height and width,
K label codes.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .sparse.neighborhoods import LabelNeighborhoods


@dataclass(frozen=True)
class MaskBand:
    """Some rows of a mask at one resolution.

    Args:
        size (`tuple[int, int]`): Height and width of the resolution.
        rows (`slice`): The rows, out of that height.
    """

    size: tuple[int, int]
    rows: slice


@dataclass(frozen=True, eq=False, kw_only=True)
class SemanticMask:
    """A semantic mask that the layers of one forward pass read at their own resolutions.

    Each resolution is computed once and shared by all layers that read it. A hard mask is stored as one integer code
    per pixel: the label's channel, plus `num_label_channels` on an instance edge.

    Args:
        codes (`Tensor`, *optional*): int64 `(N, H, W)`, codes of a hard mask.
        segmap (`Tensor`, *optional*): float `(N, L, H, W)`, a soft mask. Exactly one of the two is given.
        num_label_channels (`int`): Channels without the edge channel.
        has_edges (`bool`): Whether the last semantic channel holds instance edges.
        dtype (`torch.dtype`): Type of the one-hot maps.
        images_per_mask (`int`, defaults to 1): S, images generated from each mask; they are consecutive in a batch.
        permits_sparse (`bool`, *optional*): Whether the layers of this forward pass can read labels instead of one-hot
            maps; with `None`, each layer decides for itself.
        band (`MaskBand`, *optional*): The rows that the layers read, at one resolution. Default: the whole mask.
    """

    codes: Tensor | None = None
    segmap: Tensor | None = None
    num_label_channels: int
    has_edges: bool
    dtype: torch.dtype
    images_per_mask: int = 1
    permits_sparse: bool | None = None
    band: MaskBand | None = None
    # Caches: maps of the whole mask, so that copies with another S or band share them; modulations by layer, if kept.
    _segmaps: dict[tuple[int, int] | str, Tensor] = field(default_factory=dict, repr=False)
    _neighborhoods: dict[tuple[int, int, int], LabelNeighborhoods] = field(default_factory=dict, repr=False)
    _modulations: dict[Hashable, Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        assert (self.codes is None) != (self.segmap is None)

    @property
    def num_masks(self) -> int:
        """N."""
        return self._given.shape[0]  # `len` would become a constant in an exported graph

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self._given.shape[-2], self._given.shape[-1]

    @property
    def device(self) -> torch.device:
        """The device of the mask."""
        return self._given.device

    @property
    def is_hard(self) -> bool:
        """Whether every pixel has exactly one label, which sparse modulation needs."""
        return self.codes is not None

    @property
    def num_codes(self) -> int:
        """K: the number of label channels, doubled with edges."""
        return self.num_label_channels * (1 + self.has_edges)

    def segmap_at(self, size: tuple[int, int]) -> Tensor:
        """Return the mask as `(N, L, *size)`, resized by nearest neighbor."""
        if self.band is not None:
            return self._whole.segmap_at(self.band.size)[:, :, self.band.rows]  # (N, L, rows, W)
        key = str(size) if torch.compiler.is_exporting() else size  # symbolic sizes are not hashable
        if key not in self._segmaps:
            if self.segmap is not None:
                self._segmaps[key] = F.interpolate(self.segmap, size, mode="nearest").to(self.dtype)
            else:
                self._segmaps[key] = self._one_hot(self.codes_at(size))
        return self._segmaps[key]

    def codes_at(self, size: tuple[int, int]) -> Tensor:
        """Return the codes of a hard mask as int64 `(N, *size)`, at the same pixels that `segmap_at` picks."""
        if self.band is not None:
            return self._whole.codes_at(self.band.size)[:, self.band.rows]
        rows, columns = (
            _nearest_indices(source, target).to(self.device) for source, target in zip(self.size, size, strict=True)
        )  # (H',), (W',)
        assert self.codes is not None
        return self.codes[:, rows[:, None], columns]  # (N, H', W')

    def for_every_image(self, maps: Tensor) -> Tensor:
        """Repeat maps of the masks `(N, ...)` for their images: `(N * S, ...)`."""
        return maps if self.images_per_mask == 1 else maps.repeat_interleave(self.images_per_mask, dim=0)

    def one_by_one(self, x: Tensor) -> Iterator[tuple[Tensor, "SemanticMask"]]:
        """Yield each image of `x` `(N * S, ...)` with its mask, which keeps modulations if it has several images."""
        for mask, images in zip(self._single_masks(), x.split(self.images_per_mask), strict=True):
            if len(images) > 1:
                mask = mask.keeping_modulations()
            for image in images.split(1):
                yield image, mask

    def rows(self, size: tuple[int, int], rows: slice) -> "SemanticMask":
        """Return a view of the mask for layers that process only these rows of an activation of `size`."""
        return replace(self, band=MaskBand(size, rows))

    def keeping_modulations(self) -> "SemanticMask":
        """Return this mask with a caching `modulation`, for layers that read the mask more than once."""
        return self if self._modulations is not None else replace(self, _modulations={})

    def modulation(self, layer: Hashable, compute: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """Return `compute(*inputs)`, or its cached result for this layer if modulations are kept."""
        if self._modulations is None:
            return compute(*inputs)
        if layer not in self._modulations:
            self._modulations[layer] = compute(*inputs)
        return self._modulations[layer]

    def neighborhoods(self, size: tuple[int, int], kernel_size: int) -> LabelNeighborhoods:
        """Find the distinct neighborhoods of a hard mask at `size`; a band shares the tables of the whole mask."""
        if self.band is not None:
            return self._whole.neighborhoods(self.band.size, kernel_size).rows(self.band.rows)
        key = (*size, kernel_size)
        if key not in self._neighborhoods:
            self._neighborhoods[key] = LabelNeighborhoods.from_codes(
                self.codes_at(size), num_codes=self.num_codes, kernel_size=kernel_size
            )
        return self._neighborhoods[key]

    @property
    def _whole(self) -> "SemanticMask":
        return replace(self, band=None)

    @property
    def _given(self) -> Tensor:
        given = self.codes if self.segmap is None else self.segmap
        assert given is not None
        return given

    def _single_masks(self) -> list["SemanticMask"]:
        if self.num_masks == 1:
            return [replace(self, images_per_mask=1)]
        name = "codes" if self.is_hard else "segmap"
        parts = self._given.split(1)
        return [
            replace(self, **{name: one}, images_per_mask=1, _segmaps={}, _neighborhoods={}, _modulations=None)
            for one in parts
        ]

    def _one_hot(self, codes: Tensor) -> Tensor:
        n, h, w = codes.shape
        labels = codes % self.num_label_channels  # (N, H, W), edges removed
        segmap = torch.zeros(n, self.num_label_channels + self.has_edges, h, w, dtype=self.dtype, device=codes.device)
        segmap.scatter_(1, labels[:, None], 1)
        if self.has_edges:
            segmap[:, -1] = codes >= self.num_label_channels  # the last channel
        return segmap  # (N, L, H, W)


def _nearest_indices(source: int, target: int) -> Tensor:
    """Find the source positions with `F.interpolate(mode="nearest")` itself, so that rounding matches.

    Runs on the CPU, because other devices can lack float64.
    """
    positions = torch.arange(source, dtype=torch.float64, device="cpu")[None, None]  # (1, 1, source)
    return F.interpolate(positions, target, mode="nearest")[0, 0].long()
