"""Fake images for a batch, and the discriminator's outputs.

Legend: N batch, H W height and width, Z latent.
"""

from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from ..batch import Batch
from ..models import DiagonalGaussianDistribution, MultiscaleDiscriminatorOutput
from ..seeding import Stream, generators


GENERATOR_PHASE, DISCRIMINATOR_PHASE = Stream.GENERATOR_PHASE, Stream.DISCRIMINATOR_PHASE


def draw_latents(
    batch: Batch,
    *,
    style_encoder: nn.Module | None,
    latent_dim: int | None,
    rng: torch.Generator | list[torch.Generator],
) -> tuple[Tensor | None, DiagonalGaussianDistribution | None]:
    """Sample latents `(N, Z)` for a batch: from its images' posteriors if there is an encoder, else from the prior.

    Args:
        batch: The latents of samples with `has_random_style` are always from the prior.
        style_encoder: Image to posterior, or `None`.
        latent_dim: Z, or `None` for a model without latent; the latents are then `None`.
        rng: The only source of randomness: one generator, or one per sample.
    """
    images = batch["real_images"]
    if latent_dim is None:
        return None, None

    def from_prior() -> Tensor:
        shape = (len(images), latent_dim)
        return randn_tensor(shape, generator=rng, device=images.device, dtype=images.dtype)

    if style_encoder is None:
        return from_prior(), None
    # a tuple: under mixed precision, Accelerate converts outputs to float32, and cannot rebuild output classes
    posterior = DiagonalGaussianDistribution(*style_encoder(images, return_dict=False))
    z = posterior.sample(rng)
    if "has_random_style" in batch:
        z = torch.where(batch["has_random_style"][:, None], from_prior().to(z.dtype), z)
    return z, posterior


def choose_random_styles(batch: Batch, probability: float) -> Tensor:
    """Choose samples that get a latent from the prior instead of their image's: bool `(N,)`, from their seeds.

    With a low KL weight, the encoder's latents cover the prior poorly. There is no real image in a random style: the
    discriminator judges the fake one, and the perceptual loss compares only its content with the real image's.
    """
    draws = torch.stack([torch.rand((), generator=rng) for rng in generators(batch["seed"], Stream.STYLE_CHOICE)])
    return (draws < probability).to(batch["seed"].device)


def generate(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    batch: Batch,
    phase: int,
    *,
    latent_dim: int | None,
) -> tuple[Tensor, DiagonalGaussianDistribution | None]:
    """Generate fake images `(N, 3, H, W)` for a batch; return also the encoder's posterior. See [`draw_latents`].

    Args:
        generator: Mask and latent to images.
        style_encoder: Image to posterior, or `None`.
        batch: The latents depend only on `seed` and the phase, not on a sample's process and batch.
        phase: `GENERATOR_PHASE` or `DISCRIMINATOR_PHASE`, which get different latents.
        latent_dim: Z, or `None` for a model without latent.
    """
    rng = generators(batch["seed"], phase)
    z, posterior = draw_latents(batch, style_encoder=style_encoder, latent_dim=latent_dim, rng=rng)
    (images,) = generator(batch["label_map"], z, instance_edges=batch.get("instance_edges"), return_dict=False)
    return images, posterior


def discriminate(discriminator: nn.Module, batch: Batch, *images: Tensor) -> list[MultiscaleDiscriminatorOutput]:
    """Run the discriminator once on several batches of images `(N, 3, H, W)`; return one output per batch."""
    count = len(images)
    edges = batch.get("instance_edges")
    output = discriminator(
        torch.cat([batch["label_map"]] * count),
        torch.cat(images),
        instance_edges=None if edges is None else torch.cat([edges] * count),
        return_dict=False,
    )
    return [MultiscaleDiscriminatorOutput(*_part(output, number, count)) for number in range(count)]


def _part(values: Any, number: int, count: int) -> Any:
    """Return one of `count` parts of every tensor in nested lists."""
    if isinstance(values, Tensor):
        return values.chunk(count)[number]
    return [_part(value, number, count) for value in values]
