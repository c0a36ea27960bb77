"""Converts rows of a `datasets` data set to training samples.

Legend: I image channels, P condition channels, H' W' height and width before the training crop.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from ..batch import Batch
from ..images.masks import ids_of_red
from ..images.photo_files import Photo
from ..images.photos import describe_clipped
from ..images.processor import SPADEImageProcessor
from ..images.resize import have_equal_proportions
from ..images.value_range import OF_CONDITIONS, ValueRange
from .image_files import Mask, decode_photo, is_turned, stored_image
from .rows import ImageTypes, Rows, decode_column, decode_mask, name_files, select_images
from .transforms import PairedTransform


MAX_WARNINGS = 20  # of images with clipped values that a reader names
logger = logging.getLogger(__name__)


class Pair(NamedTuple):
    """A row before its crop.

    Args:
        image (`Tensor`): `(I, H', W')` in [-1, 1].
        label_map (`Tensor`, *optional*): int64 `(H', W')` of label channels, or of a soft mask float32 `(L, H', W')`;
            `None` for a model without labels.
        edges (`Tensor`, *optional*): bool `(H', W')`, for a model with instance edges.
        condition (`Tensor`, *optional*): `(P, H', W')` in [-1, 1], for a model that reads one.
    """

    image: Tensor
    label_map: Tensor | None = None
    edges: Tensor | None = None
    condition: Tensor | None = None


class PairReader:
    """Reads, checks and augments rows; errors name the row, the column and the file, if there is one.

    Args:
        image_column (`str`): Column of images, also `Array2D` and `Array3D`.
        mask_column (`str` or `None`): Column of label maps: ids (`L`, `P`, 16 bits) or RGB in the label set's colors;
            in rows of [`load_panoptic`], segment ids; arrays of ids `(H, W)`, or of the labels' weights `(L, H, W)`:
            soft masks. `None` for models without labels.
        instance_column (`str`, *optional*): Column of instance maps, for models with instance edges.
        condition_column (`str`, *optional*): Column of conditions, for models that read one: as of images.
        processor (`SPADEImageProcessor`): Preprocesses images and maps.
        transform (`PairedTransform`): Augments them.
        color_tolerance (`float`, *optional*): For masks in colors; see [`LabelSet.ids_from_colors`].
        ids_in_red (`bool`, defaults to `False`): Read the red channel of RGB masks as ids; see [`ids_of_red`].

    Raises:
        ValueError: If the options contradict each other.
    """

    def __init__(
        self,
        *,
        image_column: str,
        mask_column: str | None,
        instance_column: str | None,
        condition_column: str | None = None,
        processor: SPADEImageProcessor,
        transform: PairedTransform,
        color_tolerance: float | None = None,
        ids_in_red: bool = False,
    ) -> None:
        check_instance_column(processor, instance_column)
        check_mask_column(processor, mask_column)
        check_condition_column(processor, condition_column)
        for name, column, what in (
            ("instance_column", instance_column, "instance edges no longer fit"),
            ("condition_column", condition_column, "the condition no longer fits"),
        ):
            if column is not None and transform.simplify_probability > 0:
                raise ValueError(
                    f"`simplify_probability` changes label maps, so that {what}; it must be 0 with `{name}`."
                )
        self.image_column, self.mask_column, self.instance_column = image_column, mask_column, instance_column
        self.condition_column = condition_column
        self.processor, self.transform, self.color_tolerance = processor, transform, color_tolerance
        self.ids_in_red = ids_in_red
        self.last_size: tuple[int, int] | None = None  # (width, height) of the last image read, as it is stored
        self._reads_soft: bool | None = None  # what the first mask was
        self._clipped: set[str] = set()  # images that were named in a warning
        self.image_types: ImageTypes = {}  # columns that are read, after `prepare`

    @property
    def columns(self) -> list[str]:
        """Return the columns that are read; a fingerprint of the data covers them."""
        named = (self.image_column, self.mask_column, self.instance_column, self.condition_column)
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
            "condition_column": self.condition_column,
        }
        rows, self.image_types = select_images(rows, columns)
        return rows

    def read(self, row: dict[str, Any], name: str) -> Pair:
        """Read a row at the size before the crop.

        Raises:
            ValueError: If the row is broken; the message starts with `name` and the row's files.
        """
        try:
            return self._preprocess(row, name)
        except ValueError as error:
            raise ValueError(f"{name}{name_files(row, self.image_types)}: {error}") from error

    def sample(self, pair: Pair, seed: int) -> Batch:
        """Augment the output of `read`.

        Returns:
            `Batch`: One sample, with `seed` for its other random numbers.
        """
        rng = torch.Generator().manual_seed(seed)
        num_labels = self.processor.label_set.num_channels if self.processor.has_labels else 0
        sample = self.transform(*pair, num_labels=num_labels, rng=rng)
        sample = {name: one.contiguous() for name, one in sample.items()}  # crops share the memory of whole images
        return cast(Batch, sample | {"seed": torch.tensor(seed)})

    def _preprocess(self, row: dict[str, Any], name: str) -> Pair:
        column, config = self.image_column, self.processor.config
        image = decode_photo(row[column], self.image_types[column], column, config.image_channels)
        mask, condition, width, height = None, None, *size_of_photo(image)
        if self.mask_column is not None:
            mask = decode_mask(row, self.mask_column, self.image_types, self.processor.label_set)
            if self.ids_in_red and isinstance(mask, PIL.Image.Image):
                mask = ids_of_red(mask)
            self._check_kind(is_soft(mask))
            self._check_proportions(row, image, size_of_mask(mask), "mask")
            width, height = size_of_mask(mask)
        if (beside := self.condition_column) is not None:
            types, count = self.image_types[beside], config.condition_channels
            condition = decode_photo(row[beside], types, beside, count, OF_CONDITIONS)
            self._check_proportions(row, image, size_of_photo(condition), "condition")
        self.last_size = size_of_photo(image)
        instance_map = None
        if self.instance_column is not None:
            instance_map = decode_column(row, self.instance_column, self.image_types)
        size = self.transform.resized_shape(height, width)  # H', W': the crop comes later
        label_map = edges = planes = None
        if mask is not None:  # (1, H', W') of channels or (1, L, H', W') of weights, and bool (1, H', W')
            label_map, edges = self.processor.preprocess(
                np.asarray(mask)[None] if is_soft(mask) else mask,
                instance_map,
                height=size[0],
                width=size[1],
                color_tolerance=self.color_tolerance,
            )
        pixels = self.processor.preprocess_image(  # (1, I, H', W') in [-1, 1]
            image, size=size, on_clipped=self._warner(row, name, column, self.processor.value_range)
        )
        if condition is not None and beside is not None:  # (1, P, H', W') in [-1, 1]
            warn = self._warner(row, name, beside, self.processor.condition_range)
            planes = self.processor.preprocess_condition(condition, size=size, on_clipped=warn)
        return Pair(pixels[0], *(None if one is None else one[0] for one in (label_map, edges, planes)))

    def _check_kind(self, is_soft: bool) -> None:
        """Raise a ValueError for a soft mask beside hard ones, or one that would have to be simplified."""
        if is_soft and self.transform.simplify_probability > 0:
            raise ValueError("its mask is soft, which cannot be simplified; `simplify_probability` must be 0.")
        if self._reads_soft not in (None, is_soft):
            kinds = ("soft", "hard") if is_soft else ("hard", "soft")
            raise ValueError(f"its mask is {kinds[0]}, and others are {kinds[1]}; all masks must be of one kind.")
        self._reads_soft = is_soft

    def _check_proportions(self, row: dict[str, Any], image: Photo, size: tuple[int, int], what: str) -> None:
        """Raise a ValueError unless the mask or condition of a size (width, height) can show the image's frame."""
        width, height = size_of_photo(image)
        if not have_equal_proportions((width, height), size):
            raise ValueError(
                f"the image is {width}x{height} and the {what} {size[0]}x{size[1]} (width x height); both must show "
                f"the same frame, in the same proportions.{self._hint_at_turns(row, size)}"
            )

    def _warner(
        self, row: dict[str, Any], place: str, column: str, value_range: ValueRange | None
    ) -> Callable[[str, float], None]:
        """Return what names an image with values outside of the range: each once, and not all of many."""
        stored = row[column]
        name = (stored.get("path") if isinstance(stored, dict) else None) or place

        def warn(_: str, share: float) -> None:
            if name in self._clipped or len(self._clipped) > MAX_WARNINGS:
                return
            self._clipped.add(name)
            if len(self._clipped) > MAX_WARNINGS:
                logger.warning("More images have values outside of the given range; they are not named")
            else:
                logger.warning("%s has %s", name, describe_clipped(share, value_range))

        return warn

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


def is_soft(mask: Mask) -> bool:
    """Return whether a mask is of weights `(L, H, W)`."""
    return isinstance(mask, np.ndarray) and mask.ndim == 3


def size_of_mask(mask: Mask) -> tuple[int, int]:
    """Return width and height of a mask: an image, ids `(H, W)`, or weights `(L, H, W)`."""
    return mask.size if isinstance(mask, PIL.Image.Image) else (mask.shape[-1], mask.shape[-2])


def check_mask_column(processor: SPADEImageProcessor, mask_column: str | None) -> None:
    """Raise a ValueError unless there are masks exactly where the model has labels."""
    if processor.has_labels != (mask_column is not None):
        raise ValueError(
            f"`mask_column` is {mask_column!r}; it must name a column of masks for a model with labels, and be left "
            "out for a model without, which reads a condition alone."
        )


def check_condition_column(processor: SPADEImageProcessor, condition_column: str | None) -> None:
    """Raise a ValueError unless there are conditions exactly where the model reads them."""
    if (processor.config.condition_channels > 0) != (condition_column is not None):
        raise ValueError(
            f"`condition_column` is {condition_column!r} and `condition_channels` is "
            f"{processor.config.condition_channels}; name a column of conditions and their number of channels, or "
            "leave both out."
        )


def check_instance_column(processor: SPADEImageProcessor, instance_column: str | None) -> None:
    """Raise a ValueError unless there are instance maps exactly where the model has instance edges."""
    if processor.config.use_instance_edges != (instance_column is not None):
        raise ValueError(
            f"`instance_column` is {instance_column!r}; it must name a column of instance maps for a model with "
            "instance edges, and be left out for any other model."
        )
