"""The losses of one training iteration: the generator's phase and the discriminator's (Park et al. 2019, section 3).

Each phase expects that only its own networks require gradients; the caller runs backward and the optimizers.

Legend: N batch, H W height and width, Z latent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from ..data import derive_seed
from ..execution.gradient_checkpointing import frozen_statistics
from ..losses import feature_matching_loss, hinge_discriminator_loss, hinge_generator_loss, kl_loss
from ..models import DiagonalGaussianDistribution


Batch = dict[str, Tensor]
GENERATOR_PHASE, DISCRIMINATOR_PHASE, STYLE_CHOICE = 1, 2, 3


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's terms; 0 turns a term off. The defaults are the paper's."""

    adversarial: float = 1.0
    feature_matching: float = 10.0
    perceptual: float = 10.0
    kl: float = 0.05

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if weight < 0:
                raise ValueError(f"`{name}` is {weight}; the weight of a loss is 0 (off) or more.")


@dataclass
class StepOutput:
    """What a phase computed.

    Args:
        loss (`Tensor`): Scalar to run backward on: the weighted terms, added.
        terms (`dict[str, Tensor]`): Unweighted, detached scalars by name.
        real_logits, fake_logits (`Tensor`): Detached scalars, means over positions and scales.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    real_logits: Tensor
    fake_logits: Tensor


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
    batch: Batch,
    phase: int,
    *,
    style_encoder: nn.Module | None,
    latent_dim: int | None,
) -> tuple[Tensor, DiagonalGaussianDistribution | None]:
    """Fake images `(N, 3, H, W)` for a batch's masks; see [`draw_latents`].

    Args:
        batch: Also `label_map` int `(N, H, W)`, `instance_edges` `(N, H, W)` for a model with edges, and `seed`
            `(N,)`: the latents follow from it and the phase, whichever process and batch a sample is in.
        phase: `GENERATOR_PHASE` or `DISCRIMINATOR_PHASE`, which see different latents.
    """
    rng = [torch.Generator().manual_seed(derive_seed(seed, phase)) for seed in batch["seed"].tolist()]
    z, posterior = draw_latents(batch, style_encoder=style_encoder, latent_dim=latent_dim, rng=rng)
    (images,) = generator(batch["label_map"], z, instance_edges=batch.get("instance_edges"), return_dict=False)
    return images, posterior


def generator_step(
    generate_images: Callable[[int], tuple[Tensor, DiagonalGaussianDistribution | None]],
    discriminator: nn.Module,
    batch: Batch,
    *,
    perceptual_loss: nn.Module | None,
    weights: LossWeights,
) -> StepOutput:
    """Adversarial, feature-matching, perceptual and prior terms of the generator and the style encoder.

    Args:
        generate_images: [`generate`] with all but the phase bound; runs with gradients.
        discriminator: Frozen.
        batch: See [`generate`]; also `agreement` bool `(N, H, W)` where label maps may be repainted: outside of it, a
            picture need not match the real one.
        perceptual_loss: `(fake_images, real_images, mask, has_other_style) -> scalar`, or `None`.
        weights: Of the terms.

    Raises:
        FloatingPointError: If a term is not finite; it names the term.
    """
    fake_images, posterior = generate_images(GENERATOR_PHASE)
    (fake,) = _judge(discriminator, batch, fake_images)
    with torch.no_grad(), frozen_statistics(discriminator):  # no gradient reaches the real images; same weights
        (real,) = _judge(discriminator, batch, batch["real_images"])
    agreement, has_random_style = batch.get("agreement"), batch.get("has_random_style")
    terms = {"adversarial": hinge_generator_loss(fake.logits)}
    if weights.feature_matching > 0:
        mask = agreement if has_random_style is None else _without(has_random_style, agreement, batch["label_map"])
        terms["feature_matching"] = feature_matching_loss(fake.features, real.features, mask)
    if perceptual_loss is not None and weights.perceptual > 0:
        terms["perceptual"] = perceptual_loss(fake_images, batch["real_images"], agreement, has_random_style)
    if posterior is not None and weights.kl > 0:
        terms["kl"] = kl_loss(posterior)
    loss = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    return _output(loss, terms, real, fake)


def discriminator_step(
    generate_images: Callable[[int], tuple[Tensor, DiagonalGaussianDistribution | None]],
    discriminator: nn.Module,
    batch: Batch,
) -> StepOutput:
    """Hinge terms of the discriminator on real and on fresh fake images.

    Raises:
        FloatingPointError: If a term is not finite; it names the term.
    """
    with torch.no_grad():
        fake_images, _ = generate_images(DISCRIMINATOR_PHASE)
    fake, real = _judge(discriminator, batch, fake_images, batch["real_images"])
    real_term, fake_term = hinge_discriminator_loss(real.logits, fake.logits)
    terms = {"discriminator_real": real_term, "discriminator_fake": fake_term}
    return _output(real_term + fake_term, terms, real, fake)


def scalars(generator_output: StepOutput, discriminator_output: StepOutput) -> dict[str, float]:
    """Unweighted terms, weighted sums and mean logits of an iteration, for logs."""
    values = generator_output.terms | discriminator_output.terms
    values |= {"generator_loss": generator_output.loss, "discriminator_loss": discriminator_output.loss}
    values |= {"real_logits": discriminator_output.real_logits, "fake_logits": discriminator_output.fake_logits}
    return {name: value.item() for name, value in values.items()}


def _without(excluded: Tensor, mask: Tensor | None, label_map: Tensor) -> Tensor:
    """A mask `(N, H, W)`, or one of every pixel, without the samples `excluded` `(N,)`."""
    return ~excluded[:, None, None] & (torch.ones_like(label_map, dtype=torch.bool) if mask is None else mask)


@dataclass
class _Judgement:
    logits: list[Tensor]
    features: list[list[Tensor]]


def _judge(discriminator: nn.Module, batch: Batch, *images: Tensor) -> list[_Judgement]:
    """The discriminator's view of each of some `(N, 3, H, W)`, from one call on all of them."""
    count = len(images)
    masks = {name: torch.cat([batch[name]] * count) for name in ("label_map", "instance_edges") if name in batch}
    logits, features = discriminator(
        masks["label_map"], torch.cat(images), instance_edges=masks.get("instance_edges"), return_dict=False
    )
    parts = []
    for part in range(count):
        scales = [[layer.chunk(count)[part] for layer in scale] for scale in features]
        parts.append(_Judgement([scale.chunk(count)[part] for scale in logits], scales))
    return parts


def _output(loss: Tensor, terms: dict[str, Tensor], real: _Judgement, fake: _Judgement) -> StepOutput:
    terms = {name: term.detach() for name, term in terms.items()}
    finite = torch.isfinite(torch.stack(list(terms.values()))).tolist()  # one wait for the device, not one a term
    if not all(finite):
        bad = [f"{name} is {term.item()}" for (name, term), ok in zip(terms.items(), finite, strict=True) if not ok]
        raise FloatingPointError(
            f"Training diverged: {', '.join(bad)}. Lower the learning rates, or resume an older checkpoint."
        )
    real_logits, fake_logits = (
        torch.stack([logits.detach().mean() for logits in half.logits]).mean() for half in (real, fake)
    )
    return StepOutput(loss, terms, real_logits, fake_logits)
