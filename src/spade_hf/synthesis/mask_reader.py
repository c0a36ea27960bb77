"""Reads masks and their instance maps from a `datasets` data set, without images.

Legend: H W height and width of a mask as it is stored.
"""

from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np

from ..data.fingerprint import hash_row
from ..data.pair_reader import check_instance_column, is_soft
from ..data.rows import decode_column, decode_mask, name_files, select_images
from ..images.processor import SPADEImageProcessor


@dataclass(frozen=True)
class SourceMask:
    """A row of the source.

    Args:
        index (`int`): Number of the row.
        ids (`np.ndarray`): int64 `(H, W)`, ids of the label set.
        instances (`np.ndarray`, *optional*): int64 `(H, W)`, ids of instances.
    """

    index: int
    ids: np.ndarray
    instances: np.ndarray | None


class MaskReader:
    """Reads and checks masks.

    Args:
        rows (`datasets.Dataset`): Rows of the source.
        mask_column (`str`): Label maps: ids (`L`, `P`, 16 bits) or RGB in the label set's colors.
        instance_column (`str`, *optional*): Instance maps, for models with instance edges.
        processor (`SPADEImageProcessor`): The model's, with its label set.
        color_tolerance (`float`, *optional*): For masks in colors; see [`LabelSet.ids_from_colors`].

    Raises:
        ValueError: If a column is missing or holds no images, or does not fit the model.
    """

    def __init__(
        self,
        rows: datasets.Dataset,
        *,
        mask_column: str,
        instance_column: str | None,
        processor: SPADEImageProcessor,
        color_tolerance: float | None = None,
    ) -> None:
        check_instance_column(processor, instance_column)
        self.mask_column, self.instance_column = mask_column, instance_column
        self.processor, self.color_tolerance = processor, color_tolerance
        columns = {"mask_column": mask_column, "instance_column": instance_column}
        self.rows, self._image_types = select_images(rows, columns)

    def __len__(self) -> int:
        return len(self.rows)

    def hashes(self) -> list[str]:
        """Hash the files of each mask and of its instance map."""
        rows: Any = self.rows
        return [hash_row(row, self._image_types).hex() for row in rows]

    def read(self, index: int) -> SourceMask:
        """Read one mask at its own size.

        Raises:
            ValueError: If the mask is broken or not one of this model; the message starts with the row and its files.
        """
        row = self.rows[index]
        try:
            mask = decode_mask(row, self.mask_column, self._image_types, self.processor.label_set)
            if is_soft(mask):
                raise ValueError("its mask is soft, and a data set is synthesized of hard ones (ids, colors).")
            instances = None
            if self.instance_column is not None:
                instances = decode_column(row, self.instance_column, self._image_types)
            masks, instance_maps = self.processor.read(mask, instances, color_tolerance=self.color_tolerance)
        except ValueError as error:
            files = name_files(row, self._image_types)
            raise ValueError(f"Row {index} of the data set{files}: {error}") from error
        ids = self.processor.label_set.channels_to_ids(masks[0].numpy())  # (H, W), as `encode_ids` stores them
        return SourceMask(index, ids, None if instance_maps is None else instance_maps[0].numpy())
