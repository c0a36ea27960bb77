"""`SPADEImageProcessor`: converts masks, instance maps and style images to tensors, and model outputs to images.

Legend: N batch, I image channels, L semantic channels (classes and unknown, never edges), P condition channels, H W
height and width.
"""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import PushToHubMixin

from ..labels.label_set import LabelSet
from .channels import as_shown, check_condition, check_display_channels, check_image_channels
from .inputs import flatten, instance_edges
from .masks import open_mask, read_ids, read_instance_maps, soft_masks
from .photo_files import fits_pillow, to_pillow
from .photos import read_values
from .resize import size_of, stack_labels, stack_photos
from .value_range import (
    OF_CONDITIONS,
    OF_IMAGES,
    ValueRange,
    check_value_range,
    stored_type,
    to_stored,
    unscale_values,
)


# Annotations quote these names, so that `help` prints them.
SingleImage: TypeAlias = PIL.Image.Image | np.ndarray | torch.Tensor | str | os.PathLike[str]
ImageInput: TypeAlias = SingleImage | list[SingleImage]
OUTPUT_TYPES = ("pil", "np", "pt")


class SPADEImageProcessor(ConfigMixin, PushToHubMixin):
    """Converter of masks, instance maps and images to model inputs, and of model outputs to images.

    It is saved with a pipeline, so that a loaded pipeline knows the names and colors of its labels.

    Args:
        label_set (`LabelSet` or `dict`): The labels of the masks; a `dict` as `LabelSet.to_dict` returns it. `None`
            for a model that reads a condition and no masks.
        use_instance_edges (`bool`, defaults to `False`): Whether the model has an edge channel; `preprocess` then
            requires an instance map.
        image_channels (`int`, defaults to 3): I, channels of the images: 1 for gray, 3 for RGB. Of three, images of
            any mode are converted to RGB; of another number, they must have it.
        value_range (`tuple[float, float]`, *optional*): The numbers of black and white in images, in the units of the
            data, such as (-1000, 1000) of a CT; others are clipped, with a warning. Images are written in these units:
            see `stored_type`. Default: by type, 0..255 of 8 bits, 0..65535 of 16 bits and [0, 1] of floats, and
            images of 8 bits are written.
        display_channels (`tuple[int, int, int]`, *optional*): The channels that people see as red, green and blue in
            grids and sheets. Default: gray as gray, of others the first three.
        condition_channels (`int`, defaults to 0): P, channels of the conditions that a model reads beside its masks,
            such as 1 of a depth map, or 3 of an RGB picture.
        condition_range (`tuple[float, float]`, *optional*): For conditions, what `value_range` is for images: the
            numbers that become -1 and 1.
    """

    config: Any  # diffusers' FrozenDict, whose attributes are the constructor's arguments
    config_name = "preprocessor_config.json"

    @register_to_config
    def __init__(
        self,
        *,
        label_set: LabelSet | dict[str, Any] | None,
        use_instance_edges: bool = False,
        image_channels: int = 3,
        value_range: tuple[float, float] | None = None,
        display_channels: tuple[int, int, int] | None = None,
        condition_channels: int = 0,
        condition_range: tuple[float, float] | None = None,
    ) -> None:
        check_image_channels(image_channels)
        check_value_range(value_range)
        check_display_channels(display_channels, image_channels)
        check_condition(condition_channels, condition_range)
        self._label_set = None
        if label_set is not None:
            self._label_set = label_set if isinstance(label_set, LabelSet) else LabelSet.from_dict(label_set)
            self.register_to_config(label_set=self._label_set.to_dict())  # plain values, for the JSON file
        elif condition_channels == 0 or use_instance_edges:
            raise ValueError(
                "`label_set` is None, but a model reads masks, or a condition alone: give a label set, or "
                "`condition_channels` of at least 1 and no `use_instance_edges`."
            )
        self._postprocessor = VaeImageProcessor(vae_scale_factor=1)

    @property
    def value_range(self) -> ValueRange | None:
        """The numbers of black and white; `None` for those of their type."""
        return check_value_range(self.config.value_range)

    def image_options(self) -> dict[str, Any]:
        """Return what the processor knows of images, as arguments of another one."""
        channels = self.config.display_channels
        return {
            "image_channels": self.config.image_channels,
            "value_range": self.value_range,
            "display_channels": None if channels is None else tuple(channels),
        }

    @property
    def condition_range(self) -> ValueRange | None:
        """The numbers of a condition that become -1 and 1; `None` for those of their type."""
        return check_value_range(self.config.condition_range, OF_CONDITIONS.value_range)

    def condition_options(self) -> dict[str, Any]:
        """Return what the processor knows of conditions, as arguments of another one."""
        return {"condition_channels": self.config.condition_channels, "condition_range": self.condition_range}

    @property
    def stored_type(self) -> np.dtype:
        """The type of the numbers that images are written in; see [`value_range.stored_type`]."""
        return stored_type(self.value_range)

    @property
    def label_set(self) -> LabelSet:
        """The labels of the masks; raises a ValueError if the model reads none."""
        if self._label_set is None:
            raise ValueError(
                f"This model has no labels: it makes images of a condition of {self.config.condition_channels} "
                "channels alone, so nothing that needs masks can be done with it. Call `pipeline(condition=...)`."
            )
        return self._label_set

    @property
    def has_labels(self) -> bool:
        """Whether the model reads masks."""
        return self._label_set is not None

    @property
    def label_set_or_none(self) -> LabelSet | None:
        """The labels of the masks, or `None` if the model reads none."""
        return self._label_set

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any
    ) -> None:
        """Save the configuration as `preprocessor_config.json`.

        Args:
            save_directory (`str` or `os.PathLike`): The folder, created if it does not exist.
            push_to_hub (`bool`, defaults to `False`): Also uploads it, to `repo_id` or under the folder's name.
            kwargs (`dict`, *optional*): `repo_id`, `token`, `private`, `commit_message`, `create_pr`, `subfolder`.
        """
        self.save_config(str(save_directory), push_to_hub=push_to_hub, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], subfolder: str | None = None, **kwargs: Any
    ) -> "SPADEImageProcessor":
        """Load a saved processor.

        Args:
            pretrained_model_name_or_path (`str` or `os.PathLike`): A folder or a Hub repository.
            subfolder (`str`, *optional*): A subfolder of it, e.g. "image_processor" for a pipeline's processor.
            kwargs (`dict`, *optional*): `revision`, `token`, `cache_dir`, `local_files_only`, and arguments of the
                constructor that replace the saved ones.
        """
        config: Any
        config, kwargs = cls.load_config(
            pretrained_model_name_or_path, subfolder=subfolder, return_unused_kwargs=True, **kwargs
        )
        # `from_config` would take a string for the name of a repository
        labels = config.get("label_set") if isinstance(config, dict) else None
        is_without = isinstance(config, dict) and "label_set" in config and bool(config.get("condition_channels"))
        if not isinstance(labels, dict) and not (labels is None and is_without):
            raise ValueError(
                f"{pretrained_model_name_or_path} has a {cls.config_name} without `label_set`. Copy it again."
            )
        processor: Any = cls.from_config(config, **kwargs)
        return processor

    def preprocess(
        self,
        mask: "ImageInput",
        instance_map: "ImageInput | None" = None,
        *,
        height: int | None = None,
        width: int | None = None,
        color_tolerance: float | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Read masks together with their instance maps: `read`, then `resize`.

        Args:
            mask: See `preprocess_mask`; also for `height`, `width` and `color_tolerance`.
            instance_map (*optional*): See `preprocess_instance_map`; one per mask, of the mask's size. Required if and
                only if the model has `use_instance_edges`.

        Returns:
            `tuple`: Masks as from `preprocess_mask`, and edges, bool `(N, H, W)`, or `None` without instance map.

        Raises:
            ValueError: If masks and maps differ in number or size, or a map contradicts `use_instance_edges`.
        """
        return self.resize(*self.read(mask, instance_map, color_tolerance=color_tolerance), height=height, width=width)

    def read(
        self, mask: "ImageInput", instance_map: "ImageInput | None" = None, *, color_tolerance: float | None = None
    ) -> tuple[list[torch.Tensor], list[torch.Tensor] | None]:
        """Read masks and their instance maps at their own sizes; see `preprocess`.

        Returns:
            `tuple`: N masks, int64 `(H, W)` or float32 `(L, H, W)`, and N instance maps, int64 `(H, W)`, or `None`.
        """
        if self.config.use_instance_edges and instance_map is None:
            raise ValueError(
                "`instance_map` is missing: this model has an instance edge channel. Pass the ids of the instances, "
                "or an array of zeros of the mask's size for an image without edges."
            )
        if not self.config.use_instance_edges and instance_map is not None:
            raise ValueError("`instance_map` was given, but this model has no instance edge channel. Leave it out.")
        masks = self._read_masks(mask, color_tolerance)
        if instance_map is None:
            return masks, None
        instance_maps = read_instance_maps(instance_map)
        if len(masks) != len(instance_maps):
            raise ValueError(
                f"`instance_map` holds {len(instance_maps)} maps for {len(masks)} masks; give one per mask."
            )
        for index, (one_mask, one_map) in enumerate(zip(masks, instance_maps, strict=True)):
            if one_mask.shape[-2:] != one_map.shape[-2:]:
                raise ValueError(
                    f"`instance_map` {index} is {size_of(one_map)} and its `mask` is {size_of(one_mask)} (height x "
                    "width). Give both at the same size, so that their borders meet."
                )
        return masks, instance_maps

    def resize(
        self,
        masks: list[torch.Tensor],
        instance_maps: list[torch.Tensor] | None = None,
        *,
        height: int | None = None,
        width: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Resize the result of `read` to one size and find the edges there; see `preprocess`."""
        label_maps = stack_labels(masks, height, width, "mask")  # (N, height, width) or (N, L, height, width)
        if instance_maps is None:
            return label_maps, None
        # at the final size, so that an edge is one pixel wide on each side
        return label_maps, instance_edges(stack_labels(instance_maps, height, width, "instance_map"))

    def preprocess_mask(
        self,
        mask: "ImageInput",
        *,
        height: int | None = None,
        width: int | None = None,
        color_tolerance: float | None = None,
    ) -> torch.Tensor:
        """Read one or several masks.

        Args:
            mask (`PIL.Image.Image`, `np.ndarray`, `torch.Tensor`, `str`, `Path` or a list of them):
                - an image of ids (`L`, `P`, `I;16`, `I`; a `P` image's indices are the ids) or in the palette's
                  colors (`RGB`, `RGBA`; transparent pixels are unknown), itself or its path;
                - an array of ids, `(H, W)` or `(N, H, W)`, or of colors, uint8 `(H, W, 3)` or `(N, H, W, 3)`; uint8
                  with a last side of 3 or 4 is always colors (RGB, RGBA);
                - an integer tensor of ids, `(H, W)` or `(N, H, W)`;
                - a float array or tensor `(N, L, H, W)`, one-hot or soft, finite and 0 or more; `.npy`: `(L, H, W)`.
            height, width (`int`, *optional*): Size to resize to, by nearest neighbor; `None` keeps the mask's.
            color_tolerance (`float`, *optional*): See [`LabelSet.ids_from_colors`]. If given, pixels count as
                transparent below half opacity; without it a half-transparent pixel is an error.

        Returns:
            `torch.Tensor`: int64 `(N, H, W)` of semantic channels in `0..L - 1`, or, for a soft mask, float32
                `(N, L, H, W)`.

        Raises:
            ValueError: For unknown ids, colors off the palette, another form, or masks of different sizes without
                `height` and `width`.
        """
        return stack_labels(self._read_masks(mask, color_tolerance), height, width, "mask")

    def read_ids(self, mask: "ImageInput", *, color_tolerance: float | None = None) -> list[np.ndarray]:
        """Read hard masks at their own sizes, as ids of the label set.

        Args:
            mask: In any hard form that `preprocess_mask` takes.
            color_tolerance (`float`, *optional*): As in `preprocess_mask`.

        Returns:
            `list[np.ndarray]`: int64 `(H, W)` each.

        Raises:
            ValueError: As in `preprocess_mask`, and for a soft mask, which has no ids.
        """
        masks = self._read_masks(mask, color_tolerance)
        if masks[0].is_floating_point():
            raise ValueError("`mask` is soft (float), which has no ids; give a hard one (ids, colors).")
        return [self.label_set.channels_to_ids(one.cpu().numpy()) for one in masks]

    def preprocess_instance_map(
        self, instance_map: "ImageInput", *, height: int | None = None, width: int | None = None
    ) -> torch.Tensor:
        """Read instance maps and find the edges at the final size, as the public implementation does.

        Args:
            instance_map: Ids of instances in any hard form that `preprocess_mask` takes; every color of an `RGB`
                image is one instance.
            height, width (`int`, *optional*): Size to resize to, by nearest neighbor; `None` keeps the map's.

        Returns:
            `torch.Tensor`: bool `(N, H, W)`, see `instance_edges`.
        """
        return instance_edges(stack_labels(read_instance_maps(instance_map), height, width, "instance_map"))

    def preprocess_image(
        self,
        image: "ImageInput",
        *,
        size: tuple[int, int] | None = None,
        on_clipped: Callable[[str, float], None] | None = None,
    ) -> torch.Tensor:
        """Read one or several images, e.g. style images.

        Args:
            image (`PIL.Image.Image`, `np.ndarray`, `torch.Tensor`, `str`, `Path` or a list of them): PIL images or
                paths, also of `.npy` and TIFF; arrays `(H, W, I)` or `(N, H, W, I)`, of gray also `(H, W)`; tensors
                `(I, H, W)` or `(N, I, H, W)`. In units of `value_range`; without it, numbers are uint8 in 0..255,
                uint16 in 0..65535 or floats in [0, 1].
            size (`tuple[int, int]`, *optional*): Height and width to resize to, bilinear with antialiasing.
            on_clipped (`Callable[[str, float], None]`, *optional*): Called with the name of an image and the share of
                its values outside of `value_range`, if there are any. Default: a warning in the log.

        Returns:
            `torch.Tensor`: float32 `(N, I, H, W)` in [-1, 1].

        Raises:
            ValueError: If an image cannot be read, or has another number of channels, or values that are not finite.
        """
        height, width = size or (None, None)
        images = read_values(
            image, "image", self.config.image_channels, self.value_range, options=OF_IMAGES, on_clipped=on_clipped
        )
        return stack_photos(images, height, width, "image") * 2 - 1

    def preprocess_condition(
        self,
        condition: "ImageInput",
        *,
        size: tuple[int, int] | None = None,
        on_clipped: Callable[[str, float], None] | None = None,
    ) -> torch.Tensor:
        """Read one or several conditions: depth maps, edges, pictures, or any other real numbers.

        Args:
            condition: In the forms of `preprocess_image`, of `condition_channels` channels, in units of
                `condition_range`.
            size (`tuple[int, int]`, *optional*): Height and width to resize to, bilinear with antialiasing.
            on_clipped (`Callable[[str, float], None]`, *optional*): As in `preprocess_image`.

        Returns:
            `torch.Tensor`: float32 `(N, P, H, W)` in [-1, 1].

        Raises:
            ValueError: As in `preprocess_image`, and if the model reads no condition.
        """
        return self.resize_condition(self.read_condition(condition, on_clipped=on_clipped), size=size)

    def read_condition(
        self, condition: "ImageInput", *, on_clipped: Callable[[str, float], None] | None = None
    ) -> list[torch.Tensor]:
        """Read conditions at their own sizes, N times float32 `(P, H, W)` in [0, 1]; see `preprocess_condition`."""
        count = self.config.condition_channels
        if count == 0:
            raise ValueError("`condition` was given, but this model reads masks alone. Leave it out.")
        options = {"options": OF_CONDITIONS, "on_clipped": on_clipped}
        return read_values(condition, "condition", count, self.condition_range, **options)

    def resize_condition(self, conditions: list[torch.Tensor], *, size: tuple[int, int] | None = None) -> torch.Tensor:
        """Resize the result of `read_condition` to a height and width: float32 `(N, P, H, W)` in [-1, 1]."""
        height, width = size or (None, None)
        return stack_photos(conditions, height, width, "condition") * 2 - 1

    def postprocess(
        self, images: torch.Tensor, output_type: str = "pil", *, denormalize: bool = False
    ) -> list[PIL.Image.Image] | np.ndarray | torch.Tensor:
        """Turn a model's output into images.

        Args:
            images (`torch.Tensor`): `(N, I, H, W)` in [-1, 1].
            output_type (`str`, defaults to "pil"): "pil" for a list of images in the data's units (mode L, LA, RGB or
                RGBA of 8 bits, I;16 of 16 bits, F of others), "np" for float32 `(N, H, W, I)` in [0, 1], "pt" for a
                tensor `(N, I, H, W)` in [0, 1].
            denormalize (`bool`, defaults to `False`): Return "np" and "pt" in the units of `value_range`.

        Raises:
            ValueError: As in `check_output`.
        """
        self.check_output(output_type, denormalize)
        if output_type == "pil" and (self.value_range is not None or self.config.image_channels not in (1, 3)):
            return [to_pillow(one) for one in self.to_stored(images)]
        output: Any = self._postprocessor.postprocess(images, output_type=output_type)  # a list if "pil"
        return unscale_values(output, self.value_range) if denormalize else output

    def check_output(self, output_type: str, denormalize: bool = False) -> None:
        """Raise a ValueError for an output that images of these channels and values cannot have."""
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"`output_type` is {output_type!r}; allowed are {', '.join(map(repr, OUTPUT_TYPES))}.")
        count = self.config.image_channels
        if output_type == "pil" and not fits_pillow(count, self.stored_type):
            raise ValueError(
                f"`output_type` is 'pil', which has no images of {count} channels of {self.stored_type}. Give 'np' or "
                "'pt'."
            )
        if denormalize and output_type == "pil":
            raise ValueError("`denormalize` is for `output_type` 'np' and 'pt': PIL images have the data's units.")
        if denormalize and self.value_range is None:
            raise ValueError(
                "`denormalize` was given, but this model has no `value_range`: its images are in [0, 1]. Leave it out."
            )

    def to_stored(self, images: torch.Tensor) -> np.ndarray:
        """Convert images `(N, I, H, W)` in [-1, 1] to the numbers of files, `(N, H, W, I)` of `stored_type`."""
        return to_stored((images.movedim(1, -1).float() / 2 + 0.5).clamp(0, 1), self.value_range)

    def show(self, images: torch.Tensor) -> torch.Tensor:
        """Show images `(N, I, H, W)` in RGB, `(N, 3, H, W)`; see `display_channels`."""
        return as_shown(images, self.config.display_channels)

    def colorize(self, mask: "ImageInput") -> list[PIL.Image.Image]:
        """Draw masks, in any form of `preprocess_mask`, in the palette's colors; soft ones by the largest weight."""
        channels = [m.argmax(dim=0) if m.is_floating_point() else m for m in self._read_masks(mask, None)]
        return [PIL.Image.fromarray(self.label_set.palette[one.cpu().numpy()]) for one in channels]

    def _read_masks(self, mask: "ImageInput", color_tolerance: float | None) -> list[torch.Tensor]:
        """Read every mask at its own size: int64 `(H, W)` of channels, or float32 `(L, H, W)`."""
        masks: list[torch.Tensor] = []
        for value, name in flatten(mask, "mask", open_mask):
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                value = torch.from_numpy(value.astype(np.float32))  # torch has neither float128 nor big-endian types
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                masks.extend(soft_masks(value, self.label_set, name))
                continue
            ids = read_ids(value, self.label_set, color_tolerance=color_tolerance, argument=name)
            channels = torch.from_numpy(self.label_set.ids_to_channels(ids, argument=name))  # (N, H, W)
            masks.extend(channels.to(value.device) if isinstance(value, torch.Tensor) else channels)
        if len({one.ndim for one in masks}) > 1:
            raise ValueError("`mask` mixes soft masks (float) and hard ones (ids, colors); give one kind per call.")
        return masks
