"""A form in which rows store masks that are more than one image of ids or colors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from ...labels.label_set import LabelSet


@dataclass(frozen=True)
class MaskFormat:
    """How a mask is decoded by what its row has beside the image of the mask.

    Args:
        column (`str`): The rows' column of it; rows without this column, or with `None`, are not in this format.
        decode (`Callable`): Takes the row's value in that column, a function that decodes the image in the column of
            masks, and the label set. Returns an image of label ids, or weights of the labels, float32 `(L, H, W)`, or
            raises a ValueError if the row is broken.
        content (`Callable`): Takes the same value, and returns what a fingerprint hashes of it: bytes that depend
            neither on names nor on places.
    """

    column: str
    decode: Callable[[Any, Callable[[], PIL.Image.Image], LabelSet], PIL.Image.Image | np.ndarray]
    content: Callable[[Any], bytes]
