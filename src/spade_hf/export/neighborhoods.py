"""Distinct label neighborhoods in numpy, the inputs of a sparse ONNX file. Copy this file to use it without torch.

Equivalent to [`LabelNeighborhoods`] for one mask.

Legend: H W height and width, K label codes, T taps of a kernel, A distinct patches, B distinct neighborhoods.
"""

import numpy as np


def neighborhood_inputs(
    codes: np.ndarray, *, num_codes: int, kernel_size: int, divisors: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Compute the inputs of a sparse file.

    Args:
        codes (`np.ndarray`): `(H, W)` in `0..K - 1`: a pixel's channel (the number of its label in the metadata),
            plus the number of label channels on an instance edge.
        num_codes, kernel_size, divisors: Values from the file's metadata.

    Returns:
        `dict[str, np.ndarray]`: For each divisor d, int32: `patches_d` `(A, T)`, `neighborhoods_d` `(B, T)`, and
            `positions_d` `(H / d, W / d)`.
    """
    inputs = {}
    for divisor in divisors:
        names = (f"{name}_{divisor}" for name in ("patches", "neighborhoods", "positions"))
        arrays = distinct_neighborhoods(codes[::divisor, ::divisor], num_codes=num_codes, kernel_size=kernel_size)
        inputs.update(zip(names, arrays, strict=True))
    return inputs


def distinct_neighborhoods(
    codes: np.ndarray, *, num_codes: int, kernel_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find distinct patches `(A, T)` of codes, neighborhoods `(B, T)` of patches, and positions `(H, W)` in these.

    The code K means outside the image. A patch whose center is outside holds only this code.
    """
    padded = np.pad(codes, 2 * (kernel_size // 2), constant_values=num_codes)
    windows = all_windows(padded, kernel_size)  # (H + 2r, W + 2r, T)
    windows[windows[..., kernel_size**2 // 2] == num_codes] = num_codes
    patches, patch_ids = distinct_rows(windows)
    neighborhoods, positions = distinct_rows(all_windows(patch_ids, kernel_size))
    return patches.astype(np.int32), neighborhoods.astype(np.int32), positions.astype(np.int32)


def all_windows(ids: np.ndarray, size: int) -> np.ndarray:
    """List all windows of `(H, W)` as int64 `(H - size + 1, W - size + 1, size * size)`."""
    windows = np.lib.stride_tricks.sliding_window_view(ids, (size, size))
    return windows.reshape(*windows.shape[:2], -1).astype(np.int64)


def distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the distinct rows `(R, T)` of non-negative ids `(H, W, T)`, and the index of each position `(H, W)`."""
    base = int(rows.max()) + 1
    key, num_keys = np.zeros(rows.shape[:2], dtype=np.int64), 1
    for column in np.moveaxis(rows, -1, 0):
        if num_keys * base > 2**63 - 1:  # the key would overflow: renumber the distinct keys so far
            distinct, key = np.unique(key, return_inverse=True)
            num_keys = len(distinct)
        key, num_keys = key * base + column, num_keys * base
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    return rows.reshape(-1, rows.shape[-1])[first], index.reshape(key.shape)
