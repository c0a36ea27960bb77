"""Exports averaged networks as a pipeline, and generates sample images.

Legend: N samples, H W height and width, Z latent.
"""

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from ..batch import Batch, stack_samples
from ..data import PairedImageDataset, StreamedImageDataset, build_loader
from ..images.sheets import add_headings
from ..pipelines import SPADEPipeline
from .averages import ModelEMA, estimate_statistics
from .game import draw_latents


@torch.no_grad()
def export_pipeline(
    averages: Mapping[str, ModelEMA],
    dataset: PairedImageDataset | StreamedImageDataset,
    batch_size: int,
    *,
    num_batches: int,
) -> SPADEPipeline:
    """Build a pipeline of copied averages, with spectral norm fused and batch statistics re-estimated.

    Args:
        averages (`Mapping[str, ModelEMA]`): `"generator"`, and `"style_encoder"` if there is one.
        dataset (`PairedImageDataset` or `StreamedImageDataset`): Samples for the statistics.
        batch_size (`int`): Batch size of the forward passes; use that of training.
        num_batches (`int`): Number of forward passes.
    """
    networks: dict[str, Any] = {name: copy.deepcopy(average.model) for name, average in averages.items()}
    for network in networks.values():
        network.fuse_spectral_norm()
    generator = networks["generator"]

    def calls() -> Iterator[dict[str, Tensor | None]]:
        rng = torch.Generator(generator.device).manual_seed(0)
        loader = build_loader(dataset, batch_size, generator=torch.Generator().manual_seed(0))
        for batch in itertools.islice(loader, num_batches):
            batch = cast(Batch, {name: value.to(generator.device) for name, value in batch.items()})
            z, _ = draw_latents(
                batch,
                style_encoder=networks.get("style_encoder"),
                latent_dim=generator.config.latent_dim,
                rng=rng,
            )
            yield {"segmap": batch["label_map"], "z": z, "instance_edges": batch.get("instance_edges")}

    estimate_statistics(generator, calls())
    pipeline = SPADEPipeline(image_processor=dataset.processor, **networks)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def paint_samples(pipeline: SPADEPipeline, samples: Sequence[Batch]) -> list[tuple[str, Tensor]]:
    """Generate images of some samples in their own style, in the next sample's and in random ones.

    A model without style encoder uses only random styles. A model without latent gives one image per mask.

    Args:
        pipeline (`SPADEPipeline`): The model.
        samples (`Sequence[Batch]`): N samples of a [`PairedImageDataset`].

    Returns:
        `list[tuple[str, Tensor]]`: Headings and images `(N, 3, H, W)` in [-1, 1]; the first are the masks in their
        labels' colours, the second the real images.
    """
    batch = stack_samples(samples, pipeline.device)
    latent_dim = pipeline.generator.config.latent_dim
    rng = torch.Generator(pipeline.device).manual_seed(0)
    styles: list[Tensor | None] = [None]
    headings = ["painted"]
    if latent_dim is not None:
        styles = [torch.randn(len(samples), latent_dim, generator=rng, device=pipeline.device)]
        headings = ["random style"]
        if pipeline.style_encoder is not None:
            own = pipeline.style_encoder(batch["real_images"]).latent_dist.mode()
            styles = [own, own.roll(-1, dims=0), *styles]
            headings = ["own style", "another's style", *headings]
        else:
            styles.append(torch.randn(len(samples), latent_dim, generator=rng, device=pipeline.device))
            headings *= 2
    generated = [
        pipeline.generator(batch["label_map"], z, instance_edges=batch.get("instance_edges")).images for z in styles
    ]
    palette = torch.from_numpy(pipeline.image_processor.label_set.palette.copy()).to(pipeline.device)
    masks = palette[batch["label_map"]].movedim(-1, 1) / 127.5 - 1  # (N, 3, H, W) in [-1, 1]
    columns = [masks, batch["real_images"], *generated]
    return list(zip(["mask", "photograph", *headings], columns, strict=True))


def sample_grid(pipeline: SPADEPipeline, columns: Sequence[tuple[str, Tensor]]) -> Image.Image:
    """Draw a grid with one row per sample, and one column with a heading per entry of `columns`.

    Args:
        pipeline (`SPADEPipeline`): Converts tensors to images.
        columns (`Sequence[tuple[str, Tensor]]`): See [`paint_samples`].
    """
    sheet = torch.cat([images for _, images in columns], dim=-1)  # (N, 3, H, columns * W)
    rows = torch.cat(list(sheet), dim=-2)[None]  # (1, 3, N * H, columns * W)
    return add_headings(pipeline.image_processor.postprocess(rows)[0], [heading for heading, _ in columns])


def save_image(image: Image.Image, path: Path) -> None:
    """Write an image file, and create its parent folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
