"""Pipeline from a mask, and optionally a style image, to an image (Park et al. 2019, arXiv 1903.07291).

Legend: N masks, M output images, L semantic channels, H W height and width, Z latent.
"""

import inspect
import math
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import PIL.Image
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput, is_accelerate_available
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from ..images.processor import ImageInput, SPADEImageProcessor
from ..images.resize import size_in_proportion
from ..models import SPADEGenerator, SPADEStyleEncoder
from ..models.locations import check_hub, check_pipeline_location
from ..models.modeling_utils import PortableConfigMixin
from ..models.semantics import nearest_multiple
from ..models.weight_files import check_format
from .components import check_components, check_index


@dataclass
class SPADEPipelineOutput(BaseOutput):
    """Output of [`SPADEPipeline`].

    Args:
        images (`list[PIL.Image.Image]`, `np.ndarray` or `Tensor`): M images; arrays `(M, H, W, 3)` and tensors
            `(M, 3, H, W)` in [0, 1].
        latents (`Tensor` or `None`): `(M, Z)`, the latents of the images: pass them again for the same style on
            another mask, or interpolate between two. `None` for a model without latent.
    """

    images: list[PIL.Image.Image] | np.ndarray | Tensor
    latents: Tensor | None


class SPADEPipeline(PortableConfigMixin, DiffusionPipeline):
    """Pipeline for semantic image synthesis.

    Args:
        generator (`SPADEGenerator`): Maps mask and latent to an image.
        image_processor (`SPADEImageProcessor`): Reads masks; knows the labels' names and colors.
        style_encoder (`SPADEStyleEncoder`, *optional*): Maps a style image to a latent.

    Raises:
        ValueError: If the components do not fit each other.
    """

    model_cpu_offload_seq = "style_encoder->generator"
    _optional_components = ["style_encoder"]

    def __init__(
        self,
        generator: SPADEGenerator,
        image_processor: SPADEImageProcessor,
        style_encoder: SPADEStyleEncoder | None = None,
    ) -> None:
        super().__init__()
        for network in (generator, style_encoder):
            if network is not None:
                network.eval()  # batch statistics of a single mask would wash out its image
        self.register_modules(generator=generator, image_processor=image_processor, style_encoder=style_encoder)
        check_components(generator, image_processor, style_encoder)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> "SPADEPipeline":
        """Load like `DiffusionPipeline.from_pretrained`, without its advice to install accelerate.

        Raises a ValueError if there is no pipeline of this name, or if an index, a config or weights are damaged.
        """
        name = os.fspath(pretrained_model_name_or_path)
        check_pipeline_location(name, given_as="`pretrained_model_name_or_path`")
        kwargs.setdefault("low_cpu_mem_usage", is_accelerate_available())
        try:
            return super().from_pretrained(name, **kwargs)
        except OSError:
            if not os.path.isdir(name):  # diffusers only says that the model is not cached
                check_hub(name, given_as="`pretrained_model_name_or_path`", **kwargs)
            raise

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save like `DiffusionPipeline.save_pretrained`; raises a ValueError if `safe_serialization` is False."""
        check_format(inspect.signature(super().save_pretrained).bind(save_directory, *args, **kwargs).arguments)
        super().save_pretrained(os.fspath(save_directory), *args, **kwargs)

    @classmethod
    def load_config(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Load like `DiffusionPipeline.load_config`, or raise a ValueError if the index is damaged."""
        loaded: Any = super().load_config(pretrained_model_name_or_path, **kwargs)
        parts = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
        check_index(
            loaded[0] if isinstance(loaded, tuple) else loaded, parts=parts, source=pretrained_model_name_or_path
        )
        return loaded

    # Types are quoted so that `help` prints their names, and not the unions that they stand for.
    @torch.no_grad()
    def __call__(
        self,
        mask: "ImageInput",
        *,
        style_image: "ImageInput | None" = None,
        latents: Tensor | None = None,
        instance_map: "ImageInput | None" = None,
        num_images_per_mask: int = 1,
        height: int | None = None,
        width: int | None = None,
        color_tolerance: float | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        batch_size: int = 8,
        output_type: Literal["pil", "np", "pt"] = "pil",
        return_dict: bool = True,
    ) -> SPADEPipelineOutput | tuple[Any, ...]:
        """Generate images from masks.

        Args:
            mask: One or several masks: ids as an image, array or int tensor; an image in the label set's colors; a
                path; a soft mask as a float tensor `(N, L, H, W)`. See `SPADEImageProcessor.preprocess_mask`.
                `ImageInput` is a PIL image, array, tensor or path, or a list of these.
            style_image (*optional*): One style image for all masks, or one per mask; several for a single mask give
                one output image each. The encoder's mean is used.
            latents (`Tensor`, *optional*): `(M, Z)` instead of a style image, for example another call's `latents`.
                Several for a single mask give one output image each.
            instance_map (*optional*): Instance ids of each mask, needed by a model with instance edges.
            num_images_per_mask (`int`, defaults to 1): Images per mask, each in its own random style.
            height, width (`int`, *optional*): Size of the images, multiples of the generator's `size_divisor`. By
                default the masks' proportions are kept, at about as many pixels as the model's `image_size` has. If
                only one side is given, the other follows. Giving both can change the proportions.
            color_tolerance (`float`, *optional*): Map off-palette colors to the nearest label within this RGB
                distance.
            generator (`torch.Generator` or a list of M, *optional*): Source of random styles.
            batch_size (`int`, defaults to 8): Number of images that are generated at once.
            output_type (`str`, defaults to `"pil"`): `"pil"`, `"np"` or `"pt"`.
            return_dict (`bool`, defaults to `True`): Whether to return a [`SPADEPipelineOutput`] or the tuple
                (images, latents).

        Returns:
            `SPADEPipelineOutput` or `tuple`: M images, those of a mask consecutive, and their latents `(M, Z)`.

        Raises:
            ValueError: If an input is not valid or does not fit the model; the message says what is allowed.

        Examples:
            >>> from spade_hf import BUNDLED_MODEL, SPADEPipeline
            >>> pipeline = SPADEPipeline.from_pretrained(BUNDLED_MODEL)
            >>> output = pipeline("mask.png", style_image="sunset.jpg")
            >>> output.images[0].save("image.png")
            >>> same_style = pipeline("other_mask.png", latents=output.latents).images[0]
            >>> seeded = torch.Generator().manual_seed(0)
            >>> four_styles = pipeline("mask.png", num_images_per_mask=4, generator=seeded).images
        """
        self.check_inputs(style_image, latents, generator, num_images_per_mask, batch_size, output_type)
        _check_tolerance(color_tolerance)
        device, dtype = self._execution_device, self.generator.dtype

        # Masks: each read at its own size, then all at the images' size.
        masks, instance_maps = self.image_processor.read(mask, instance_map, color_tolerance=color_tolerance)
        height, width = self._image_size(masks, height, width)
        # (N, H, W) or (N, L, H, W); None or (N, H, W)
        masks, edges = self.image_processor.resize(masks, instance_maps, height=height, width=width)

        # Styles: given, encoded or drawn.
        z = self.encode_style(style_image) if style_image is not None else latents  # (M, Z), (1, Z) or None
        num_images = self._num_images(len(masks), z, num_images_per_mask)
        if isinstance(generator, list) and len(generator) != num_images:
            raise ValueError(f"`generator` is a list of {len(generator)} for {num_images} images; give one for each.")
        if z is None and self.generator.config.latent_dim is not None:
            # drawn in float32, so that a seed means the same style in every type of weights
            shape = (num_images, self.generator.config.latent_dim)
            z = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32).to(dtype)  # (M, Z)
        elif z is not None:
            z = z.to(device, dtype).expand(num_images, -1)  # (M, Z)

        # Images, batch by batch.
        images = []
        batches = _batches(len(masks), num_images // len(masks), batch_size)
        bar: Any = self.progress_bar
        for its_masks, batch in bar(batches) if len(batches) > 1 else batches:  # one step needs no bar
            output = self.generator(
                masks[its_masks].to(device),
                None if z is None else z[batch],
                instance_edges=None if edges is None else edges[its_masks].to(device),
            )
            images.append(output.images.float())  # (images of the batch, 3, H, W) in [-1, 1]
        self.maybe_free_model_hooks()
        images = self.image_processor.postprocess(torch.cat(images), output_type=output_type)
        return SPADEPipelineOutput(images=images, latents=z) if return_dict else (images, z)

    @torch.no_grad()
    def encode_style(self, style_image: "ImageInput") -> Tensor:
        """Encode the style of images, to use it several times or to blend it with another style.

        Args:
            style_image: One image or several, see `SPADEImageProcessor.preprocess_image`.

        Returns:
            `Tensor`: `(M, Z)`, the means of the encoder's posteriors; pass them as `latents`. Raises a ValueError if
                the model has no style encoder.
        """
        if self.style_encoder is None:
            raise ValueError("`style_image` cannot be read: this model has no style encoder.")
        size = self.style_encoder.config.image_size
        images = self.image_processor.preprocess_image(style_image, size=(size, size))
        images = images.to(self._execution_device, self.style_encoder.dtype)
        return self.style_encoder(images).latent_dist.mode()

    def check_inputs(
        self,
        style_image: "ImageInput | None",
        latents: Tensor | None,
        generator: torch.Generator | list[torch.Generator] | None,
        num_images_per_mask: int,
        batch_size: int,
        output_type: str,
    ) -> None:
        """Raise a ValueError for arguments that contradict each other or the model."""
        latent_dim = self.generator.config.latent_dim
        _check_whole_number("num_images_per_mask", num_images_per_mask)
        _check_whole_number("batch_size", batch_size)
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f"`output_type` is {output_type!r}; allowed are 'pil', 'np' and 'pt'.")
        if style_image is not None and latents is not None:
            raise ValueError("`style_image` and `latents` were both given; either one sets the style. Leave one out.")
        if latent_dim is None and (latents is not None or num_images_per_mask > 1):
            given = "`latents`" if latents is not None else f"`num_images_per_mask={num_images_per_mask}`"
            raise ValueError(
                f"{given} was given, but this model has no latent: it generates one image per mask. Leave it out."
            )
        if style_image is not None and self.style_encoder is None:
            raise ValueError(
                "`style_image` was given, but this model has no style encoder. Leave it out"
                + ("." if latent_dim is None else ", or pass `latents` or a `generator` for a random style.")
            )
        if latents is not None:
            _check_latents(latents, latent_dim)
        generators = generator if isinstance(generator, list) else [generator]
        if generator is not None and not all(isinstance(one, torch.Generator) for one in generators):
            raise ValueError(
                f"`generator` is {generator!r}; pass a `torch.Generator`, such as `torch.Generator().manual_seed(3)`, "
                "or a list of them."
            )
        if num_images_per_mask > 1 and (style_image is not None or latents is not None):
            given = "style_image" if latents is None else "latents"
            raise ValueError(
                f"`num_images_per_mask` is {num_images_per_mask}, but `{given}` fixes the style: all images would be "
                f"the same. Pass several of them for one mask, or leave `{given}` out."
            )

    def _image_size(self, masks: list[Tensor], height: int | None, width: int | None) -> tuple[int, int]:
        """Return the images' height and width, in the proportions of the masks `(..., H, W)` unless both are given."""
        divisor = self.generator.size_divisor
        _check_side("height", height, divisor)
        _check_side("width", width, divisor)
        area = math.prod(self.generator.native_size)
        sizes = dict.fromkeys(
            size_in_proportion((one.shape[-2], one.shape[-1]), area=area, divisor=divisor, height=height, width=width)
            for one in masks
        )
        if len(sizes) > 1:
            listed = ", ".join(f"{height}x{width}" for height, width in sizes)
            raise ValueError(
                f"`mask` has masks of different proportions: their images would be {listed} (height x width), but one "
                "call makes images of one size. Give `height` and `width`, or call once for each size."
            )
        return next(iter(sizes))

    @staticmethod
    def _num_images(num_masks: int, z: Tensor | None, num_images_per_mask: int) -> int:
        """Return M, the number of images from the masks and styles."""
        if z is None:
            return num_masks * num_images_per_mask
        if num_masks > 1 and len(z) not in (1, num_masks):
            raise ValueError(f"{len(z)} styles were given for {num_masks} masks; give one, or one for each mask.")
        return max(num_masks, len(z))


def _batches(num_masks: int, images_per_mask: int, batch_size: int) -> list[tuple[slice, slice]]:
    """Split the work into batches: several masks with all of their images, or one mask with some of its images.

    A batch contains each mask once, not once per style.
    """
    if images_per_mask <= batch_size:
        step = batch_size // images_per_mask
        starts = range(0, num_masks, step)
        return [(slice(i, i + step), slice(i * images_per_mask, (i + step) * images_per_mask)) for i in starts]
    batches = []
    for mask in range(num_masks):
        first, end = mask * images_per_mask, (mask + 1) * images_per_mask
        starts = range(first, end, batch_size)
        batches += [(slice(mask, mask + 1), slice(i, min(i + batch_size, end))) for i in starts]
    return batches


def _check_whole_number(name: str, value: Any) -> None:
    """Raise a ValueError unless `value` is a whole number of at least 1."""
    if not _is_whole(value) or value < 1:
        raise ValueError(f"`{name}` is {value!r}; pass a whole number of at least 1.")


def _check_side(name: str, size: Any, divisor: int) -> None:
    """Raise a ValueError unless `size`, the height or width of an image, is `None` or fits the model."""
    if size is None:
        return
    if not _is_whole(size):
        raise ValueError(f"`{name}` is {size!r}; pass a whole number, a multiple of {divisor}.")
    if size < divisor or size % divisor:
        raise ValueError(
            f"`{name}` is {size}; this model makes images whose sides are multiples of {divisor}, such as "
            f"{nearest_multiple(size, divisor)}."
        )


def _check_latents(latents: Any, latent_dim: int | None) -> None:
    """Raise a ValueError unless `latents` is a finite tensor `(M, Z)` of at least one row."""
    if not isinstance(latents, Tensor):
        raise ValueError(f"`latents` is a {type(latents).__name__}; pass a tensor (M, {latent_dim}).")
    if latents.ndim != 2 or latents.shape[1] != latent_dim or len(latents) == 0:
        raise ValueError(
            f"`latents` has shape {tuple(latents.shape)}; this model takes (M, {latent_dim}), with M at least 1."
        )
    if not latents.isfinite().all():
        raise ValueError("`latents` has values that are NaN or infinite; pass finite ones.")


def _check_tolerance(color_tolerance: Any) -> None:
    """Raise a ValueError unless `color_tolerance` is `None` or a number; what it may be depends on the mask."""
    is_number = hasattr(color_tolerance, "__float__") and not isinstance(color_tolerance, bool)
    if color_tolerance is not None and not is_number:
        raise ValueError(f"`color_tolerance` is {color_tolerance!r}; pass a number, a distance in RGB.")


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool | Tensor)  # numpy's integers, too
