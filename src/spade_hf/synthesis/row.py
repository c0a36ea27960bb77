"""A row of a synthesized data set, and the seeds of its images.

Legend: H W height and width of an image.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from ..seeding import derive_seed


NUM_SEEDS = 2**31  # seeds are in 0..2**31 - 1, which every program accepts
MAX_PNG_ID = 65535
AGREEMENT = "agreement"  # a column of the data set, and the name of the text in a PNG file


@dataclass(frozen=True)
class Row:
    """An image and what it was made from, as PNG files.

    Args:
        source_index (`int`): Row of the mask in the source.
        number (`int`): Number of the image among those of its mask.
        seed (`int`): Seed of its style.
        images (`dict[str, bytes]`): PNG files: `image`, `label` and, for models with instance edges, `instance`.
        agreement (`float`, *optional*): Mean agreement of the image with its mask, in 0..1, if it was measured.
    """

    source_index: int
    number: int
    seed: int
    images: dict[str, bytes]
    agreement: float | None = None

    @property
    def name(self) -> str:
        """Name of its files, without extension."""
        return row_name(self.source_index, self.number)


def row_name(source_index: int, number: int) -> str:
    """Return the name of a row's files, without extension."""
    return f"{source_index:06}-{number:03}"


def image_seeds(seed: int, source_index: int, count: int) -> list[int]:
    """Derive the seeds of a mask's images, all different; the first ones do not depend on `count`.

    Args:
        seed (`int`): The data set's seed.
        source_index (`int`): Row of the mask in the source.
        count (`int`): Number of images.

    Returns:
        `list[int]`: In `0..2**31 - 1`.
    """
    # a dict keeps the order; a seed that occurs a second time, which is rare, is skipped
    seeds: dict[int, None] = {}
    number = 0
    while len(seeds) < count:
        seeds[derive_seed(seed, source_index, number) % NUM_SEEDS] = None
        number += 1
    return list(seeds)


def style_number(seed: int, count: int) -> int:
    """Return which of `count` style pictures an image gets, by its seed."""
    return seed % count


def encode_image(image: PIL.Image.Image, agreement: float | None = None) -> bytes:
    """Encode an image as a PNG file, with the agreement as a text in it."""
    buffer, texts = io.BytesIO(), PngInfo()
    if agreement is not None:
        texts.add_text(AGREEMENT, f"{agreement:.4f}")
    image.save(buffer, "PNG", pnginfo=texts)
    return buffer.getvalue()


def read_agreement(path: Path) -> float | None:
    """Read the agreement in a PNG file of [`encode_image`]; `None` if it has none."""
    with PIL.Image.open(path) as image:
        text = image.info.get(AGREEMENT)
    return None if text is None else float(text)


def encode_ids(ids: np.ndarray, max_id: int) -> bytes:
    """Encode ids `(H, W)` as a PNG file of 8 bits if `max_id` fits, else of 16 bits."""
    return encode_image(PIL.Image.fromarray(ids.astype(np.uint8 if max_id <= 255 else np.uint16)))


def encode_instances(instances: np.ndarray) -> bytes:
    """Encode ids of instances `(H, W)` as a PNG file; if ids such as colors exceed 16 bits, renumber them.

    Raises:
        ValueError: If there are more instances than a PNG file can number.
    """
    if instances.min() < 0 or instances.max() > MAX_PNG_ID:
        different, numbers = np.unique(instances, return_inverse=True)  # numbers: (H, W), 0 for the smallest id
        if len(different) > MAX_PNG_ID + 1:
            raise ValueError(f"An instance map has {len(different)} instances; allowed are {MAX_PNG_ID + 1}.")
        instances = numbers.reshape(instances.shape)
    return encode_ids(instances, int(instances.max()))
