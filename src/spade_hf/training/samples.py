"""Sample images of a pipeline: painted in several styles, and drawn as a grid with headings.

Legend: N samples, H W height and width, Z latent.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..batch import Batch, conditioning, hard_labels, stack_samples
from ..images.channels import as_shown, to_rgb_images
from ..images.sheets import add_headings
from ..pipelines import SPADEPipeline


PHOTOGRAPH = "photograph"  # heading of the real images


@torch.no_grad()
def paint_samples(pipeline: SPADEPipeline, samples: Sequence[Batch]) -> list[tuple[str, Tensor]]:
    """Generate images of some samples in their own style, in the next sample's and in random ones.

    A model without style encoder uses only random styles. A model without latent gives one image per mask.

    Args:
        pipeline (`SPADEPipeline`): The model.
        samples (`Sequence[Batch]`): N samples of a [`PairedImageDataset`].

    Returns:
        `list[tuple[str, Tensor]]`: Headings and images as they are shown, `(N, 3, H, W)` in [-1, 1]: the masks in
        their labels' colors and the conditions, as far as the model reads them, the real images, headed
        [`PHOTOGRAPH`], then painted ones.
    """
    batch = stack_samples(samples, pipeline.device)
    latent_dim = pipeline.generator.config.latent_dim
    rng = torch.Generator(pipeline.device).manual_seed(0)  # the same styles in every grid of a run

    def random_style() -> Tensor:  # z ~ N(0, 1), (N, Z)
        return torch.randn(len(samples), latent_dim, generator=rng, device=pipeline.device)

    styles: list[tuple[str, Tensor | None]]
    if latent_dim is None:
        styles = [("painted", None)]
    elif pipeline.style_encoder is None:
        styles = [("random style", random_style()) for _ in range(2)]
    else:
        own = pipeline.style_encoder(batch["real_images"]).latent_dist.mode()  # the posterior's mean, (N, Z)
        styles = [("own style", own), ("another's style", own.roll(-1, dims=0)), ("random style", random_style())]
    given = conditioning(batch)
    segmap, processor = given.pop("segmap"), pipeline.image_processor
    painted = [(name, pipeline.generator(segmap, z, **given).images) for name, z in styles]
    columns = []
    if segmap is not None:
        palette = torch.from_numpy(processor.label_set.palette.copy()).to(pipeline.device)
        masks = palette[hard_labels(segmap)].movedim(-1, 1) / 127.5 - 1  # (N, 3, H, W): 0..255 -> [-1, 1]
        columns.append(("mask", masks))
    if "condition" in given:
        columns.append(("condition", as_shown(given["condition"])))
    columns.append((PHOTOGRAPH, processor.show(batch["real_images"])))
    return columns + [(name, processor.show(images)) for name, images in painted]


def sample_grid(columns: Sequence[tuple[str, Tensor]]) -> Image.Image:
    """Draw a grid with one row per sample, and one column with a heading per entry of `columns`.

    Args:
        columns (`Sequence[tuple[str, Tensor]]`): See [`paint_samples`].
    """
    sheet = torch.cat([images for _, images in columns], dim=-1)  # (N, 3, H, columns * W)
    rows = torch.cat(list(sheet), dim=-2)[None]  # (1, 3, N * H, columns * W)
    return add_headings(to_rgb_images(rows)[0], [heading for heading, _ in columns])


def save_image(image: Image.Image, path: Path) -> None:
    """Write an image file, and create its parent folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
