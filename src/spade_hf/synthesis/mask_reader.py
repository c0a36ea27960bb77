"""Reads masks, their instance maps and their conditions from a `datasets` data set, without images.

Legend: P condition channels, H W height and width of a mask as it is stored.
"""

import logging
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import torch

from ..data.fingerprint import hash_row
from ..data.image_files import decode_photo
from ..data.pair_reader import check_instance_column, is_soft
from ..data.rows import decode_column, decode_mask, name_files, select_images
from ..images.photos import describe_clipped
from ..images.processor import SPADEImageProcessor
from ..images.value_range import OF_CONDITIONS, unscale_values
from ..pipelines.arguments import check_conditions


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceMask:
    """A row of the source.

    Args:
        index (`int`): Number of the row.
        ids (`np.ndarray`): int64 `(H, W)`, ids of the label set.
        instances (`np.ndarray`, *optional*): int64 `(H, W)`, ids of instances.
        condition (`torch.Tensor`, *optional*): float32 `(P, H, W)` of any size in the mask's proportions, in units of
            the model's `condition_range`, or in [0, 1] without one.
    """

    index: int
    ids: np.ndarray
    instances: np.ndarray | None
    condition: torch.Tensor | None = None


class MaskReader:
    """Reads and checks masks.

    Args:
        rows (`datasets.Dataset`): Rows of the source.
        mask_column (`str`): Label maps: ids (`L`, `P`, 16 bits) or RGB in the label set's colors.
        instance_column (`str`, *optional*): Instance maps, for models with instance edges.
        processor (`SPADEImageProcessor`): The model's, with its label set.
        color_tolerance (`float`, *optional*): For masks in colors; see [`LabelSet.ids_from_colors`].
        condition_column (`str`, *optional*): Conditions, for models that read one.

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
        condition_column: str | None = None,
    ) -> None:
        check_instance_column(processor, instance_column)
        _check_condition_column(processor, condition_column)
        self.mask_column, self.instance_column = mask_column, instance_column
        self.condition_column = condition_column
        self.processor, self.color_tolerance = processor, color_tolerance
        columns = {
            "mask_column": mask_column,
            "instance_column": instance_column,
            "condition_column": condition_column,
        }
        self.rows, self._image_types = select_images(rows, columns)

    def __len__(self) -> int:
        return len(self.rows)

    def hashes(self) -> list[str]:
        """Hash the files of each mask, its instance map and its condition."""
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
            condition = None if self.condition_column is None else self._read_condition(index, row, masks)
        except ValueError as error:
            files = name_files(row, self._image_types)
            raise ValueError(f"Row {index} of the data set{files}: {error}") from error
        ids = self.processor.label_set.channels_to_ids(masks[0].numpy())  # (H, W), as `encode_ids` stores them
        return SourceMask(index, ids, None if instance_maps is None else instance_maps[0].numpy(), condition)

    def _read_condition(self, index: int, row: Any, masks: list[torch.Tensor]) -> torch.Tensor:
        column, value_range = self.condition_column, self.processor.condition_range
        assert column is not None
        count = self.processor.config.condition_channels
        condition = decode_photo(row[column], self._image_types[column], column, count, OF_CONDITIONS)

        def warn(_: str, share: float) -> None:
            files = name_files(row, self._image_types)
            clipped = describe_clipped(share, value_range)
            logger.warning("Row %d of the data set%s: column `%s` has %s", index, files, column, clipped)

        conditions = self.processor.read_condition(condition, on_clipped=warn)
        check_conditions(conditions, masks)
        return unscale_values(conditions[0], value_range)


def _check_condition_column(processor: SPADEImageProcessor, condition_column: str | None) -> None:
    """Raise a ValueError unless a column of conditions is named exactly where the model reads them."""
    count = processor.config.condition_channels
    if count > 0 and condition_column is None:
        raise ValueError(
            f"`condition_column` is missing: this model reads conditions of {count} channels beside its masks. Name "
            "the column of what it was trained with, such as depth or edges."
        )
    if count == 0 and condition_column is not None:
        raise ValueError("`condition_column` was given, but this model reads masks alone. Leave it out.")
