"""Converts rows of a `datasets` data set to training samples.

Legend: I image channels, H' W' height and width before the training crop.
"""

import logging
from typing import Any, cast

import PIL.Image
import torch
from torch import Tensor

from ..batch import Batch
from ..images.photo_files import Photo
from ..images.processor import SPADEImageProcessor
from ..images.resize import have_equal_proportions
from .image_files import decode_photo, is_turned, stored_image
from .rows import ImageTypes, Rows, decode_column, decode_mask, name_files, select_images
from .transforms import PairedTransform


MAX_WARNINGS = 20  # of images with clipped values that a reader names
logger = logging.getLogger(__name__)


class PairReader:
    """Reads, checks and augments rows; errors name the row, the column and the file, if there is one.

    Args:
        image_column (`str`): Column of images, also `Array2D` and `Array3D`.
        mask_column (`str`): Column of label maps: ids (`L`, `P`, 16 bits) or RGB in the label set's colors; in rows
            of [`load_panoptic`], segment ids.
        instance_column (`str`, *optional*): Column of instance maps, for models with instance edges.
        processor (`SPADEImageProcessor`): Preprocesses images and maps.
        transform (`PairedTransform`): Augments them.
        color_tolerance (`float`, *optional*): For masks in colors; see [`LabelSet.ids_from_colors`].

    Raises:
        ValueError: If the options contradict each other.
    """

    def __init__(
        self,
        *,
        image_column: str,
        mask_column: str,
        instance_column: str | None,
        processor: SPADEImageProcessor,
        transform: PairedTransform,
        color_tolerance: float | None = None,
    ) -> None:
        check_instance_column(processor, instance_column)
        if instance_column is not None and transform.simplify_probability > 0:
            raise ValueError(
                "`simplify_probability` changes label maps, so that instance edges no longer fit; it must be 0 with "
                "`instance_column`."
            )
        self.image_column, self.mask_column, self.instance_column = image_column, mask_column, instance_column
        self.processor, self.transform, self.color_tolerance = processor, transform, color_tolerance
        self.last_size: tuple[int, int] | None = None  # (width, height) of the last image read, as it is stored
        self._clipped: set[str] = set()  # images that were named in a warning
        self.image_types: ImageTypes = {}  # columns that are read, after `prepare`

    @property
    def columns(self) -> list[str]:
        """Return the columns that are read; a fingerprint of the data covers them."""
        named = (self.image_column, self.mask_column, self.instance_column)
        return [column for column in named if column is not None]

    def prepare(self, rows: Rows) -> Rows:
        """Keep only the columns that are read, without decoding the images.

        Raises:
            ValueError: If a column is missing or holds no images.
        """
        columns = {
            "image_column": self.image_column,
            "mask_column": self.mask_column,
            "instance_column": self.instance_column,
        }
        rows, self.image_types = select_images(rows, columns)
        return rows

    def read(self, row: dict[str, Any], name: str) -> tuple[Tensor, Tensor, Tensor | None]:
        """Read the image `(I, H', W')`, label map and edges `(H', W')` at the size before the crop.

        Raises:
            ValueError: If the row is broken; the message starts with `name` and the row's files.
        """
        try:
            return self._preprocess(row, name)
        except ValueError as error:
            raise ValueError(f"{name}{name_files(row, self.image_types)}: {error}") from error

    def sample(self, pair: tuple[Tensor, Tensor, Tensor | None], seed: int) -> Batch:
        """Augment the output of `read`.

        Returns:
            `Batch`: One sample, with `seed` for its other random numbers.
        """
        rng = torch.Generator().manual_seed(seed)
        sample = self.transform(*pair, num_labels=self.processor.label_set.num_channels, rng=rng)
        sample = {name: one.contiguous() for name, one in sample.items()}  # crops share the memory of whole images
        return cast(Batch, sample | {"seed": torch.tensor(seed)})

    def _preprocess(self, row: dict[str, Any], name: str) -> tuple[Tensor, Tensor, Tensor | None]:
        column, count = self.image_column, self.processor.config.image_channels
        image = decode_photo(row[column], self.image_types[column], column, count)
        mask = decode_mask(row, self.mask_column, self.image_types, self.processor.label_set)
        size = size_of_photo(image)
        if not have_equal_proportions(size, mask.size):
            raise ValueError(
                f"the image is {size[0]}x{size[1]} and the mask {mask.width}x{mask.height} (width x height); "
                f"both must show the same frame, in the same proportions.{self._hint_at_turns(row, mask.size)}"
            )
        self.last_size = size
        instance_map = None
        if self.instance_column is not None:
            instance_map = decode_column(row, self.instance_column, self.image_types)
        height, width = self.transform.resized_shape(mask.height, mask.width)  # H', W': the crop comes later
        # (1, H', W'): int64 of channels, and bool
        label_map, edges = self.processor.preprocess(
            mask, instance_map, height=height, width=width, color_tolerance=self.color_tolerance
        )
        pixels = self.processor.preprocess_image(  # (1, I, H', W') in [-1, 1]
            image, size=(height, width), on_clipped=lambda _, share: self._warn_of_clipped(row, name, share)
        )
        return pixels[0], label_map[0], None if edges is None else edges[0]

    def _warn_of_clipped(self, row: dict[str, Any], name: str, share: float) -> None:
        """Name an image with values outside of the range: each once, and not all of many."""
        stored = row[self.image_column]
        name = (stored.get("path") if isinstance(stored, dict) else None) or name
        if name in self._clipped or len(self._clipped) > MAX_WARNINGS:
            return
        self._clipped.add(name)
        if len(self._clipped) > MAX_WARNINGS:
            logger.warning("More images have values outside of `value_range`; they are not named")
        else:
            logger.warning("%s has %s", name, self.processor.describe_clipped(share))

    def _hint_at_turns(self, row: dict[str, Any], mask_size: tuple[int, int]) -> str:
        """Explain other proportions by an EXIF tag that annotation tools can ignore; empty if there is none."""
        try:
            stored = stored_image(row[self.image_column], self.image_types[self.image_column])
            if not is_turned(stored) or not have_equal_proportions(stored.size, mask_size):
                return ""
        except Exception:  # damaged EXIF tags raise anything, and there is a message already
            return ""
        return (
            f" The image's EXIF tag turns it: it is stored as {stored.width}x{stored.height}, and the mask was drawn "
            "over the stored pixels. Turn the mask in the same way, or remove the tag from the image, as `exiftool "
            "-Orientation= FILE` does."
        )


def size_of_photo(photo: Photo) -> tuple[int, int]:
    """Return width and height of an image, or of numbers `(H, W, I)`."""
    return photo.size if isinstance(photo, PIL.Image.Image) else (photo.shape[1], photo.shape[0])


def check_instance_column(processor: SPADEImageProcessor, instance_column: str | None) -> None:
    """Raise a ValueError unless there are instance maps exactly where the model has instance edges."""
    if processor.config.use_instance_edges != (instance_column is not None):
        raise ValueError(
            f"`instance_column` is {instance_column!r}; it must name a column of instance maps for a model with "
            "instance edges, and be left out for any other model."
        )
