"""Conversion of label maps and one-hot tensors to the mask that layers read.

Legend: N masks, S images of one mask, L semantic channels, P condition channels, H W height and width.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .mask import SemanticMask


def as_semantic_mask(mask: Tensor, x: Tensor, *, num_channels: int) -> SemanticMask:
    """Convert a mask given to a layer that is used alone, or in a custom network, to a [`SemanticMask`].

    Args:
        mask (`Tensor`): int `(N, H, W)` in `0..L - 1`, or float `(N, L, H, W)`, one-hot or soft, at
            any resolution.
        x (`Tensor`): `(N * S, C, h, w)`, the activation; the S images of a mask are consecutive.
        num_channels (`int`): L.

    Raises:
        ValueError: If shapes, types or ids do not fit the layer.
    """
    read = read_mask(
        mask, None, num_labels=num_channels, use_unknown_label=False, use_instance_edges=False, dtype=x.dtype
    )
    if len(x) % read.num_masks:
        raise ValueError(
            f"`x` has {len(x)} images and `mask` has {read.num_masks} masks; pass one image per mask, or the same "
            "number of consecutive images per mask."
        )
    return replace(read, images_per_mask=len(x) // read.num_masks)


def read_mask(
    mask: Tensor | None,
    instance_edges: Tensor | None,
    condition: Tensor | None = None,
    *,
    num_labels: int,
    use_unknown_label: bool,
    use_instance_edges: bool,
    condition_channels: int = 0,
    dtype: torch.dtype,
) -> SemanticMask:
    """Check a mask and make it readable at every resolution.

    Args:
        mask (`Tensor` or `None`): int `(N, H, W)` of label channels, or float `(N, L, H, W)`, one-hot or soft, with or
            without the edge channel, and without the condition; `None` if there are no labels.
        instance_edges (`Tensor` or `None`): bool or 0/1 `(N, H, W)` or `(N, 1, H, W)`, for models with edges.
        condition (`Tensor`, *optional*): float `(N, P, H, W)`, for models with condition channels.
        dtype (`torch.dtype`): Type of the one-hot maps.

    Raises:
        ValueError: If shapes, types or ids do not fit the model.
    """
    num_label_channels = num_labels + use_unknown_label  # L without edges and condition
    condition = _check_condition(condition, mask, condition_channels)  # (N, P, H, W) or None
    if (mask is None) != (num_labels == 0):
        raise ValueError(
            "`segmap` is missing: this model reads labels. Pass label channels as int (N, H, W)."
            if mask is None
            else "`segmap` was given, but this model has no labels; pass None, and `condition` alone."
        )
    if mask is None:
        _check_edges(instance_edges, None, use_instance_edges)
        given: dict[str, Any] = {}
    # Ids: one code per pixel, the label's channel, moved up by the number of labels on an edge.
    elif mask.ndim == 3 and not mask.is_floating_point():
        edges = _check_edges(instance_edges, mask, use_instance_edges)  # (N, H, W) or None
        codes = _check_channels(mask.long(), num_label_channels)  # (N, H, W)
        if edges is not None:
            codes = codes + num_label_channels * edges.bool()
        given = {"codes": codes}
    # One-hot or soft: kept as it is, edges beside the labels.
    elif mask.ndim == 4 and mask.is_floating_point():
        segmap = mask
        if segmap.shape[1] == num_label_channels:
            edges = _check_edges(instance_edges, mask, use_instance_edges)
            if edges is not None:
                segmap = torch.cat([segmap, edges[:, None].to(segmap)], dim=1)  # (N, L, H, W)
        elif segmap.shape[1] != num_label_channels + use_instance_edges:
            raise ValueError(
                f"`segmap` has {segmap.shape[1]} channels; this model reads {num_label_channels} label channels"
                + (f", or {num_label_channels + 1} with the edge channel last." if use_instance_edges else ".")
            )
        elif instance_edges is not None:
            raise ValueError("`segmap` already has an edge channel; leave out `instance_edges`, or that channel.")
        given = {"segmap": segmap}
    else:
        raise ValueError(
            f"`segmap` is {mask.dtype} of shape {tuple(mask.shape)}; pass label channels as int (N, H, W), "
            "or a one-hot or soft mask as float (N, L, H, W)."
        )
    return SemanticMask(
        **given,
        condition=condition,
        num_label_channels=num_label_channels,
        has_edges=use_instance_edges,
        dtype=dtype,
    )


def _check_condition(condition: Tensor | None, mask: Tensor | None, num_channels: int) -> Tensor | None:
    """Return the condition, `None` for a model without; raise a ValueError unless it fits the model and the mask."""
    if num_channels == 0:
        if condition is not None:
            raise ValueError("`condition` was given, but this model has no condition channels; leave it out.")
        return None
    advice = (
        f"this model reads float (N, {num_channels}, H, W) in [-1, 1] beside its mask, which "
        "`SPADEImageProcessor.preprocess_condition` makes of images and arrays."
    )
    if condition is None:
        raise ValueError(f"`condition` is missing: {advice}")
    if condition.ndim != 4 or condition.shape[1] != num_channels or not condition.is_floating_point():
        raise ValueError(f"`condition` is {condition.dtype} of shape {tuple(condition.shape)}; {advice}")
    if mask is not None and condition.shape != (expected := (mask.shape[0], num_channels, *mask.shape[-2:])):
        raise ValueError(
            f"`condition` has shape {tuple(condition.shape)}; with a mask of shape {tuple(mask.shape)} it must be "
            f"{expected}."
        )
    return condition


def _check_channels(label_map: Tensor, num_channels: int) -> Tensor:
    """Return the label map, or raise a ValueError for unknown channels. A network does not know a data set's ids."""
    is_known = (label_map >= 0) & (label_map < num_channels)
    advice = (
        f"this model knows the channels 0..{num_channels - 1}. `SPADEImageProcessor.preprocess_mask` maps a data "
        "set's ids, including its unknown id (such as 255), to channels."
    )
    if torch.compiler.is_compiling():  # a graph must not depend on the labels, but it can fail: with a RuntimeError
        torch._assert_async(is_known.all(), f"`segmap` has unknown label ids; {advice}")
        return label_map
    bad = label_map[~is_known].unique().tolist()
    if bad:
        raise ValueError(f"`segmap` has label ids {bad[:10]}{' ...' if len(bad) > 10 else ''}; {advice}")
    return label_map


def _check_edges(edges: Tensor | None, mask: Tensor | None, use_instance_edges: bool) -> Tensor | None:
    """Return the edges as `(N, H, W)`, or `None` for a model without edges, as one without labels always is."""
    if not use_instance_edges or mask is None:
        if edges is not None:
            raise ValueError("`instance_edges` was given, but this model has no edge channel; leave it out.")
        return None
    if edges is None:
        raise ValueError("This model reads instance edges; pass `instance_edges`, all zeros if there are none.")
    if edges.ndim == 4 and edges.shape[1] == 1:
        edges = edges[:, 0]
    if edges.shape != (len(mask), *mask.shape[-2:]):
        raise ValueError(
            f"`instance_edges` has shape {tuple(edges.shape)}; the mask needs {(len(mask), *mask.shape[-2:])}."
        )
    if ((edges != 0) & (edges != 1)).any():
        raise ValueError(
            f"`instance_edges` has values in {edges.min().item()}..{edges.max().item()}; edges are 1, all else 0. "
            "`SPADEImageProcessor.preprocess` computes edges from instance ids."
        )
    return edges
