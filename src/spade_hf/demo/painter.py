"""The model's side of the demo: from label maps and styles to images. It keeps nothing about visitors.

Legend: M images, H W height and width, Z latent.
"""

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..images.channels import to_rgb_images
from ..images.processor import SPADEImageProcessor
from ..images.resize import resize_labels
from ..images.value_range import unscale_values
from ..labels.label_set import UNPAINTED_ID
from ..pipelines import SPADEPipeline
from ..pipelines.segmentation import read_photos, segment_photo
from .formats import formats_of, nearest_format
from .percent import percent


try:
    import spaces  # pyright: ignore[reportMissingImports]  # Hugging Face's ZeroGPU: lends a GPU for the duration of a call
except ImportError:
    spaces = None

GPU_SECONDS = 20
OUTLINE_STEPS = 4  # evaluations of the outline model: within the time after a stroke
LAYOUT_STEPS = 16  # of a whole new layout, which more of them make coherent
MAX_SEED = 2**31 - 1
Function = TypeVar("Function", bound=Callable)


def on_gpu(function: Function) -> Function:
    """Give `function` a GPU on ZeroGPU hardware; elsewhere return it unchanged."""
    return function if spaces is None else spaces.GPU(duration=GPU_SECONDS)(function)


@dataclass(frozen=True)
class Style:
    """A point in the style space, and its name. `latents` is `(1, Z)`."""

    name: str
    latents: Tensor

    @property
    def seed(self) -> str | None:
        """The seed in the name of a random style, else `None`."""
        found = re.match(r"seed (\d+)", self.name)
        return found and found[1]


@dataclass(frozen=True)
class Styles:
    """The two styles picked last, which the slider blends: 0 is `before`, 1 is `last`."""

    before: Style
    last: Style

    def pick(self, style: Style) -> "Styles":
        """Return the styles after another pick; the same seed in another vividness replaces the last style."""
        is_same = style.seed is not None and style.seed == self.last.seed
        return Styles(before=self.before if is_same else self.last, last=style)

    def chosen(self, amount: float) -> Style | None:
        """Return the style that `blend(amount)` is, or `None` if it is between the two."""
        return self.last if amount >= 1 else self.before if amount <= 0 else None

    def blend(self, amount: float) -> Style:
        """Interpolate between the two styles; `amount` in [0, 1]."""
        if (chosen := self.chosen(amount)) is not None:
            return chosen
        name = f"{percent(1 - amount)} {self.before.name} + {percent(amount)} {self.last.name}"
        return Style(name, torch.lerp(self.before.latents, self.last.latents, amount))

    def to_list(self) -> list[dict[str, Any]]:
        """Return plain values, for a browser or a file; `from_list` undoes it."""
        return [{"name": style.name, "latents": style.latents[0].tolist()} for style in (self.before, self.last)]

    @classmethod
    def from_list(cls, entries: list[dict[str, Any]], latent_dim: int) -> "Styles | None":
        """Read the result of `to_list`, which can come from an untrusted source.

        Args:
            entries (`list[dict]`): Two objects with `name` and `latents`.
            latent_dim (`int`): This model's.

        Returns:
            `Styles`: `None` if the styles are of another `latent_dim`. ValueError if they are not two styles.
        """
        try:
            if len(entries) != 2:
                raise ValueError(f"there are {len(entries)} styles, not 2")
            if any(len(entry["latents"]) != latent_dim for entry in entries):
                return None
            latents = torch.tensor([entry["latents"] for entry in entries], dtype=torch.float32)  # (2, Z)
            if latents.ndim != 2 or not all(isinstance(entry["name"], str) for entry in entries):
                raise ValueError("a style has a list among its latents, or a name that is not a text")
            before, last = (Style(entry["name"][:60], z[None]) for entry, z in zip(entries, latents, strict=True))
        except (KeyError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
            raise ValueError(f"the styles cannot be read ({error!r})") from error
        if not latents.isfinite().all():
            raise ValueError("the styles are not finite")
        return cls(before, last)


@dataclass(frozen=True)
class Outlines:
    """How loosely painted outlines are followed, in [0, 1], and the seed that they are drawn from."""

    strength: float
    seed: int


@dataclass(frozen=True)
class Painting:
    """An image, its style, and the time it took."""

    image: Image.Image
    style: Style | None
    seconds: float


class Painter:
    """A pipeline as the demo uses it.

    Args:
        pipeline (`SPADEPipeline`): Any model: with or without styles, with or without instance edges.
    """

    def __init__(self, pipeline: SPADEPipeline) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline = pipeline
        self.processor = pipeline.image_processor
        self.label_set = self.processor.label_set
        if count := self.processor.config.condition_channels:
            raise ValueError(
                f"This model reads a condition of {count} channels, which cannot be painted. Use `spade-hf generate "
                "--condition FILE`."
            )
        # labels of the canvas and their reader: what an outline model fills is one of them, "not painted"
        self.has_outlines = pipeline.outline_model is not None and (
            self.label_set.use_unknown_label or UNPAINTED_ID not in self.label_set.ids
        )
        self.canvas_labels = self.label_set.with_unknown() if self.has_outlines else self.label_set
        self.canvas_reader = SPADEImageProcessor(label_set=self.canvas_labels)
        self.unpainted = self.canvas_labels.unknown_channel if self.has_outlines else None
        self.formats = formats_of(pipeline.generator.native_size, pipeline.generator.size_divisor)
        self.latent_dim = pipeline.generator.config.latent_dim
        self.has_styles = self.latent_dim is not None
        self.image_channels = self.processor.config.image_channels
        self.reads_images = pipeline.style_encoder is not None and self.image_channels in (1, 3)  # photographs
        self.reads_photos = pipeline.segmenter is not None  # as masks
        # wrapped bound methods: only the arguments are sent to a ZeroGPU process, not the model
        self._generate = on_gpu(self._generate_here)
        self._encode = on_gpu(self._encode_here)
        self._refine = on_gpu(self._refine_here)
        self._segment = on_gpu(self._segment_here)

    @cached_property
    def fingerprint(self) -> str:
        """Name of this model in browsers, which restore only what they keep under this name."""
        weight = self.pipeline.generator.conv_out.weight.detach().float().cpu().numpy()
        facts = json.dumps([self.label_set.to_dict(), self.formats[0].canvas_size, self.latent_dim])
        return hashlib.sha256(facts.encode() + weight.tobytes()).hexdigest()[:16]

    def paint(
        self, label_map: np.ndarray, styles: list[Style] | None, outlines: Outlines | None = None
    ) -> list[Painting]:
        """Paint one image per style.

        Args:
            label_map (`np.ndarray`): Ids, integers `(H, W)` of any size; the image has the nearest format's size.
            styles (`list[Style]`, *optional*): M styles; `None` for a model without.
            outlines (`Outlines`, *optional*): Natural ones first; without, the label map decides every pixel.
        """
        label_map = self.at_image_size(label_map)
        latents = None if styles is None else torch.cat([style.latents for style in styles])  # (M, Z)
        images, seconds = self._generate(label_map, latents, outlines)
        return [Painting(image, style, seconds) for image, style in zip(images, styles or [None], strict=True)]

    def refine(self, label_map: np.ndarray, outlines: Outlines) -> np.ndarray:
        """Return the label map that is painted with these outlines, at the image's size; only if `has_outlines`."""
        return self._refine(self.at_image_size(label_map), outlines, OUTLINE_STEPS)

    def new_layout(self, shape: tuple[int, int], seed: int) -> np.ndarray:
        """Draw a whole new layout for a canvas `(H, W)`, at the image's size; only if `has_outlines`."""
        unpainted = np.full(shape, self.canvas_labels.unknown_id)
        return self._refine(self.at_image_size(unpainted), Outlines(1.0, seed), LAYOUT_STEPS)

    def at_image_size(self, label_map: np.ndarray) -> np.ndarray:
        """Resize a label map to the size of its image, int64."""
        size = nearest_format(label_map.shape, self.formats).size
        return resize_labels(label_map, size).astype(np.int64)

    def style_of_seed(self, seed: int, vividness: float = 1.0) -> Style:
        """Return the random style that `SPADEPipeline` draws for a single mask from a generator with this seed.

        Args:
            seed (`int`): A seed of torch, 0 or more.
            vividness (`float`, defaults to 1): Factor on the latents; below 1 it is nearer to the mean style.
        """
        generator = torch.Generator().manual_seed(seed)
        name = f"seed {seed}" if vividness == 1 else f"seed {seed} (vivid {percent(vividness)})"
        return Style(name, vividness * torch.randn(1, self.latent_dim, generator=generator))

    def style_of_image(self, image: Image.Image, name: str) -> Style:
        """Encode the style of an image; only if `reads_images`."""
        return Style(name, self._encode(image))

    def label_map_of_photo(self, photo: Image.Image, size: tuple[int, int]) -> tuple[np.ndarray, float]:
        """Tell the labels of a photograph, whose proportions become those of a size; only if `reads_photos`.

        Returns:
            `tuple`: ids, int64 `(H, W)` of this size, and their mean probability.
        """
        numbers, confidence = self._segment(photo, size)
        return self.label_set.class_ids[numbers], confidence

    def _generate_here(
        self, label_map: np.ndarray, latents: Tensor | None, outlines: Outlines | None
    ) -> tuple[list[Image.Image], float]:
        start = time.perf_counter()
        if outlines is not None and self.has_outlines:
            label_map = self._refine_here(label_map, outlines, OUTLINE_STEPS)
        # the page has no instances: for a model that needs them, all pixels of one label are one instance
        instance_map = label_map if self.processor.config.use_instance_edges else None
        height, width = label_map.shape
        is_usual = self.image_channels == 3 and self.processor.value_range is None
        output: Any = self.pipeline(
            label_map,
            latents=latents,
            instance_map=instance_map,
            height=height,
            width=width,
            output_type="pil" if is_usual else "pt",
        )
        images = output.images if is_usual else to_rgb_images(self.processor.show(output.images * 2 - 1))
        return images, time.perf_counter() - start

    def _refine_here(self, label_map: np.ndarray, outlines: Outlines, steps: int) -> np.ndarray:
        height, width = label_map.shape
        generator = torch.Generator().manual_seed(outlines.seed)
        (natural,) = self.pipeline.refine_mask(
            label_map, outlines.strength, steps, generator, height=height, width=width
        )
        return np.array(natural, dtype=np.int64)

    def _segment_here(self, photo: Image.Image, size: tuple[int, int]) -> tuple[np.ndarray, float]:
        (pixels,) = read_photos(photo)  # (3, H, W)
        segmenter = self.pipeline.segmenter
        image_size = segmenter.config.image_size
        found = segment_photo(
            segmenter, pixels, image_size=image_size, device=segmenter.device, dtype=segmenter.dtype, size=size
        )
        return found.numbers.numpy(), found.confidence

    @torch.no_grad()
    def _encode_here(self, image: Image.Image) -> Tensor:
        if self.image_channels == 3 and self.processor.value_range is None:
            return self.pipeline.encode_style(image).float().cpu()
        # the page's pictures are photographs of 8 bits, whatever the range of the model's values
        pixels = np.asarray(image.convert("L" if self.image_channels == 1 else "RGB"), dtype=np.float32) / 255
        return self.pipeline.encode_style(unscale_values(pixels, self.processor.value_range)).float().cpu()


def new_seed() -> int:
    """Draw a seed that fits on the page."""
    return secrets.randbelow(10**6)


def checked_seed(seed: float | None) -> int:
    """Return the seed of a number field; ValueError if it is not a seed."""
    if seed is None or not 0 <= seed <= MAX_SEED or seed != int(seed):
        raise ValueError(f"The seed is {seed}; it is a whole number from 0 to {MAX_SEED}.")
    return int(seed)


def load_pipeline(model: str | os.PathLike) -> SPADEPipeline:
    """Load the pipeline in a folder or Hub repository, on a GPU if there is one."""
    return SPADEPipeline.from_pretrained(model).to("cuda" if torch.cuda.is_available() else "cpu")
