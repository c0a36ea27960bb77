"""Makes rows from masks: each mask in several styles, the same in every process and resumed run.

Legend: N masks, K images of each, H W height and width of a mask.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..images.photo_files import suffixes_of
from ..images.resize import resize_labels
from ..labels.label_set import LabelSet
from ..pipelines import SPADEPipeline
from ..pipelines.agreement import check_agreement
from .mask_reader import MaskReader, SourceMask
from .output import Output
from .row import Row, encode_ids, encode_image, encode_instances, image_seeds, style_number


@dataclass(frozen=True)
class Synthesizer:
    """Makes images for the masks of a data set.

    Args:
        pipeline (`SPADEPipeline`): The model.
        masks (`MaskReader`): The masks.
        num_images_per_mask (`int`): K, each image with its own seed; 1 for a model without latent.
        seed (`int`): The seeds of all images are derived from it.
        batch_size (`int`): Images that are made at once.
        height, width (`int`, *optional*): Size of the images, see [`SPADEPipeline`].
        styles (`Tensor`, *optional*): `(S, Z)`, latents of style pictures, one of which each image gets by its seed.
            By default, styles are random.
        outline_strength, outline_steps: See [`SPADEPipeline`]; the refined map is written as the label.
        agreement_threshold (`float`, *optional*): The least agreement of a pixel with its label, in 0..1; where the
            image shows its label less surely, the unknown id is written. Needs a segmenter.

    Raises:
        ValueError: If the options do not fit the model.
    """

    pipeline: SPADEPipeline
    masks: MaskReader
    num_images_per_mask: int
    seed: int
    batch_size: int = 8
    height: int | None = None
    width: int | None = None
    styles: Tensor | None = None
    outline_strength: float = 0.0
    outline_steps: int = 4
    agreement_threshold: float | None = None

    def __post_init__(self) -> None:
        processor = self.pipeline.image_processor
        count, dtype = processor.config.image_channels, processor.stored_type
        if ".png" not in suffixes_of(count, dtype):
            raise ValueError(
                f"The model makes images of {count} channels of {dtype}, which PNG files cannot hold, and a "
                "synthesized data set has no others. Paint the masks with `spade-hf generate --output-dir` instead."
            )
        self.pipeline.check_inputs(None, None, None, self.num_images_per_mask, self.batch_size, "pil")
        if self.agreement_threshold is not None:
            check_agreement(self.pipeline.segmenter, processor)

    @property
    def label_set(self) -> LabelSet:
        """The labels of the rows: the model's, with an unknown one if pixels can lose their label."""
        labels: LabelSet = self.pipeline.image_processor.label_set
        return labels if self.agreement_threshold is None else labels.with_unknown()

    @property
    def masks_per_batch(self) -> int:
        """N: masks whose images are made at once."""
        return max(1, self.batch_size // self.num_images_per_mask)

    def make(self, chunk: range, output: Output) -> dict[int, str]:
        """Make the images of masks and write their rows, unless the rows exist.

        Args:
            chunk (`range`): Rows of the source that are written together.
            output (`Output`): Where the rows are written.

        Returns:
            `dict[int, str]`: Broken rows of the source, which get no images -> their error messages.
        """
        missing = output.missing(chunk)
        broken: dict[int, str] = {}
        if len(missing) < len(chunk):  # written before: redo it only if a broken mask was fixed or a file is gone
            for index in missing:
                self._read(index, broken)
            if len(broken) == len(missing):
                return broken
        output.write(chunk, self._rows(chunk, broken))
        return broken

    def _read(self, index: int, broken: dict[int, str]) -> SourceMask | None:
        try:
            return self.masks.read(index)
        except ValueError as error:
            broken[index] = str(error)
            return None

    def _rows(self, chunk: range, broken: dict[int, str]) -> Iterator[Row]:
        """Yield the rows of a chunk; successive masks of one size form a batch, the same ones in every run."""
        batch: list[SourceMask] = []
        for index in chunk:
            mask = self._read(index, broken)
            if mask is None:
                continue
            if len(batch) == self.masks_per_batch or (batch and batch[0].ids.shape != mask.ids.shape):
                yield from self._make_batch(batch)
                batch = []
            batch.append(mask)
        if batch:
            yield from self._make_batch(batch)

    def _make_batch(self, batch: list[SourceMask]) -> Iterator[Row]:
        count = self.num_images_per_mask
        seeds = [image_seeds(self.seed, mask.index, count) for mask in batch]
        instances = [mask.instances for mask in batch if mask.instances is not None]
        conditions: list[Any] = [mask.condition for mask in batch if mask.condition is not None]
        # N K images, those of a mask side by side: K seeds of the first mask, then K of the second
        # with styles given, the pipeline takes one per mask: N K masks; outlines are drawn from a mask's first seed
        times, drawn = (1, seeds) if self.styles is None else (count, [its_seeds[:1] * count for its_seeds in seeds])
        every = [seed for its_seeds in seeds for seed in its_seeds]
        styles = None if self.styles is None else self.styles[[style_number(s, len(self.styles)) for s in every]]
        output: Any = self.pipeline(
            torch.from_numpy(np.stack([mask.ids for mask in batch])).repeat_interleave(times, dim=0),  # (N, H, W)
            instance_map=torch.from_numpy(np.stack(instances)).repeat_interleave(times, dim=0) if instances else None,
            condition=[one for one in conditions for _ in range(times)] or None,
            latents=styles,  # (N K, Z)
            num_images_per_mask=count // times,
            height=self.height,
            width=self.width,
            outline_strength=self.outline_strength,
            outline_steps=self.outline_steps,
            generator=[torch.Generator().manual_seed(seed) for its_seeds in drawn for seed in its_seeds],
            return_agreement=self.agreement_threshold is not None,
            batch_size=self.batch_size,
        )
        for mask, its_seeds, start in zip(batch, seeds, range(0, len(output.images), count), strict=True):
            images = output.images[start : start + count]  # K of this mask, all of one size
            size = (images[0].height, images[0].width)
            ids = (
                resize_labels(mask.ids, size) if output.label_maps is None else output.label_maps[start].cpu().numpy()
            )
            files = {"label": self._encode_labels(ids)}  # as the generator saw it
            if mask.instances is not None:
                files["instance"] = encode_instances(resize_labels(mask.instances, size))
            for number, (seed, image) in enumerate(zip(its_seeds, images, strict=True)):
                mean = None
                if output.agreement is not None:
                    seen = output.agreement[start + number].cpu().numpy() >= self.agreement_threshold  # (H, W)
                    unknown: Any = self.label_set.unknown_id
                    files["label"] = self._encode_labels(np.where(seen, ids, unknown))
                    mean = output.mean_agreement[start + number].item()
                yield Row(mask.index, number, seed, {"image": encode_image(image, mean), **files}, mean)

    def _encode_labels(self, ids: np.ndarray) -> bytes:
        return encode_ids(ids, self.label_set.ids[-1])  # the largest id decides on 8 or 16 bits, equal for all rows
