"""Makes and measures images for a data set's masks, in batches that any process can score in any order.

Legend: N images, I image channels, L semantic channels, H W height and width, Z latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..batch import conditioning, labels_of, stack_samples
from ..data import PairedImageDataset, simplify_label_map
from ..images.channels import as_shown
from ..images.processor import SPADEImageProcessor
from ..images.resize import resize_labels
from ..images.value_range import unscale_values
from ..pipelines import SPADEPipeline
from ..seeding import generators
from .caches import ImageCache
from .figures import Judge, Measurements
from .outlines import count_changes, count_kept_parts, count_outlines
from .pixels import reduce_and_enlarge, resize_painted


SIMPLIFICATION, STYLE, FIRST, SECOND, OUTLINES = range(5)  # streams of a row's random numbers
# Sets of images, and what the reason for their absence is called: exact masks, simplified ones, and these with natural
# outlines, all in the real images' styles; exact masks in another image's style, and in two random styles. The names
# are also folders of `ImageCache`, and the last two reasons those of `figures.Figure.needs`.
KINDS = {
    "exact": "",
    "painted": "painted",
    "refined": "refined",
    "styled": "style",
    "random": "diversity",
    "again": "diversity",
}
REDRAWN = {"painted": "simplified mask", "refined": "refined mask"}  # kinds with masks of their own, and its heading
RANDOM = {"random": FIRST, "again": SECOND}


@dataclass(frozen=True)
class ScoredBatch:
    """Results of a batch.

    Args:
        measurements (`dict[str, Measurements]`): Kind -> its images; the real ones are `"real"`.
        rows (`list[Tensor]`): The sheet's rows: masks and images side by side, uint8 `(3, H, columns * W)`.
        headings (`list[str]`): The headings of the sheet's columns.
        outlines (`dict[str, np.ndarray]`): Counts of the maps' outlines; see [`score_outlines`].
    """

    measurements: dict[str, Measurements]
    rows: list[Tensor]
    headings: list[str]
    outlines: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class OutlineSettings:
    """How a pipeline's outline model refines masks.

    Args:
        strength (`float`): See `SPADEPipeline.refine_mask`.
        num_inference_steps (`int`): See there.
        folder (`str`): Name of the folder of `ImageCache` for images of refined masks.
    """

    strength: float
    num_inference_steps: int
    folder: str


@dataclass(frozen=True)
class Scorer:
    """Makes and measures the images of a batch. A row's results do not depend on its batch or process.

    Args:
        judge (`Judge`): Measures the images.
        dataset (`PairedImageDataset`): The pairs.
        processor (`SPADEImageProcessor`): Has the label set.
        kinds (`Sequence[str]`): Keys of `KINDS`; `"refined"` needs `"painted"`, a pipeline and `outlines`.
        partners (`Sequence[int]`): For each row, the row whose style it gets, for the kind `"styled"`.
        shown (`frozenset[int]`): Rows that are shown on the sheet.
        pipeline (`SPADEPipeline`, *optional*): The model to score. Without it, the real images are scored.
        reduce (`int`, *optional*): The side for [`reduce_and_enlarge`]; used only without a pipeline.
        device (`str` or `torch.device`): Device for the measurements.
        cache (`ImageCache`, *optional*): Keeps the images that a pipeline makes.
        outlines (`OutlineSettings`, *optional*): For the kind `"refined"`.
        painting_size (`tuple[int, int]`, *optional*): Height and width at which the pipeline paints; its images are
            resized to those of the data set. By default it paints at their size.
    """

    judge: Judge
    dataset: PairedImageDataset
    processor: SPADEImageProcessor
    kinds: Sequence[str]
    partners: Sequence[int]
    shown: frozenset[int]
    pipeline: SPADEPipeline | None
    reduce: int | None
    device: str | torch.device
    cache: ImageCache | None = None
    outlines: OutlineSettings | None = None
    painting_size: tuple[int, int] | None = None

    def score(self, rows: range) -> ScoredBatch:
        """Score these rows of the data set."""
        batch = stack_samples([self.dataset[index] for index in rows], self.device)
        # (N, I, H, W) uint8 and (N, H, W) int64: real images are judged with the precision of generated ones
        real = to_8_bits(batch["real_images"])
        label_map = labels_of(batch) if self.processor.has_labels else None
        given = conditioning(batch)
        height, width = real.shape[-2:]
        maps = {"real": self.judge.features(real)}  # kind -> feature maps, one forward pass for all measurements
        measurements = {"real": self.judge.measure(real, maps["real"], maps["real"], label_map)}
        columns = [] if label_map is None else [("mask", self._draw(label_map))]
        if "condition" in given:
            columns.append(("condition", as_shown(to_8_bits(given["condition"]))))
        columns.append(("real", self._show(real)))
        redrawn, outlines = {} if label_map is None else self._redraw(label_map, batch["seed"]), {}
        if label_map is not None and "refined" in redrawn:
            refined_exact = self._refine(label_map, generators(batch["seed"], OUTLINES))
            outlines = self._count_outlines(label_map, redrawn["painted"], redrawn["refined"], refined_exact)
        for kind in self.kinds:
            masks, styles = redrawn.get(kind, label_map), real  # (N, H, W) or None, (N, I, H, W)
            inputs = {**given, "segmap": redrawn.get(kind, given["segmap"])}  # soft masks stay soft
            if kind in redrawn:
                columns.append((REDRAWN[kind], self._draw(redrawn[kind])))
            elif kind == "styled":
                others = [self.dataset[self.partners[index]]["real_images"] for index in rows]
                styles = to_8_bits(torch.stack(others).to(self.device))
                columns.append(("other style", self._show(styles)))
            # the seed of a sample depends on its row alone, so its latent does not depend on batches or processes
            rngs = generators(batch["seed"], RANDOM.get(kind, STYLE))
            make = partial(self._make_images, inputs, None if kind in RANDOM else styles, rngs)
            if self.cache is None or self.pipeline is None:
                images = make()
            else:
                folder = self.outlines.folder if kind == "refined" and self.outlines is not None else kind
                images = self.cache.obtain(folder, rows, (height, width), make).to(self.device)
            maps[kind] = self.judge.features(images)
            compared = maps["random" if kind == "again" else "real"]  # diversity: two styles of the same mask
            exact = label_map if kind in redrawn else None
            measurements[kind] = self.judge.measure(images, maps[kind], compared, masks, exact)
            columns.append((self._heading(kind), self._show(images)))
        table = torch.cat([column for _, column in columns], dim=-1).cpu()  # (N, 3, H, columns * W)
        shown = [row for index, row in zip(rows, table, strict=True) if index in self.shown]
        return ScoredBatch(measurements, shown, [heading for heading, _ in columns], outlines)

    def _heading(self, kind: str) -> str:
        """Name a kind of images on the sheet."""
        if self.pipeline is None:
            return "real" if self.reduce is None else "reduced"
        has_style = kind not in RANDOM and self.pipeline.style_encoder is not None
        return "painted" if has_style or self.pipeline.generator.config.latent_dim is None else "random style"

    @torch.no_grad()
    def _make_images(self, inputs: dict[str, Any], styles: Tensor | None, rngs: Sequence[torch.Generator]) -> Tensor:
        """Make images, uint8 `(N, I, H, W)`: in the given styles if the model has an encoder, else random.

        `inputs` are what the generator reads besides the style, by its arguments.
        """
        if self.pipeline is None:
            assert styles is not None
            return styles if self.reduce is None else reduce_and_enlarge(styles, self.reduce)
        latent_dim, z = self.pipeline.generator.config.latent_dim, None
        if styles is not None and self.pipeline.style_encoder is not None:
            z = self.pipeline.encode_style(self._in_data_units(styles))  # (N, Z), the mean: nothing is drawn
        elif latent_dim is not None:
            z = torch.stack([torch.randn(latent_dim, generator=rng) for rng in rngs]).to(self.device)  # (N, Z)
        if self.painting_size is not None:
            inputs = {name: self._resize(name, one, self.painting_size) for name, one in inputs.items()}
        others = {name: one for name, one in inputs.items() if name != "segmap"}
        images = to_8_bits(self.pipeline.generator(inputs["segmap"], z, **others).images)
        return resize_painted(images, self.dataset.reader.transform.resolution)

    def _resize(self, name: str, values: Tensor | None, size: tuple[int, int]) -> Tensor | None:
        if values is None:
            return None
        if name == "condition":
            return self.processor.resize_condition(list(values / 2 + 0.5), size=size)
        return resize_labels(values, size)

    def _in_data_units(self, styles: Tensor) -> Tensor:
        """Convert uint8 images to what the pipeline reads: the same, or floats in its range of values."""
        value_range = self.processor.value_range
        return styles if value_range is None else unscale_values(styles.float() / 255, value_range)

    def _count_outlines(
        self, exact: Tensor, simplified: Tensor, refined: Tensor, refined_exact: Tensor
    ) -> dict[str, np.ndarray]:
        """Count the outlines of maps, int64 `(N, H, W)` of semantic channels each, for [`score_outlines`]."""
        labels, num_labels = self.processor.label_set.channel_classes, self.processor.label_set.num_labels
        maps = [labels[one.cpu().numpy()] for one in (exact, simplified, refined, refined_exact)]  # of 0..num_labels
        counts = {
            kind: [count_outlines(one, num_labels) for one in of_kind]
            for kind, of_kind in zip(("exact", "painted", "refined"), maps[:3], strict=True)
        }
        counts["kept"] = [count_kept_parts(*pair, num_labels) for pair in zip(maps[1], maps[2], strict=True)]
        counts["changes"] = [count_changes(*pair, num_labels) for pair in zip(maps[0], maps[3], strict=True)]
        return {name: np.sum(one, axis=0) for name, one in counts.items()}

    def _redraw(self, label_map: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Make the masks `(N, H, W)` of the kinds that have masks of their own."""
        redrawn = {}
        if "painted" in self.kinds:
            redrawn["painted"] = self._simplify(label_map, generators(seeds, SIMPLIFICATION))
        if "refined" in self.kinds:
            redrawn["refined"] = self._refine(redrawn["painted"], generators(seeds, OUTLINES))
        return redrawn

    def _refine(self, label_map: Tensor, rngs: list[torch.Generator]) -> Tensor:
        """Give masks natural outlines: int64 `(N, H, W)` -> int64 `(N, H, W)`."""
        assert self.pipeline is not None and self.outlines is not None
        label_set, (height, width) = self.processor.label_set, self.painting_size or label_map.shape[-2:]
        refined = self.pipeline.refine_mask(
            torch.from_numpy(label_set.channels_to_ids(label_map.cpu().numpy())),
            self.outlines.strength,
            self.outlines.num_inference_steps,
            rngs,
            height=height,
            width=width,
        )
        channels = label_set.ids_to_channels(np.stack([np.asarray(one) for one in refined]))
        return resize_labels(torch.from_numpy(channels), (label_map.shape[-2], label_map.shape[-1])).to(
            label_map.device
        )

    def _simplify(self, label_map: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """Simplify masks, as in training: int64 `(N, H, W)` -> int64 `(N, H, W)`."""
        num_channels = self.processor.label_set.num_channels
        simple = [simplify_label_map(one, num_channels, rng) for one, rng in zip(label_map.cpu(), rngs, strict=True)]
        return torch.stack(simple).to(label_map.device)

    def _show(self, images: Tensor) -> Tensor:
        """Show uint8 images `(N, I, H, W)` in RGB: `(N, 3, H, W)`."""
        return self.processor.show(images)

    def _draw(self, label_map: Tensor) -> Tensor:
        """Draw label maps `(N, H, W)` in their colors: uint8 `(N, 3, H, W)`."""
        palette = torch.from_numpy(self.processor.label_set.palette.copy()).to(label_map.device)  # (L, 3), by channel
        return palette[label_map].movedim(-1, 1)  # (N, H, W, 3) to (N, 3, H, W)


def to_8_bits(images: Tensor) -> Tensor:
    """Convert [-1, 1] to uint8, the precision of a PNG."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte()
