"""What is suspicious about a pair that can be read: often a mistake, but not always."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from ..images.inputs import is_lossy, share_of_range
from ..images.palettes import find_disagreement
from ..labels.label_set import LabelSet
from .image_files import is_turned, stored_image
from .pair_reader import PairReader


SMALL_SHARE = 0.3  # of 16 bits: 12 bits use 0.06 of them, 14 bits 0.25
FEW_PAIRS = 10  # among fewer, ids that occur once say nothing
OTHER_SIZE = 4  # times the area of the median image, or less than one such part


@dataclass(frozen=True)
class Oddity:
    """Pairs with something suspicious of one kind.

    Args:
        kind (`str`): A key of `KINDS`.
        count (`int`): Number of pairs, or of ids for `rare_id`.
        files (`list[str]`): Names of the pairs.
        indices (`list[int]`): Their rows.
    """

    kind: str
    count: int
    files: list[str]
    indices: list[int]


KINDS = {
    "exif": "images are turned by their EXIF tag, which annotation tools can ignore: look whether their masks fit",
    "lossy_mask": "masks are in a lossy format, whose pixels along the borders are guesses: export PNG",
    "range_16bit": "16-bit images use a small part of the range and are nearly black: save them with 8 bits",
    "alpha": "masks have transparent pixels, which are read as unknown",
    "palette": "palette masks are read by their colours, as their indices are other labels' ids",
    "size": f"images have more than {OTHER_SIZE} times the pixels of the others, or fewer than 1 / {OTHER_SIZE}",
    "rare_id": "labels occur in a single pair: often a stray colour or a wrong number in one mask",
}


def find_in_pair(row: dict[str, Any], reader: PairReader) -> list[str]:
    """Return the kinds of suspicious things that one row's files show."""
    image = stored_image(row[reader.image_column], reader.image_types[reader.image_column])
    mask = stored_image(row[reader.mask_column], reader.image_types[reader.mask_column])
    share = share_of_range(image)
    found = {
        "exif": is_turned(image) != is_turned(mask),
        "lossy_mask": is_lossy(mask),
        "range_16bit": share is not None and share < SMALL_SHARE,
        "alpha": _is_transparent(mask),
        "palette": mask.mode == "P" and find_disagreement(mask, reader.processor.label_set) is not None,
    }
    return [kind for kind, is_found in found.items() if is_found]


def _is_transparent(image: PIL.Image.Image) -> bool:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return False
    return bool((np.array(image.convert("RGBA").getchannel("A")) < 255).any())


def find_among_pairs(pairs: Sequence[Any], label_set: LabelSet) -> list[Oddity]:
    """Collect what is suspicious, by kind.

    Args:
        pairs (`Sequence[CheckedPair]`): Pairs that were read without a problem.
        label_set (`LabelSet`): The labels.
    """
    by_kind = {kind: [pair for pair in pairs if kind in pair.kinds] for kind in KINDS}
    areas = np.array([pair.size[0] * pair.size[1] for pair in pairs])
    ratios = areas / np.median(areas)
    is_other = (ratios > OTHER_SIZE) | (ratios < 1 / OTHER_SIZE)
    by_kind["size"] = [pair for pair, other in zip(pairs, is_other, strict=True) if other]
    counts = {kind: len(found) for kind, found in by_kind.items()}
    if len(pairs) >= FEW_PAIRS:
        has_label = np.stack([pair.counts > 0 for pair in pairs])  # (N, L)
        rare = np.flatnonzero(has_label.sum(axis=0) == 1)
        first = Counter(int(has_label[:, channel].argmax()) for channel in rare)
        by_kind["rare_id"], counts["rare_id"] = [pairs[number] for number in sorted(first)], len(rare)
    return [
        Oddity(kind, counts[kind], [pair.name for pair in found], [pair.index for pair in found])
        for kind, found in by_kind.items()
        if found
    ]
