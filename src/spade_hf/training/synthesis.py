"""Fake images for a batch, and what the discriminator says of images.

Legend: N batch, H W height and width, Z latent.
"""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from ..data import derive_seed
from ..models import DiagonalGaussianDistribution, MultiscaleDiscriminatorOutput


Batch = Mapping[str, Tensor]
GENERATOR_PHASE, DISCRIMINATOR_PHASE, STYLE_CHOICE, AUGMENTATION = 1, 2, 3, 4


def draw_latents(
    batch: Batch,
    *,
    style_encoder: nn.Module | None,
    latent_dim: int | None,
    rng: torch.Generator | list[torch.Generator],
) -> tuple[Tensor | None, DiagonalGaussianDistribution | None]:
    """Latents `(N, Z)` for a batch: of its images' styles where there is an encoder, else from the prior.

    Args:
        batch: `real_images` `(N, 3, H, W)` in [-1, 1]; perhaps `has_random_style` bool `(N,)`, samples whose latent is
            from the prior in any case.
        style_encoder: Image to posterior, or `None`.
        latent_dim: Z, or `None` for a model without latent, which gets `None`.
        rng: The only randomness; or N of them, one for each sample.
    """
    images = batch["real_images"]
    if latent_dim is None:
        return None, None

    def from_prior() -> Tensor:
        shape = (len(images), latent_dim)
        return randn_tensor(shape, generator=rng, device=images.device, dtype=images.dtype)

    if style_encoder is None:
        return from_prior(), None
    # tuples: under mixed precision Accelerate gives their tensors back in float32, and cannot rebuild output classes
    posterior = DiagonalGaussianDistribution(*style_encoder(images, return_dict=False))
    z = posterior.sample(rng)
    if "has_random_style" in batch:
        z = torch.where(batch["has_random_style"][:, None], from_prior().to(z.dtype), z)
    return z, posterior


def choose_random_styles(batch: Batch, probability: float) -> Tensor:
    """Which samples get a latent from the prior instead of their image's: bool `(N,)`, from their seeds.

    The encoder's latents fill the prior badly where its weight is low. There is no real picture in such a style: the
    discriminator judges it, and the perceptual loss compares its content with the real picture's.
    """
    rngs = (torch.Generator().manual_seed(derive_seed(seed, STYLE_CHOICE)) for seed in batch["seed"].tolist())
    draws = torch.stack([torch.rand((), generator=rng) for rng in rngs])
    return (draws < probability).to(batch["seed"].device)


def generate(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    batch: Batch,
    phase: int,
    *,
    latent_dim: int | None,
) -> tuple[Tensor, DiagonalGaussianDistribution | None]:
    """Fake images `(N, 3, H, W)` for a batch's masks, and the style encoder's posterior; see [`draw_latents`].

    Args:
        generator: Mask and latent to images.
        style_encoder: Image to posterior, or `None`.
        batch: Also `label_map` int `(N, H, W)`, `instance_edges` `(N, H, W)` for a model with edges, and `seed`
            `(N,)`: the latents follow from it and the phase, whichever process and batch a sample is in.
        phase: `GENERATOR_PHASE` or `DISCRIMINATOR_PHASE`, which see different latents.
        latent_dim: Z, or `None` for a model without latent.
    """
    rng = [torch.Generator().manual_seed(derive_seed(seed, phase)) for seed in batch["seed"].tolist()]
    z, posterior = draw_latents(batch, style_encoder=style_encoder, latent_dim=latent_dim, rng=rng)
    (images,) = generator(batch["label_map"], z, instance_edges=batch.get("instance_edges"), return_dict=False)
    return images, posterior


def discriminate(discriminator: nn.Module, batch: Batch, *images: Tensor) -> list[MultiscaleDiscriminatorOutput]:
    """The discriminator's output for each of some images `(N, 3, H, W)`, from one call on all of them."""
    count = len(images)
    masks = {name: torch.cat([batch[name]] * count) for name in ("label_map", "instance_edges") if name in batch}
    output = discriminator(
        masks["label_map"], torch.cat(images), instance_edges=masks.get("instance_edges"), return_dict=False
    )
    return [MultiscaleDiscriminatorOutput(*_part(output, number, count)) for number in range(count)]


def _part(values: Any, number: int, count: int) -> Any:
    """One of `count` parts of every tensor in nested lists."""
    if isinstance(values, Tensor):
        return values.chunk(count)[number]
    return [_part(value, number, count) for value in values]
