"""Edits of label maps, for new images from known masks.

For resizing see `images.resize.resize_labels`, for masks as if drawn by hand `data.simplify_label_map`.

Legend: H W height and width.
"""

from collections.abc import Mapping

import numpy as np


def replace_labels(label_map: np.ndarray, changes: Mapping[int, int]) -> np.ndarray:
    """Replace ids, all at once: `{5: 4, 4: 5}` swaps two.

    Args:
        label_map (`np.ndarray`): Ids, integers `(H, W)`.
        changes (`Mapping[int, int]`): Old id -> new id.
    """
    changed = label_map.copy()
    for old, new in changes.items():
        changed[label_map == old] = new
    return changed


def paste_region(
    label_map: np.ndarray,
    source: np.ndarray,
    region: np.ndarray,
    *,
    shift: tuple[int, int] = (0, 0),
    instance_map: np.ndarray | None = None,
    source_instances: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Copy a region of one label map onto another; parts that fall outside are dropped.

    Args:
        label_map (`np.ndarray`): The map to paste onto, ids, integers `(H, W)`.
        source (`np.ndarray`): The map to copy from, ids `(H, W)`.
        region (`np.ndarray`): The pixels to copy, bool, of the source's shape.
        shift (`tuple[int, int]`): Pixels down and to the right.
        instance_map (`np.ndarray`, *optional*): Of `label_map`.
        source_instances (`np.ndarray`, *optional*): Of `source`; without it the region is one instance.

    Returns:
        `tuple`: The label map, and its instance map with new ids for the pasted instances, or `None` without one.
    """
    rows, columns = np.nonzero(region)
    there = rows + shift[0], columns + shift[1]
    is_inside = (there[0] >= 0) & (there[0] < label_map.shape[0]) & (there[1] >= 0) & (there[1] < label_map.shape[1])
    here = rows[is_inside], columns[is_inside]
    there = there[0][is_inside], there[1][is_inside]
    pasted = label_map.copy()
    pasted[there] = source[here]
    if instance_map is None:
        return pasted, None
    ids = np.zeros(len(here[0]), dtype=np.int64)
    if source_instances is not None:
        ids = np.unique(source_instances[here], return_inverse=True)[1]
    instances = instance_map.astype(np.int64)
    instances[there] = instance_map.max() + 1 + ids
    return pasted, instances


def connected_components(label_map: np.ndarray) -> np.ndarray:
    """Number the connected areas of equal label, from 0 in reading order: a substitute for an instance map.

    Args:
        label_map (`np.ndarray`): Ids, integers `(H, W)`. Areas are 4-connected.

    Returns:
        `np.ndarray`: int64 `(H, W)`.
    """
    from skimage.measure import label  # needs the extra `train`

    above_zero = label_map.astype(np.int64) - int(label_map.min()) + 1  # skimage leaves out 0
    return np.asarray(label(above_zero, background=0, connectivity=1), dtype=np.int64) - 1
