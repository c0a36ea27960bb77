"""Label maps of photographs, with [`SPADESegmenter`].

Legend: L labels, H W height and width of a photograph, h w those at which it is read.
"""

from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.photos import read_values
from ..images.resize import resize_photo, size_in_proportion
from ..images.value_range import OF_IMAGES
from ..labels.label_set import LabelSet
from ..models import SPADESegmenter
from .arguments import check_network_labels


DIVISOR = 32  # of the sides at which a photograph is read
# A photograph whose labels have a lower mean probability may show what no label names. The bundled segmenter: 3 of 40
# landscapes, and 8 of 13 pictures of other things.
LOW_CONFIDENCE = 0.65


class Segmentation(NamedTuple):
    """What a segmenter says of a photograph.

    Args:
        numbers (`Tensor`): int64 `(H, W)` in 0..L - 1, of the segmenter's labels.
        confidence (`float`): Mean probability of the pixels' labels, in 0..1.
    """

    numbers: Tensor
    confidence: float


def check_segmenter(segmenter: SPADESegmenter | None, labels: LabelSet | None) -> None:
    """Raise a ValueError unless there is a segmenter, with the labels of a label set."""
    if labels is None:
        raise ValueError("This model has no labels, so a photograph has none that it knows.")
    if segmenter is None:
        raise ValueError(
            "This model has no `segmenter`, so it cannot tell the labels of a photograph. Add one, as "
            "docs/segmenter.md shows."
        )
    check_segmenter_labels(segmenter, labels)


def check_segmenter_labels(segmenter: SPADESegmenter, labels: LabelSet) -> None:
    """Raise a ValueError if a segmenter knows other labels than a label set."""
    check_network_labels(segmenter, labels, name="segmenter")


def read_photos(image: Any) -> list[Tensor]:
    """Read photographs in any form, upright and at their own sizes: RGB `(3, H, W)` in [0, 1] each."""
    return read_values(image, "image", 3, None, options=OF_IMAGES, on_clipped=None)


def read_size_of(size: tuple[int, int], image_size: int) -> tuple[int, int]:
    """Choose the height and width at which a photograph of a size is read; `image_size` is as in `segment_photo`."""
    return size_in_proportion(size, area=image_size**2, divisor=DIVISOR)


@torch.no_grad()
def segment_photo(
    segmenter: Any,
    photo: Tensor,
    *,
    image_size: int,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    size: tuple[int, int] | None = None,
) -> Segmentation:
    """Tell the labels of one photograph of any size.

    It is read in its proportions at about as many pixels as a square of `image_size` has; the answer is enlarged.

    Args:
        segmenter (`SPADESegmenter` or `TransformersSegmenter`): Has `probabilities`.
        photo (`Tensor`): `(3, H, W)` in [0, 1].
        image_size (`int`): The side of the square images that the segmenter reads best.
        device: Where it computes.
        dtype (`torch.dtype`, defaults to float32): Of its weights.
        size (`tuple[int, int]`, *optional*): Height and width of the labels, in whose proportions it is read. Default:
            the photograph's.
    """
    size = size or (photo.shape[-2], photo.shape[-1])
    image = resize_photo(photo, read_size_of(size, image_size))[None] * 2 - 1  # (1, 3, h, w) in [-1, 1]
    probabilities = segmenter.probabilities(image.to(device, dtype)).float().cpu()  # (1, L, h, w)
    confidence = probabilities.amax(dim=1).mean().item()
    # Enlarged label by label: all labels of 12 megapixels together would take gigabytes
    best = torch.full(size, -1.0)  # (H, W)
    numbers = torch.zeros(size, dtype=torch.int64)  # (H, W)
    for number in range(probabilities.shape[1]):
        own = F.interpolate(probabilities[:, number : number + 1], size, mode="bilinear")[0, 0]  # (H, W)
        is_better = own > best
        best, numbers = torch.where(is_better, own, best), numbers.masked_fill_(is_better, number)
    return Segmentation(numbers, confidence)


def id_image(ids: np.ndarray, label_set: LabelSet) -> PIL.Image.Image:
    """Convert ids `(H, W)` to an image of mode `L`, or `I;16` if the label set has ids above 255."""
    return PIL.Image.fromarray(ids.astype(np.uint8 if max(label_set.ids) <= 255 else np.uint16))
