"""Shared code of networks that read masks, and of those that make images of a mask's size.

The only place where semantic channels are counted.
"""

import torch
from torch import Tensor

from ..layers import SemanticMask, read_mask
from .modeling_utils import SPADEModelMixin


class SemanticModelMixin(SPADEModelMixin):
    """A network that reads masks.

    Its config has `num_labels`, `use_unknown_label` and `use_instance_edges`, and can have `condition_channels`.
    """

    def read_mask(
        self,
        mask: Tensor | None,
        instance_edges: Tensor | None,
        condition: Tensor | None = None,
        *,
        dtype: torch.dtype,
    ) -> SemanticMask:
        """Call [`read_mask`] with the labels and the condition channels of the config."""
        return read_mask(
            mask,
            instance_edges,
            condition,
            num_labels=self.config.num_labels,
            use_unknown_label=self.config.use_unknown_label,
            use_instance_edges=self.config.use_instance_edges,
            condition_channels=self.config.get("condition_channels", 0),
            dtype=dtype,
        )


class MaskToImageMixin(SemanticModelMixin):
    """A generator of images with sides of multiples of `size_divisor`; its config also has `image_size`."""

    size_divisor: int
    divisor_formula: str  # of `size_divisor`, for messages

    @property
    def native_size(self) -> tuple[int, int]:
        """Height and width, in pixels, of the images that the model is made for."""
        return as_size(self.config.image_size)

    def check_size(self, height: int, width: int, name: str) -> None:
        """Raise a ValueError unless the model can make images of this size.

        Args:
            height, width (`int`): In pixels.
            name (`str`): For the message, what has this size, such as "`segmap`".
        """
        divisor = self.size_divisor
        if height < divisor or width < divisor or height % divisor or width % divisor:
            raise ValueError(
                f"{name} is {height}x{width} (height x width); both must be multiples of {divisor} "
                f"({self.divisor_formula}), such as {nearest_multiple(height, divisor)}x"
                f"{nearest_multiple(width, divisor)}."
            )

    def first_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the first activation for images of this size."""
        return height // self.size_divisor, width // self.size_divisor


def num_semantic_channels(
    num_labels: int, use_unknown_label: bool, use_instance_edges: bool, condition_channels: int = 0
) -> int:
    """Count L: the classes, then one for unknown, one for instance edges, and those of the condition."""
    if condition_channels < 0:
        raise ValueError(f"`condition_channels` is {condition_channels}; it must be 0, for none, or more.")
    if num_labels < 1 and (num_labels < 0 or condition_channels == 0):
        raise ValueError(
            f"`num_labels` is {num_labels}; a model needs at least one label, or 0 labels and `condition_channels` of "
            "at least 1."
        )
    if num_labels == 0 and (use_unknown_label or use_instance_edges):
        name = "use_unknown_label" if use_unknown_label else "use_instance_edges"
        raise ValueError(f"`{name}` is True, but `num_labels` is 0: there are no labels. Leave it out.")
    return num_labels + use_unknown_label + use_instance_edges + condition_channels


def nearest_multiple(side: int, divisor: int) -> int:
    """Return the multiple of `divisor`, at least 1 of it, that a side can be instead; for messages."""
    return max(1, round(side / divisor)) * divisor


def as_size(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Return H and W of a config's `image_size`: it stores an integer, for a square, or a pair."""
    return (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
