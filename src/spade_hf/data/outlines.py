"""Samples for a network that gives painted label maps natural outlines: an exact map, and one as if painted by hand.

Legend: L labels, H W height and width of the crop, H' W' before it.
"""

from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..images.processor import SPADEImageProcessor
from .pair_reader import is_soft, size_of_mask
from .rows import ImageTypes, Rows, decode_mask, name_files, select_images
from .simplification import simplify_label_map
from .transforms import PairedTransform


# Shares of samples: an exact map must come out as it went in, so that some are not redrawn at all
EXACT_SHARE, CRUDE_SHARE = 0.15, 0.5
HOLES_SHARE = 0.4  # of samples with pixels that are not painted
BAND = (1 / 128, 1 / 12)  # half widths of unpainted bands along borders, as shares of the shorter side
RECTANGLE = (0.1, 0.9)  # sides of unpainted rectangles, as shares of the map's


class OutlineReader:
    """Reads rows with a column of label maps, for a [`PairedImageDataset`]; no images are needed.

    Args:
        mask_column (`str`): Column of label maps: ids (`L`, `P`, 16 bits) or RGB in the label set's colors.
        processor (`SPADEImageProcessor`): Preprocesses the maps.
        transform (`PairedTransform`): Its size, crop and flip are used.
        color_tolerance (`float`, *optional*): For masks in colors; see [`LabelSet.ids_from_colors`].
    """

    def __init__(
        self,
        *,
        mask_column: str,
        processor: SPADEImageProcessor,
        transform: PairedTransform,
        color_tolerance: float | None = None,
    ) -> None:
        self.mask_column, self.processor, self.transform = mask_column, processor, transform
        self.color_tolerance = color_tolerance
        self.image_types: ImageTypes = {}  # columns that are read, after `prepare`

    @property
    def columns(self) -> list[str]:
        """Return the columns that a fingerprint of the data covers."""
        return [self.mask_column]

    def prepare(self, rows: Rows) -> Rows:
        """Keep only the column that is read, undecoded; raise a ValueError if it is missing or holds no images."""
        rows, self.image_types = select_images(rows, {"mask_column": self.mask_column})
        return rows

    def read(self, row: dict[str, Any], name: str) -> Tensor:
        """Read a label map `(H', W')`, int64 of classes, at the size before the crop; unknown is L.

        Raises:
            ValueError: If the row is broken; the message starts with `name` and the row's files.
        """
        try:
            mask = decode_mask(row, self.mask_column, self.image_types, self.processor.label_set)
            if is_soft(mask):
                raise ValueError("its mask is soft, which has no outlines to learn; give hard ones (ids, colors).")
            width, height = size_of_mask(mask)
            height, width = self.transform.resized_shape(height, width)
            label_map, _ = self.processor.preprocess(
                mask, height=height, width=width, color_tolerance=self.color_tolerance
            )
        except ValueError as error:
            raise ValueError(f"{name}{name_files(row, self.image_types)}: {error}") from error
        return torch.from_numpy(self.processor.label_set.channel_classes)[label_map[0]]

    def sample(self, label_map: Tensor, seed: int) -> dict[str, Tensor]:
        """Crop, flip and redraw the output of `read`.

        Returns:
            `dict`: `label_map`, the exact map, and `painted_map`, the condition, int64 `(H, W)` of classes, where L is
                unknown or not painted; `seed` for the sample's other random numbers.
        """
        rng = torch.Generator().manual_seed(seed)
        labels = self.processor.label_set
        place = self.transform.placement(label_map.shape, torch.rand(3, generator=rng))
        exact = place(label_map).contiguous()  # (H, W)
        painted = paint_as_people_do(exact, labels.num_labels, rng)
        return {"label_map": exact, "painted_map": painted, "seed": torch.tensor(seed)}


def paint_as_people_do(exact: Tensor, num_labels: int, rng: torch.Generator) -> Tensor:
    """Redraw a map with hand tools, and leave parts of some maps unpainted.

    Args:
        exact (`Tensor`): int64 `(H, W)` in `0..num_labels`; the last is unknown.
        num_labels (`int`): L.
        rng (`torch.Generator`): The same state gives the same map.

    Returns:
        `Tensor`: int64 `(H, W)`; where it is L, nothing is painted.
    """
    kind, has_holes = torch.rand(2, generator=rng).tolist()
    painted = exact
    if kind >= EXACT_SHARE:
        painted = simplify_label_map(exact, num_labels + 1, rng, crude=kind >= 1 - CRUDE_SHARE)
    if has_holes >= HOLES_SHARE:
        return painted
    draw = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng)))
    hole = HOLES[draw.integers(len(HOLES))](painted.numpy(), draw)
    return painted.masked_fill(torch.from_numpy(hole), num_labels)


def _band(painted: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Select a band along all borders between labels."""
    border = np.zeros(painted.shape, dtype=bool)
    border[1:] |= painted[1:] != painted[:-1]
    border[:, 1:] |= painted[:, 1:] != painted[:, :-1]
    low, high = (side * min(painted.shape) for side in BAND)
    distance: Any = ndimage.distance_transform_edt(~border)  # to the nearest border; large if there is none
    return border.any() & (distance <= draw.uniform(low, high))


def _labels(painted: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Select all pixels of some of the labels."""
    present = np.unique(painted)
    count = draw.integers(1, max(2, len(present)))
    return np.isin(painted, draw.choice(present, size=count, replace=False))


def _rectangles(painted: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Select one to three rectangles, or everything else."""
    selected = np.zeros(painted.shape, dtype=bool)
    for _ in range(draw.integers(1, 4)):
        sides = [max(1, round(side * draw.uniform(*RECTANGLE))) for side in painted.shape]
        top, left = (draw.integers(side - size + 1) for side, size in zip(painted.shape, sides, strict=True))
        selected[top : top + sides[0], left : left + sides[1]] = True
    return selected if draw.random() < 0.5 else ~selected


def _everything(painted: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    return np.ones(painted.shape, dtype=bool)


HOLES = (_band, _labels, _rectangles, _everything)
