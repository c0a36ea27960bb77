# pyright: strict
"""Twenty lines of a user, which pyright reads in strict mode: the types that `py.typed` promises are there."""

from pathlib import Path

import torch

from spade_hf import BUNDLED_MODEL, SPADEGenerator, SPADEPipeline, SPADEPipelineOutput


def paint(mask: Path, target: Path) -> None:
    """Paint a mask with the bundled model, and save the image and the model."""
    pipeline = SPADEPipeline.from_pretrained(BUNDLED_MODEL)
    output = pipeline(mask, height=256, width=256, generator=torch.Generator().manual_seed(0))
    assert isinstance(output, SPADEPipelineOutput) and isinstance(output.images, list)
    output.images[0].save(target)
    pipeline.save_pretrained(target.parent / "model")


def build() -> torch.Tensor:
    """Build a small generator, and call it."""
    generator = SPADEGenerator(num_labels=3, image_size=64, base_channels=4, latent_dim=8)
    segmap = torch.zeros(1, 64, 64, dtype=torch.long)
    images: torch.Tensor = generator(segmap, torch.zeros(1, 8)).images
    return images
