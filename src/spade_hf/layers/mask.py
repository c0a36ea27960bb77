"""A semantic mask that can be read at every resolution of a forward pass.

Legend: N masks, S images of one mask, L semantic channels (classes, unknown, instance edges, condition), P condition
channels, H W height and width, K label codes.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..execution.graphs import is_exporting
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
        segmap (`Tensor`, *optional*): float `(N, L - P, H, W)`, a soft mask. One of the two is given at most, and one
            at least unless there is a condition.
        condition (`Tensor`, *optional*): float `(N, P, H, W)`, planes of real numbers beside the labels. Unlike
            labels they can be averaged, and are where they are made smaller.
        num_label_channels (`int`): Channels without edges and condition; 0 if there are no labels.
        has_edges (`bool`): Whether the channel behind those of the labels holds instance edges.
        dtype (`torch.dtype`): Type of the one-hot maps.
        images_per_mask (`int`, defaults to 1): S, images generated from each mask; they are consecutive in a batch.
        permits_sparse (`bool`, *optional*): Whether the layers of this forward pass can read labels instead of one-hot
            maps; with `None`, each layer decides for itself.
        band (`MaskBand`, *optional*): The rows that the layers read, at one resolution. Default: the whole mask.
    """

    codes: Tensor | None = None
    segmap: Tensor | None = None
    condition: Tensor | None = None
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
        assert self.codes is None or self.segmap is None
        assert any(one is not None for one in (self.codes, self.segmap, self.condition))

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
        """Whether every pixel has exactly one label and nothing beside it, which sparse modulation needs."""
        return self.codes is not None and self.condition is None

    @property
    def num_codes(self) -> int:
        """K: the number of label channels, doubled with edges."""
        return self.num_label_channels * (1 + self.has_edges)

    def segmap_at(self, size: tuple[int, int]) -> Tensor:
        """Return the mask as `(N, L, *size)`: labels resized by nearest neighbor, then the condition, averaged."""
        if self.band is not None:
            return self._whole.segmap_at(self.band.size)[:, :, self.band.rows]  # (N, L, rows, W)
        key = str(size) if is_exporting() else size  # symbolic sizes are not hashable
        if key not in self._segmaps:
            maps = []
            if self.segmap is not None:
                maps.append(F.interpolate(self.segmap, size, mode="nearest").to(self.dtype))
            elif self.codes is not None:
                maps.append(self._one_hot(self.codes_at(size)))
            if self.condition is not None:
                maps.append(_averaged(self.condition, size).to(self.dtype))
            self._segmaps[key] = maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)
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
        return next(one for one in (self.codes, self.segmap, self.condition) if one is not None)

    def _single_masks(self) -> list["SemanticMask"]:
        if self.num_masks == 1:
            return [replace(self, images_per_mask=1)]
        given = {name: one for name in ("codes", "segmap", "condition") if (one := getattr(self, name)) is not None}
        return [
            replace(
                self,
                **dict(zip(given, parts, strict=True)),
                images_per_mask=1,
                _segmaps={},
                _neighborhoods={},
                _modulations=None,
            )
            for parts in zip(*(one.split(1) for one in given.values()), strict=True)
        ]

    def _one_hot(self, codes: Tensor) -> Tensor:
        n, h, w = codes.shape
        labels = codes % self.num_label_channels  # (N, H, W), edges removed
        segmap = torch.zeros(n, self.num_label_channels + self.has_edges, h, w, dtype=self.dtype, device=codes.device)
        segmap.scatter_(1, labels[:, None], 1)
        if self.has_edges:
            segmap[:, -1] = codes >= self.num_label_channels  # the last channel
        return segmap  # (N, L, H, W)


def _averaged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps `(N, P, H, W)` by the mean over each new pixel."""
    if maps.shape[-2:] == size:
        return maps
    rows, columns = maps.shape[-2] // size[0], maps.shape[-1] // size[1]
    if (rows * size[0], columns * size[1]) == maps.shape[-2:]:  # of a generator always, which can thus be exported
        return F.avg_pool2d(maps, (int(rows), int(columns)))
    return F.interpolate(maps, size, mode="area")


def _nearest_indices(source: int, target: int) -> Tensor:
    """Find the source positions with `F.interpolate(mode="nearest")` itself, so that rounding matches.

    Runs on the CPU, because other devices can lack float64.
    """
    positions = torch.arange(source, dtype=torch.float64, device="cpu")[None, None]  # (1, 1, source)
    return F.interpolate(positions, target, mode="nearest")[0, 0].long()
