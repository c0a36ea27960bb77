"""What a training batch holds: from the data to the losses, every function that takes a batch reads these keys.

Legend: N batch, I image channels, P condition channels, H W height and width of the training crop.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

import torch
from torch import Tensor


class _Always(TypedDict):
    """Keys of every batch."""

    real_images: Tensor  # (N, I, H, W) float in [-1, 1]
    seed: Tensor  # (N,) int64 in 0..2**32 - 1; all random numbers of a sample in training derive from it


class Batch(_Always, total=False):
    """Samples side by side; a single sample has the same keys, without N."""

    # From the data:
    # (N, H, W) int64, label channels: 0..num_labels - 1, then unknown if the model knows it; of soft masks, weights,
    # (N, L, H, W) float; only for models with labels
    label_map: Tensor
    condition: Tensor  # (N, P, H, W) float in [-1, 1], real numbers beside the labels; only for models that read them
    instance_edges: Tensor  # (N, H, W) bool, borders between instances; only for models with instance edges
    agreement: Tensor  # (N, H, W) bool, where the real image shows the label; only if masks are simplified
    # Added by an iteration:
    has_random_style: Tensor  # (N,) bool, samples in another style than the real image's: losses compare content only
    visible: Tensor  # (N, H, W) bool, False where augmentation has hidden the images from the discriminator


def hard_labels(label_map: Tensor) -> Tensor:
    """Return hard masks `(..., H, W)` as they are, and of soft ones, float `(..., L, H, W)`, the heaviest labels."""
    return label_map.argmax(dim=-3) if label_map.is_floating_point() else label_map


def labels_of(batch: Batch) -> Tensor:
    """Return the labels of a batch, int64 `(N, H, W)`; see [`hard_labels`]."""
    label_map = batch.get("label_map")
    if label_map is None:
        raise ValueError("The samples have no masks, so there are no labels to compare with.")
    return hard_labels(label_map)


def conditioning(batch: Batch) -> dict[str, Any]:
    """Return what a generator or discriminator reads of a batch besides images and latents, by its arguments."""
    others = {name: batch.get(name) for name in ("instance_edges", "condition")}
    return {"segmap": batch.get("label_map"), **{name: one for name, one in others.items() if one is not None}}


def stack_samples(samples: Sequence[Batch], device: torch.device | str | None = None) -> Batch:
    """Make a batch of samples that have the same keys, on a device; default: where they are."""
    columns: Sequence[Mapping[str, Any]] = samples
    stacked = {name: torch.stack([sample[name] for sample in columns]).to(device) for name in columns[0]}
    return cast(Batch, stacked)
