"""Pipeline from a mask, and optionally a style image, to an image (Park et al. 2019, arXiv 1903.07291).

Legend: N masks, M output images, I image channels, L semantic channels, P condition channels, H W height and width, Z
latent.
"""

import inspect
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
from ..models import SPADEGenerator, SPADEOutlineModel, SPADESegmenter, SPADEStyleEncoder
from ..models.locations import check_hub, check_pipeline_location
from ..models.modeling_utils import PortableConfigMixin
from ..models.weight_files import check_format
from .agreement import check_agreement, measure_agreement
from .arguments import (
    check_generator,
    check_latents,
    check_mask,
    check_tolerance,
    check_whole_number,
)
from .batching import count_images, split_batches
from .components import check_components, check_index, with_own_classes
from .inputs import InputReader
from .refinement import check_nothing_beside, check_outline_model, check_strength, draw_natural_maps
from .segmentation import check_segmenter, id_image, read_photos, segment_photo


@dataclass
class SPADEPipelineOutput(BaseOutput):
    """Output of [`SPADEPipeline`].

    Args:
        images (`list[PIL.Image.Image]`, `np.ndarray` or `Tensor`): M images; arrays `(M, H, W, I)` and tensors
            `(M, I, H, W)` in [0, 1], or in the data's units if `denormalize` was given.
        latents (`Tensor` or `None`): `(M, Z)`, the latents of the images: pass them again for the same style on
            another mask, or interpolate between two. `None` for a model without latent.
        label_maps (`Tensor` or `None`): int64 `(M, H, W)`, the label ids that were painted in the end; `None` without
            `outline_strength`, where these are the mask's. A generator with a half-size head gets them at half the
            size, of which these are an enlargement.
        agreement (`Tensor` or `None`): float32 `(M, H, W)` in [0, 1], how surely the segmenter sees in each pixel what
            the mask says; 1 where the mask is unknown. `None` without `return_agreement`.
        mean_agreement (`Tensor` or `None`): float32 `(M,)`, the means over the pixels that are not unknown.
    """

    images: list[PIL.Image.Image] | np.ndarray | Tensor
    latents: Tensor | None
    label_maps: Tensor | None = None
    agreement: Tensor | None = None
    mean_agreement: Tensor | None = None


class SPADEPipeline(PortableConfigMixin, DiffusionPipeline):
    """Pipeline for semantic image synthesis.

    Args:
        generator (`SPADEGenerator`): Maps mask and latent to an image.
        image_processor (`SPADEImageProcessor`): Reads masks; knows the labels' names and colors.
        style_encoder (`SPADEStyleEncoder`, *optional*): Maps a style image to a latent.
        outline_model (`SPADEOutlineModel`, *optional*): Gives painted masks natural outlines.
        segmenter (`SPADESegmenter`, *optional*): Tells the labels of photographs.

    Raises:
        ValueError: If the components do not fit each other.
    """

    model_cpu_offload_seq = "segmenter->style_encoder->outline_model->generator"
    _optional_components = ["style_encoder", "outline_model", "segmenter"]

    def __init__(
        self,
        generator: SPADEGenerator,
        image_processor: SPADEImageProcessor,
        style_encoder: SPADEStyleEncoder | None = None,
        outline_model: SPADEOutlineModel | None = None,
        segmenter: SPADESegmenter | None = None,
    ) -> None:
        super().__init__()
        for network in (generator, style_encoder, outline_model, segmenter):
            if network is not None:
                network.eval()  # batch statistics of a single mask would wash out its image
        self.register_modules(
            generator=generator,
            image_processor=image_processor,
            style_encoder=style_encoder,
            outline_model=outline_model,
            segmenter=segmenter,
        )
        check_components(generator, image_processor, style_encoder, outline_model, segmenter)

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

    @classmethod
    def _dict_from_json_file(cls, json_file: str | os.PathLike[str]) -> Any:
        """Read an index, also that of a model that travels with its code, which is not needed here."""
        return with_own_classes(super()._dict_from_json_file(json_file), cls)

    # Types are quoted so that `help` prints their names, and not the unions that they stand for.
    @torch.no_grad()
    def __call__(
        self,
        mask: "ImageInput | None" = None,
        *,
        style_image: "ImageInput | None" = None,
        latents: Tensor | None = None,
        instance_map: "ImageInput | None" = None,
        condition: "ImageInput | None" = None,
        num_images_per_mask: int = 1,
        height: int | None = None,
        width: int | None = None,
        color_tolerance: float | None = None,
        outline_strength: float = 0.0,
        outline_steps: int = 4,
        return_agreement: bool = False,
        generator: torch.Generator | list[torch.Generator] | None = None,
        batch_size: int = 8,
        output_type: Literal["pil", "np", "pt"] = "pil",
        denormalize: bool = False,
        return_dict: bool = True,
    ) -> SPADEPipelineOutput | tuple[Any, ...]:
        """Generate images from masks.

        Args:
            mask: One or several masks: ids as an image, array or int tensor; an image in the label set's colors; a
                path; a soft mask as a float tensor `(N, L, H, W)`. See `SPADEImageProcessor.preprocess_mask`.
                `ImageInput` is a PIL image, array, tensor or path, or a list of these. Left out for a model without
                labels, which has a `condition` in its place.
            style_image (*optional*): One style image for all masks, or one per mask; several for a single mask give
                one output image each. The encoder's mean is used.
            latents (`Tensor`, *optional*): `(M, Z)` instead of a style image, for example another call's `latents`.
                Several for a single mask give one output image each.
            instance_map (*optional*): Instance ids of each mask, needed by a model with instance edges.
            condition (*optional*): Depth, edges, a picture or other real numbers beside each mask, in its proportions,
                needed by a model with condition channels; see `SPADEImageProcessor.preprocess_condition`. Of a model
                without labels, each counts as a mask.
            num_images_per_mask (`int`, defaults to 1): Images per mask, each in its own random style.
            height, width (`int`, *optional*): Size of the images, multiples of the generator's `size_divisor`. By
                default the masks' proportions are kept, at about as many pixels as the model's `image_size` has. If
                only one side is given, the other follows. Giving both can change the proportions.
            color_tolerance (`float`, *optional*): Map off-palette colors to the nearest label within this RGB
                distance.
            outline_strength (`float`, defaults to 0): Above 0, the outline model first gives the masks natural
                outlines and fills what is not painted (the unknown id, or 255 without one, or transparent): how
                loosely it follows the painted ones, up to 1. At 0 the mask decides every pixel.
            outline_steps (`int`, defaults to 4): Evaluations of the outline model.
            return_agreement (`bool`, defaults to `False`): Also return how surely the segmenter sees in each pixel
                what the mask says. It measures labels, not quality.
            generator (`torch.Generator` or a list of M, *optional*): Source of random styles, then of outlines. Of a
                list, the first of each mask's is that of its outlines.
            batch_size (`int`, defaults to 8): Number of images that are generated at once.
            output_type (`str`, defaults to `"pil"`): `"pil"`, `"np"` or `"pt"`; PIL has no images of more than
                four channels, nor of several with more than 8 bits.
            denormalize (`bool`, defaults to `False`): Return `"np"` and `"pt"` in the units of the data, float32; for
                models whose image processor has a `value_range`.
            return_dict (`bool`, defaults to `True`): Whether to return a [`SPADEPipelineOutput`] or the tuple
                (images, latents), followed by `label_maps` if `outline_strength` is above 0, and by `agreement` and
                `mean_agreement` if `return_agreement` is set.

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
        self.image_processor.check_output(output_type, denormalize)
        check_tolerance(color_tolerance)
        check_mask(mask, has_labels=self.image_processor.has_labels)
        if return_agreement:
            check_agreement(self.segmenter, self.image_processor)
        device, dtype = self._execution_device, self.generator.dtype

        # Masks and conditions: each read at its own size, then all at the images' size.
        uses_outlines = self._uses_outlines(outline_strength, outline_steps)
        reader = self._reader(height, width, color_tolerance)
        inputs: dict[str, Tensor | None] = {}  # of the generator, by argument: N of each
        if uses_outlines:
            painted = reader.read_painted(mask)  # (N, H, W) in 0..L
            num_masks = len(painted)
        else:
            inputs = reader.read(mask, instance_map, condition)
            num_masks = next(len(one) for one in inputs.values() if one is not None)

        # Styles: given, encoded or drawn.
        z = self.encode_style(style_image) if style_image is not None else latents  # (M, Z), (1, Z) or None
        num_images = count_images(num_masks, z, num_images_per_mask)
        if isinstance(generator, list) and len(generator) != num_images:
            raise ValueError(f"`generator` is a list of {len(generator)} for {num_images} images; give one for each.")
        if z is None and self.generator.config.latent_dim is not None:
            # drawn in float32, so that a seed means the same style in every type of weights
            shape = (num_images, self.generator.config.latent_dim)
            z = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32).to(dtype)  # (M, Z)
        elif z is not None:
            z = z.to(device, dtype).expand(num_images, -1)  # (M, Z)

        # Outlines: drawn after the styles, so that a seed means the same style with and without them.
        label_maps = None
        if uses_outlines:
            own = generator[:: num_images // num_masks] if isinstance(generator, list) else generator
            natural = self._natural_maps(painted, outline_strength, outline_steps, own)  # (N, H, W) of channels
            label_maps = self._ids(natural).repeat_interleave(num_images // num_masks, dim=0)  # (M, H, W)
            inputs = {"segmap": natural}

        # Images, batch by batch, and whether they show what the masks say.
        images, agreement = [], []
        batches = split_batches(num_masks, num_images // num_masks, batch_size)
        bar: Any = self.progress_bar
        for its_masks, batch in bar(batches) if len(batches) > 1 else batches:  # one step needs no bar
            given = {name: None if one is None else one[its_masks].to(device) for name, one in inputs.items()}
            segmap: Any = given.pop("segmap")  # `None` of a model without labels
            output = self.generator(segmap, None if z is None else z[batch], **given)
            images.append(output.images.float())  # (images of the batch, I, H, W) in [-1, 1]
            if return_agreement:
                painted = segmap.repeat_interleave(len(images[-1]) // len(segmap), dim=0)  # a mask per image
                labels = self.image_processor.label_set
                agreement.append(measure_agreement(self.segmenter, images[-1], painted, labels))
        self.maybe_free_model_hooks()
        images = self.image_processor.postprocess(torch.cat(images), output_type=output_type, denormalize=denormalize)
        more: dict[str, Tensor] = {} if label_maps is None else {"label_maps": label_maps}
        if return_agreement:
            of_pixels, of_images = (torch.cat(parts) for parts in zip(*agreement, strict=True))  # (M, H, W), (M,)
            more.update(agreement=of_pixels, mean_agreement=of_images)
        if not return_dict:
            return (images, z, *more.values())
        return SPADEPipelineOutput(images=images, latents=z, **more)

    @torch.no_grad()
    def refine_mask(
        self,
        mask: "ImageInput",
        strength: float = 0.7,
        num_inference_steps: int = 4,
        generator: torch.Generator | list[torch.Generator] | None = None,
        *,
        height: int | None = None,
        width: int | None = None,
        color_tolerance: float | None = None,
    ) -> list[PIL.Image.Image]:
        """Give painted masks natural outlines, and fill what is not painted.

        Args:
            mask: One or several hard masks, in the forms that `__call__` takes. The unknown id, 255 without one, and
                transparent pixels are "not painted"; a mask can have nothing else, which makes a whole new layout.
            strength (`float`, defaults to 0.7): How loosely painted pixels are followed, in 0..1. At 0 they stay.
            num_inference_steps (`int`, defaults to 4): Evaluations of the outline model.
            generator (`torch.Generator` or a list of N, *optional*): Source of the outlines.
            height, width, color_tolerance: As in `__call__`.

        Returns:
            `list[PIL.Image.Image]`: An image of label ids per mask, mode `L`, or `I;16` for ids above 255.

        Raises:
            ValueError: If an input is not valid, or the pipeline has no outline model.
        """
        check_strength("strength", strength)
        check_whole_number("num_inference_steps", num_inference_steps)
        check_outline_model(self.outline_model, self.image_processor.label_set)
        check_tolerance(color_tolerance)
        check_generator(generator)
        painted = self._reader(height, width, color_tolerance).read_painted(mask)
        if isinstance(generator, list) and len(generator) != len(painted):
            raise ValueError(f"`generator` is a list of {len(generator)} for {len(painted)} masks; give one for each.")
        ids = self._ids(self._natural_maps(painted, strength, num_inference_steps, generator))
        self.maybe_free_model_hooks()
        return [id_image(one, self.image_processor.label_set) for one in ids.cpu().numpy()]

    @torch.no_grad()
    def segment(self, image: "ImageInput") -> list[PIL.Image.Image]:
        """Tell the labels of photographs: masks to paint, to edit and to train with.

        Args:
            image: One or several photographs: paths, PIL images, uint8 arrays `(H, W, 3)`, tensors, or a list of them.
                An EXIF tag turns a photograph upright.

        Returns:
            `list[PIL.Image.Image]`: An image of label ids per photograph, as large as it is upright, mode `L`, or
                `I;16` for ids above 255. Unknown is never told.

        Raises:
            ValueError: If an image cannot be read, or the pipeline has no segmenter.
        """
        label_set = self.image_processor.label_set_or_none
        check_segmenter(self.segmenter, label_set)
        segmenter: Any = self.segmenter
        where = {"device": self._execution_device, "dtype": segmenter.dtype}
        masks = []
        for photo in read_photos(image):
            segmentation = segment_photo(segmenter, photo, image_size=segmenter.config.image_size, **where)
            masks.append(id_image(label_set.class_ids[segmentation.numbers.numpy()], label_set))
        self.maybe_free_model_hooks()
        return masks

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
        check_whole_number("num_images_per_mask", num_images_per_mask)
        check_whole_number("batch_size", batch_size)
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
            check_latents(latents, latent_dim)
        check_generator(generator)
        if num_images_per_mask > 1 and (style_image is not None or latents is not None):
            given = "style_image" if latents is None else "latents"
            raise ValueError(
                f"`num_images_per_mask` is {num_images_per_mask}, but `{given}` fixes the style: all images would be "
                f"the same. Pass several of them for one mask, or leave `{given}` out."
            )

    def _uses_outlines(self, strength: Any, num_steps: Any) -> bool:
        """Return whether masks get natural outlines; raise a ValueError if they should and cannot."""
        check_strength("outline_strength", strength)
        check_whole_number("outline_steps", num_steps)
        if float(strength) == 0:
            return False
        check_outline_model(self.outline_model, self.image_processor.label_set)
        check_nothing_beside(self.image_processor, strength)
        return True

    def _reader(self, height: int | None, width: int | None, color_tolerance: float | None) -> InputReader:
        return InputReader(
            self.generator,
            self.image_processor,
            height=height,
            width=width,
            color_tolerance=color_tolerance,
            can_fill=self.outline_model is not None,
        )

    def _natural_maps(self, painted: Tensor, strength: float, num_steps: int, generator: Any) -> Tensor:
        """Draw natural maps of painted ones `(N, H, W)` in 0..L: the generator's channels, int64 `(N, H, W)`.

        They are drawn at the size at which the generator reads them.
        """
        classes = draw_natural_maps(
            self.outline_model,
            painted,
            strength=strength,
            num_inference_steps=num_steps,
            generator=generator,
            reduction=self.generator.config.get("head_upsampling", 1),
        )
        return torch.from_numpy(self.image_processor.label_set.class_channels).to(classes.device)[classes]

    def _ids(self, channels: Tensor) -> Tensor:
        """Return the label ids of channels."""
        return torch.tensor(self.image_processor.label_set.ids, device=channels.device)[channels]
