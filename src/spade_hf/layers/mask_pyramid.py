"""One mask at every resolution of a forward pass.

Legend: N masks, S images of one mask, L semantic channels (classes, unknown, instance edges), H W height and width,
K label codes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .label_neighborhoods import LabelNeighborhoods


class MaskPyramid:
    """A semantic mask that the layers of one forward pass read at their own resolutions.

    Each resolution is computed once and shared by all layers that ask for it. A hard mask is held as one integer code
    a pixel: the label's channel, plus the number of labels where an instance edge runs.

    Args:
        codes (`Tensor`, *optional*): int64 `(N, H, W)`, codes of a hard mask.
        segmap (`Tensor`, *optional*): float `(N, L, H, W)`, a soft mask. Exactly one of the two is given.
        num_label_channels (`int`): Channels without the edge channel.
        has_edges (`bool`): Whether the last semantic channel holds instance edges.
        dtype (`torch.dtype`): Type of the one-hot maps.
        images_per_mask (`int`, defaults to 1): S, images that are made of each mask, side by side in a batch.
    """

    def __init__(
        self,
        *,
        codes: Tensor | None = None,
        segmap: Tensor | None = None,
        num_label_channels: int,
        has_edges: bool,
        dtype: torch.dtype,
        images_per_mask: int = 1,
    ) -> None:
        assert (codes is None) != (segmap is None)
        self._codes, self._segmap = codes, segmap
        self.num_label_channels = num_label_channels
        self.has_edges = has_edges
        self.dtype = dtype
        self.images_per_mask = images_per_mask
        given = codes if segmap is None else segmap
        self.num_masks, self.size, self.device = len(given), tuple(given.shape[-2:]), given.device
        self._segmaps: dict[tuple[int, int], Tensor] = {}
        self._neighborhoods: dict[tuple[int, int, int], LabelNeighborhoods] = {}
        self._modulations: dict[nn.Module, Tensor] | None = None

    @property
    def is_hard(self) -> bool:
        """Whether every pixel carries exactly one label, as sparse modulation needs."""
        return self._codes is not None

    @property
    def num_codes(self) -> int:
        """K: labels, twice as many with edges."""
        return self.num_label_channels * (1 + self.has_edges)

    def segmap(self, size: tuple[int, int]) -> Tensor:
        """The mask as `(N, L, *size)`, resized by nearest neighbour."""
        if size not in self._segmaps:
            if self._segmap is not None:
                self._segmaps[size] = F.interpolate(self._segmap, size, mode="nearest").to(self.dtype)
            else:
                self._segmaps[size] = self._one_hot(self.codes(size))
        return self._segmaps[size]

    def codes(self, size: tuple[int, int]) -> Tensor:
        """The codes of a hard mask as int64 `(N, *size)`, of the same pixels that `segmap` picks."""
        rows, columns = (
            _nearest_indices(source, target).to(self.device) for source, target in zip(self.size, size, strict=True)
        )
        return self._codes[:, rows[:, None], columns]

    def for_every_image(self, maps: Tensor) -> Tensor:
        """`(N, ...)` of masks to `(N * S, ...)` of images."""
        return maps if self.images_per_mask == 1 else maps.repeat_interleave(self.images_per_mask, dim=0)

    def one_by_one(self, x: Tensor) -> Iterator[tuple[Tensor, "MaskPyramid"]]:
        """Each image of `x` `(N * S, ...)` with its mask, which keeps modulations for the S images."""
        for mask, images in zip(self._single_masks(), x.split(self.images_per_mask), strict=True):
            mask.images_per_mask = 1
            with mask.keeping_modulations() if len(images) > 1 else nullcontext():
                for image in images.split(1):
                    yield image, mask

    @contextmanager
    def keeping_modulations(self) -> Iterator[None]:
        """Let `modulation` remember, for layers that read the mask more than once."""
        outer = self._modulations
        self._modulations = {} if outer is None else outer
        try:
            yield
        finally:
            self._modulations = outer

    def modulation(self, layer: nn.Module, compute: Callable[[], Tensor]) -> Tensor:
        """`compute()`, or what it gave for this layer before, while modulations are kept."""
        if self._modulations is None:
            return compute()
        if layer not in self._modulations:
            self._modulations[layer] = compute()
        return self._modulations[layer]

    def neighborhoods(self, size: tuple[int, int], kernel_size: int) -> LabelNeighborhoods:
        """The distinct neighbourhoods of a hard mask at `size`."""
        key = (*size, kernel_size)
        if key not in self._neighborhoods:
            self._neighborhoods[key] = LabelNeighborhoods.from_codes(
                self.codes(size), num_codes=self.num_codes, kernel_size=kernel_size
            )
        return self._neighborhoods[key]

    def _single_masks(self) -> list["MaskPyramid"]:
        if self.num_masks == 1:
            return [self]
        name, maps = ("codes", self._codes) if self.is_hard else ("segmap", self._segmap)
        options = {"num_label_channels": self.num_label_channels, "has_edges": self.has_edges, "dtype": self.dtype}
        return [MaskPyramid(**{name: mask}, **options) for mask in maps.split(1)]

    def _one_hot(self, codes: Tensor) -> Tensor:
        n, h, w = codes.shape
        labels = codes % self.num_label_channels
        segmap = torch.zeros(n, self.num_label_channels + self.has_edges, h, w, dtype=self.dtype, device=codes.device)
        segmap.scatter_(1, labels[:, None], 1)
        if self.has_edges:
            segmap[:, -1] = codes >= self.num_label_channels
        return segmap


class MaskBand:
    """Some rows of a hard mask at one resolution, in place of the mask, for layers that get these rows alone.

    Args:
        mask (`MaskPyramid`): The whole mask.
        size (`tuple[int, int]`): Height and width of the resolution.
        rows (`slice`): Of that height.
    """

    is_hard = True
    images_per_mask = 1

    def __init__(self, mask: MaskPyramid, size: tuple[int, int], rows: slice) -> None:
        self._mask, self._size, self._rows = mask, size, rows
        self.has_edges, self.device = mask.has_edges, mask.device
        self.modulation = mask.modulation

    def neighborhoods(self, size: tuple[int, int], kernel_size: int) -> LabelNeighborhoods:
        """The distinct neighbourhoods of the whole mask, and which of them the rows show."""
        return self._mask.neighborhoods(self._size, kernel_size).rows(self._rows)


def _nearest_indices(source: int, target: int) -> Tensor:
    """The source positions that `F.interpolate(mode="nearest")` picks, asked of itself so that rounding agrees.

    On the CPU: other devices may have no float64.
    """
    positions = torch.arange(source, dtype=torch.float64)[None, None]
    return F.interpolate(positions, target, mode="nearest")[0, 0].long()
