"""Checks of the arguments of a pipeline's call, each by itself."""

from typing import Any

import torch
from torch import Tensor

from ..images.resize import have_equal_proportions, size_of
from ..labels.label_set import LabelSet
from ..models.semantics import nearest_multiple


def check_generator(generator: Any) -> None:
    """Raise a ValueError unless `generator` is `None`, a generator or a list of them."""
    generators = generator if isinstance(generator, list) else [generator]
    if generator is not None and not all(isinstance(one, torch.Generator) for one in generators):
        raise ValueError(
            f"`generator` is {generator!r}; pass a `torch.Generator`, such as `torch.Generator().manual_seed(3)`, "
            "or a list of them."
        )


def check_whole_number(name: str, value: Any) -> None:
    """Raise a ValueError unless `value` is a whole number of at least 1."""
    if not is_whole(value) or value < 1:
        raise ValueError(f"`{name}` is {value!r}; pass a whole number of at least 1.")


def check_side(name: str, size: Any, divisor: int) -> None:
    """Raise a ValueError unless `size`, the height or width of an image, is `None` or fits the model."""
    if size is None:
        return
    if not is_whole(size):
        raise ValueError(f"`{name}` is {size!r}; pass a whole number, a multiple of {divisor}.")
    if size < divisor or size % divisor:
        raise ValueError(
            f"`{name}` is {size}; this model makes images whose sides are multiples of {divisor}, such as "
            f"{nearest_multiple(size, divisor)}."
        )


def check_latents(latents: Any, latent_dim: int | None) -> None:
    """Raise a ValueError unless `latents` is a finite tensor `(M, Z)` of at least one row."""
    if not isinstance(latents, Tensor):
        raise ValueError(f"`latents` is a {type(latents).__name__}; pass a tensor (M, {latent_dim}).")
    if latents.ndim != 2 or latents.shape[1] != latent_dim or len(latents) == 0:
        raise ValueError(
            f"`latents` has shape {tuple(latents.shape)}; this model takes (M, {latent_dim}), with M at least 1."
        )
    if not latents.isfinite().all():
        raise ValueError("`latents` has values that are NaN or infinite; pass finite ones.")


def check_tolerance(color_tolerance: Any) -> None:
    """Raise a ValueError unless `color_tolerance` is `None` or a number; what it may be depends on the mask."""
    is_number = hasattr(color_tolerance, "__float__") and not isinstance(color_tolerance, bool)
    if color_tolerance is not None and not is_number:
        raise ValueError(f"`color_tolerance` is {color_tolerance!r}; pass a number, a distance in RGB.")


def check_mask(mask: Any, *, has_labels: bool) -> None:
    """Raise a ValueError unless a mask is given to a model with labels, and none to a model without."""
    if mask is None and has_labels:
        raise ValueError("`mask` is missing: this model reads labels. Pass a mask.")
    if mask is not None and not has_labels:
        raise ValueError("`mask` was given, but this model has no labels. Pass `condition` alone.")


def check_conditions(conditions: list[Tensor], masks: list[Tensor]) -> None:
    """Raise a ValueError unless there is a condition `(P, H, W)` for each mask `(..., H, W)`, in its proportions."""
    if len(conditions) != len(masks):
        raise ValueError(f"`condition` holds {len(conditions)} conditions for {len(masks)} masks; give one per mask.")
    for index, (condition, mask) in enumerate(zip(conditions, masks, strict=True)):
        if not have_equal_proportions((condition.shape[-2], condition.shape[-1]), (mask.shape[-2], mask.shape[-1])):
            raise ValueError(
                f"`condition` {index} is {size_of(condition)} and its `mask` is {size_of(mask)} (height x width). "
                "Both must show the same frame, in the same proportions."
            )


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number; numpy's integers are, too."""
    return hasattr(value, "__index__") and not isinstance(value, bool | Tensor)


def check_network_labels(network: Any, labels: LabelSet, *, name: str) -> None:
    """Raise a ValueError if a network, the component `name`, knows other labels than a label set."""
    names = [labels.names[channel] for channel in labels.class_channels]
    theirs = list(network.config.labels or names)
    if network.config.num_labels != len(names) or theirs != names:
        differing = next((pair for pair in zip(theirs, names, strict=False) if pair[0] != pair[1]), None)
        first = f"; the first that differs is {differing[0]!r} instead of {differing[1]!r}" if differing else ""
        raise ValueError(
            f"`{name}` has {network.config.num_labels} labels, and label set '{labels.name}' has {len(names)}{first}. "
            "Use one that was trained with this label set."
        )
