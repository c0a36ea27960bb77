"""Reads what a pipeline's call was given: masks, instance maps and conditions, at the images' size.

Legend: N masks, L labels, P condition channels, H W height and width.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..images.processor import SPADEImageProcessor
from ..images.resize import size_in_proportion
from ..labels.label_set import UNPAINTED_ID
from .arguments import check_conditions, check_side
from .refinement import read_painted


@dataclass(frozen=True)
class InputReader:
    """Reads inputs of a generator.

    Args:
        generator (`SPADEGenerator`): Decides about the sizes of images.
        processor (`SPADEImageProcessor`): Reads masks and conditions.
        height, width (`int`, *optional*): Sides that were asked for.
        color_tolerance (`float`, *optional*): For masks in colors.
        can_fill (`bool`): Whether there is an outline model, which fills what is not painted.
    """

    generator: Any
    processor: SPADEImageProcessor
    height: int | None
    width: int | None
    color_tolerance: float | None
    can_fill: bool

    def read(self, mask: Any, instance_map: Any, condition: Any) -> dict[str, Tensor | None]:
        """Read what the generator reads besides styles, by its arguments.

        Returns:
            `dict`: `segmap`, `(N, H, W)` or `(N, L, H, W)`, or `None` for a model without labels; `instance_edges`,
                bool `(N, H, W)`, and `condition`, `(N, P, H, W)` in [-1, 1], of a model that has them.

        Raises:
            ValueError: If one is missing or not valid, or they do not fit each other.
        """
        conditions, count = None, self.processor.config.condition_channels
        if condition is not None:
            conditions = self.processor.read_condition(condition)
        elif count:
            raise ValueError(
                f"`condition` is missing: this model reads {count} channels of real numbers. Pass what it was trained "
                "with, such as a depth map, edges or a picture."
            )
        if mask is None:
            if instance_map is not None:
                raise ValueError("`instance_map` was given, but this model has no labels. Leave it out.")
            assert conditions is not None
            size = self.image_size(conditions, "condition")
            return {"segmap": None, "condition": self.processor.resize_condition(conditions, size=size)}
        masks, instance_maps = self._read_masks(mask, instance_map)
        height, width = self.image_size(masks, "mask")
        label_maps, edges = self.processor.resize(masks, instance_maps, height=height, width=width)
        inputs: dict[str, Tensor | None] = {"segmap": label_maps}
        if edges is not None:
            inputs["instance_edges"] = edges
        if conditions is not None:
            check_conditions(conditions, masks)
            inputs["condition"] = self.processor.resize_condition(conditions, size=(height, width))
        return inputs

    def read_painted(self, mask: Any) -> Tensor:
        """Read masks that can have unpainted pixels: int64 `(N, H, W)` in 0..L, where L is "not painted"."""
        reader, masks = read_painted(self.processor, mask, self.color_tolerance)
        height, width = self.image_size(masks, "mask")
        channels, _ = reader.resize(masks, height=height, width=width)
        return torch.from_numpy(reader.label_set.channel_classes).to(channels.device)[channels]

    def image_size(self, masks: list[Tensor], argument: str) -> tuple[int, int]:
        """Return the images' height and width, in the proportions of the masks `(..., H, W)` unless both are given."""
        divisor = self.generator.size_divisor
        check_side("height", self.height, divisor)
        check_side("width", self.width, divisor)
        sides: dict[str, Any] = {"height": self.height, "width": self.width, "divisor": divisor}
        area = math.prod(self.generator.native_size)
        sizes = dict.fromkeys(size_in_proportion((one.shape[-2], one.shape[-1]), area=area, **sides) for one in masks)
        if len(sizes) > 1:
            listed = ", ".join(f"{height}x{width}" for height, width in sizes)
            raise ValueError(
                f"`{argument}` has {argument}s of different proportions: their images would be {listed} (height x "
                "width), but one call makes images of one size. Give `height` and `width`, or call once for each size."
            )
        return next(iter(sizes))

    def _read_masks(self, mask: Any, instance_map: Any) -> tuple[list[Tensor], Any]:
        """Read masks and instance maps at their own sizes; an error about holes says how to fill them."""
        try:
            return self.processor.read(mask, instance_map, color_tolerance=self.color_tolerance)
        except ValueError as error:
            if not self.can_fill or self.processor.label_set.use_unknown_label:
                raise
            try:
                read_painted(self.processor, mask, self.color_tolerance)
            except ValueError:
                raise error from None
            raise ValueError(
                f"{error} Pixels that are not painted (id {UNPAINTED_ID}, or transparent) are filled with "
                "`outline_strength` above 0, or by `refine_mask`."
            ) from None
