"""Makes and measures images for a data set's masks, in batches that any process can score in any order.

Legend: N images, L semantic channels, H W height and width, Z latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..batch import stack_samples
from ..data import PairedImageDataset, simplify_label_map
from ..images.processor import SPADEImageProcessor
from ..pipelines import SPADEPipeline
from ..seeding import generators
from .caches import ImageCache
from .figures import Judge, Measurements
from .pixels import reduce_and_enlarge


SIMPLIFICATION, STYLE, FIRST, SECOND = range(4)  # streams of a row's random numbers
# Sets of images, and what the figures that need them are called in `figures.Figure.needs`: exact and simplified masks
# in the real images' styles, exact masks in another image's style, and exact masks in two random styles. The names are
# also folders of `ImageCache`.
KINDS = {"exact": "", "painted": "painted", "styled": "style", "random": "diversity", "again": "diversity"}
REDRAWN = ("painted",)  # kinds of which the masks were made from the exact ones
RANDOM = {"random": FIRST, "again": SECOND}


@dataclass(frozen=True)
class ScoredBatch:
    """Results of a batch.

    Args:
        measurements (`dict[str, Measurements]`): Kind -> its images; the real ones are `"real"`.
        rows (`list[Tensor]`): The sheet's rows: masks and images side by side, uint8 `(3, H, columns * W)`.
        headings (`list[str]`): The headings of the sheet's columns.
    """

    measurements: dict[str, Measurements]
    rows: list[Tensor]
    headings: list[str]


@dataclass(frozen=True)
class Scorer:
    """Makes and measures the images of a batch. A row's results do not depend on its batch or process.

    Args:
        judge (`Judge`): Measures the images.
        dataset (`PairedImageDataset`): The pairs.
        processor (`SPADEImageProcessor`): Has the label set.
        kinds (`Sequence[str]`): Keys of `KINDS`.
        partners (`Sequence[int]`): For each row, the row whose style it gets, for the kind `"styled"`.
        shown (`frozenset[int]`): Rows that are shown on the sheet.
        pipeline (`SPADEPipeline`, *optional*): The model to score. Without it, the real images are scored.
        reduce (`int`, *optional*): The side for [`reduce_and_enlarge`]; used only without a pipeline.
        device (`str` or `torch.device`): Device for the measurements.
        cache (`ImageCache`, *optional*): Keeps the images that a pipeline makes.
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

    def score(self, rows: range) -> ScoredBatch:
        """Score these rows of the data set."""
        batch = stack_samples([self.dataset[index] for index in rows], self.device)
        # (N, 3, H, W) uint8 and (N, H, W) int64: real images are judged with the precision of generated ones
        real, label_map = to_8_bits(batch["real_images"]), batch["label_map"]
        height, width = real.shape[-2:]
        maps = {"real": self.judge.features(real)}  # kind -> feature maps, one forward pass for all measurements
        measurements = {"real": self.judge.measure(real, maps["real"], maps["real"], label_map)}
        columns = [("mask", self._draw(label_map)), ("real", real)]
        for kind in self.kinds:
            masks, styles = label_map, real
            if kind == "painted":
                masks = self._simplify(label_map, generators(batch["seed"], SIMPLIFICATION))  # (N, H, W)
                columns.append(("simplified mask", self._draw(masks)))
            elif kind == "styled":
                others = [self.dataset[self.partners[index]]["real_images"] for index in rows]
                styles = to_8_bits(torch.stack(others).to(self.device))
                columns.append(("other style", styles))
            # the seed of a sample depends on its row alone, so its latent does not depend on batches or processes
            rngs = generators(batch["seed"], RANDOM.get(kind, STYLE))
            given = None if kind in RANDOM else styles
            make = partial(self._make_images, masks, given, rngs, batch.get("instance_edges"))
            if self.cache is None or self.pipeline is None:
                images = make()
            else:
                images = self.cache.obtain(kind, rows, (height, width), make).to(self.device)
            maps[kind] = self.judge.features(images)
            compared = maps["random" if kind == "again" else "real"]  # diversity: two styles of the same mask
            exact = label_map if kind in REDRAWN else None
            measurements[kind] = self.judge.measure(images, maps[kind], compared, masks, exact)
            columns.append((self._heading(kind), images))
        table = torch.cat([column for _, column in columns], dim=-1).cpu()  # (N, 3, H, columns * W)
        shown = [row for index, row in zip(rows, table, strict=True) if index in self.shown]
        return ScoredBatch(measurements, shown, [heading for heading, _ in columns])

    def _heading(self, kind: str) -> str:
        """Name a kind of images on the sheet."""
        if self.pipeline is None:
            return "real" if self.reduce is None else "reduced"
        has_style = kind not in RANDOM and self.pipeline.style_encoder is not None
        return "painted" if has_style or self.pipeline.generator.config.latent_dim is None else "random style"

    @torch.no_grad()
    def _make_images(
        self, masks: Tensor, styles: Tensor | None, rngs: Sequence[torch.Generator], instance_edges: Tensor | None
    ) -> Tensor:
        """Make images, uint8 `(N, 3, H, W)`: in the given styles if the model has an encoder, else random."""
        if self.pipeline is None:
            assert styles is not None
            return styles if self.reduce is None else reduce_and_enlarge(styles, self.reduce)
        latent_dim, z = self.pipeline.generator.config.latent_dim, None
        if styles is not None and self.pipeline.style_encoder is not None:
            z = self.pipeline.encode_style(styles)  # (N, Z), the mean: nothing is drawn
        elif latent_dim is not None:
            z = torch.stack([torch.randn(latent_dim, generator=rng) for rng in rngs]).to(self.device)  # (N, Z)
        return to_8_bits(self.pipeline.generator(masks, z, instance_edges=instance_edges).images)

    def _simplify(self, label_map: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """Simplify masks, as in training: int64 `(N, H, W)` -> int64 `(N, H, W)`."""
        num_channels = self.processor.label_set.num_channels
        simple = [simplify_label_map(one, num_channels, rng) for one, rng in zip(label_map.cpu(), rngs, strict=True)]
        return torch.stack(simple).to(label_map.device)

    def _draw(self, label_map: Tensor) -> Tensor:
        """Draw label maps `(N, H, W)` in their colors: uint8 `(N, 3, H, W)`."""
        palette = torch.from_numpy(self.processor.label_set.palette.copy()).to(label_map.device)  # (L, 3), by channel
        return palette[label_map].movedim(-1, 1)  # (N, H, W, 3) to (N, 3, H, W)


def to_8_bits(images: Tensor) -> Tensor:
    """Convert [-1, 1] to uint8, the precision of a PNG."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte()
