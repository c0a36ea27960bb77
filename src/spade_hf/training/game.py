"""The game of training: two sides, each with its phase in every iteration (Park et al. 2019, section 3).

Read [`Game`] first. The formulas of the losses are on two other pages, `losses/terms.py` and `losses/adversarial.py`.
In training loops of your own, [`generator_step`] and [`discriminator_step`] compute these losses from bare networks.

Legend: N batch, I image channels, S scales of the discriminator, H W height and width, Z latent.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import ModelMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from ..batch import Batch, conditioning
from ..execution.gradient_checkpointing import frozen_statistics
from ..losses import Objective
from ..models import DiagonalGaussianDistribution, MultiscaleDiscriminatorOutput
from ..seeding import Stream, generators
from .augmentation import DiscriminatorAugmentation, crop
from .averages import ModelEMA


@dataclass(frozen=True)
class Side:
    """Networks that one optimizer trains: generator and style encoder, or the discriminator.

    Args:
        accelerator (`Accelerator`): Has prepared the networks, the optimizer and the schedule.
        unwrapped (`Mapping[str, ModelMixin]`): The networks by name, as they are saved.
        prepared (`Mapping[str, nn.Module]`): The same networks, prepared for training on one or several processes.
        optimizer (`Optimizer`): Optimizer of all their parameters.
        schedule (`LRScheduler`): Schedule of its learning rate.
        max_grad_norm (`float`, *optional*): Maximum norm of all their gradients together.
    """

    accelerator: Accelerator
    unwrapped: Mapping[str, ModelMixin]
    prepared: Mapping[str, nn.Module]
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    max_grad_norm: float | None = None

    def update(self, loss: Tensor) -> None:
        """Run backward on a scalar; then, once enough batches are accumulated, one step of optimizer and schedule."""
        self.accelerator.backward(loss)  # of the loss over the number of accumulated batches: gradients are means
        if self.accelerator.sync_gradients and self.max_grad_norm is not None:
            # not `accelerator.clip_grad_norm_`, which would also unscale the other optimizer's gradients
            self.accelerator.unscale_gradients(self.optimizer)
            parameters = itertools.chain.from_iterable(model.parameters() for model in self.unwrapped.values())
            torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        # while gradients accumulate, accelerate makes these three do nothing
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()


@dataclass
class PhaseOutput:
    """Output of a phase.

    Args:
        loss (`Tensor`): Scalar to run backward on: the sum of the weighted terms.
        terms (`dict[str, Tensor]`): Unweighted, detached scalars by name.
        real_logits, fake_logits (`Tensor`): Detached scalars; see [`~AdversarialLoss.realness`].
        fake_images (`Tensor`): Detached, `(N, I, H, W)` in [-1, 1].
    """

    loss: Tensor
    terms: dict[str, Tensor]
    real_logits: Tensor
    fake_logits: Tensor
    fake_images: Tensor


def scalars_of(generator_output: PhaseOutput, discriminator_output: PhaseOutput) -> dict[str, Tensor]:
    """Return the numbers of an iteration by name: unweighted terms, losses and logits."""
    return {
        **generator_output.terms,
        **discriminator_output.terms,
        "generator_loss": generator_output.loss,
        "discriminator_loss": discriminator_output.loss,
        "real_logits": discriminator_output.real_logits,
        "fake_logits": discriminator_output.fake_logits,
    }


@dataclass(eq=False)
class Phases:
    """The losses of both phases, without updates. A phase expects that only its own networks require gradients.

    If a term is not finite, it raises a `FloatingPointError` that names the term.

    Args:
        generator (`nn.Module`): Mask and latent to images.
        style_encoder (`nn.Module` or `None`): Image to posterior.
        discriminator (`nn.Module`): Mask and images to logits and features; trained in its own phase.
        judge (`nn.Module`): The same discriminator as the generator's phase calls it, frozen.
        objective (`Objective`): Terms and weights of both losses.
        latent_dim (`int` or `None`): Z; `None` for a model without latent.
        augmentation (`DiscriminatorAugmentation`, *optional*): Changes the discriminator's inputs.
        loss_crop_size (`int`, *optional*): Side of the random square of each sample that discriminator and losses
            see; by default the whole image.
    """

    generator: nn.Module
    style_encoder: nn.Module | None
    discriminator: nn.Module
    judge: nn.Module
    objective: Objective
    latent_dim: int | None
    augmentation: DiscriminatorAugmentation | None = None
    loss_crop_size: int | None = None

    def generator_phase(self, batch: Batch) -> PhaseOutput:
        """Compute the generator's loss, which also trains the style encoder."""
        # Fakes, with a graph to the generator and the style encoder
        whole_fakes, posterior = self.fakes(batch, Stream.GENERATOR_PHASE)  # (N, I, H, W); mean, logvar (N, Z)
        batch, fake_images = self._crop(batch, Stream.GENERATOR_PHASE, whole_fakes)

        # Judge: gradients flow through the frozen discriminator into the fakes, but the real images are only targets
        judged, (shown_fakes, shown_reals) = self._show(batch, Stream.GENERATOR_PHASE, fake_images)
        (fake,) = discriminate(self.judge, judged, shown_fakes)  # S logits each, high = real, and S lists of features
        # one power iteration per phase: the second call uses the weights that the first one normalized
        with torch.no_grad(), frozen_statistics(self.judge):
            (real,) = discriminate(self.judge, judged, shown_reals)

        # Terms, and their weighted sum; only those of the discriminator read the augmented images
        terms = self.objective.generator_terms(batch, fake_images, posterior, fake, real, judged=judged)
        return self._output(self.objective.generator_loss(terms), terms, real, fake, whole_fakes)

    def discriminator_phase(self, batch: Batch, fake_images: Tensor | None = None) -> PhaseOutput:
        """Compute the discriminator's loss on real and fake images: detached `(N, I, H, W)`, or new ones if `None`."""
        # Fakes: new ones in other styles, after the generator's update, unless they are given
        if fake_images is None:
            with torch.no_grad():  # detached, and without the memory of a graph
                fake_images, _ = self.fakes(batch, Stream.DISCRIMINATOR_PHASE)  # (N, I, H, W)
        whole_fakes = fake_images
        batch, fake_images = self._crop(batch, Stream.DISCRIMINATOR_PHASE, whole_fakes)

        # Judge: all images in one call, which is one power iteration of spectral norm
        judged, (shown_fakes, shown_reals) = self._show(batch, Stream.DISCRIMINATOR_PHASE, fake_images)
        where_real = self.objective.adversarial.mixture(judged)  # (N, H, W) bool: real in the areas of some labels
        mixtures = [] if where_real is None else [torch.where(where_real[:, None], shown_reals, shown_fakes)]
        fake, real, *mixed = discriminate(self.discriminator, judged, shown_fakes, shown_reals, *mixtures)

        # Terms, with their weights: the loss is their sum
        terms = self.objective.discriminator_terms(judged, fake, real, *mixed)
        return self._output(torch.stack([*terms.values()]).sum(), terms, real, fake, whole_fakes)

    def fakes(self, batch: Batch, stream: Stream) -> tuple[Tensor, DiagonalGaussianDistribution | None]:
        """Generate images `(N, I, H, W)` in [-1, 1]; see [`generate`]."""
        return generate(self.generator, self.style_encoder, batch, stream, latent_dim=self.latent_dim)

    def _crop(self, batch: Batch, stream: Stream, fake_images: Tensor) -> tuple[Batch, Tensor]:
        """Return what the losses see of the batch and of fakes `(N, I, H, W)`; in each phase it is another square."""
        if self.loss_crop_size is None:
            return batch, fake_images
        return crop(batch, stream, self.loss_crop_size, fake_images)

    def _show(self, batch: Batch, stream: Stream, fake_images: Tensor) -> tuple[Batch, list[Tensor]]:
        """Return what the discriminator sees: the batch, and fake and real images `(N, I, H, W)`, maybe augmented."""
        images = [fake_images, batch["real_images"]]
        return (batch, images) if self.augmentation is None else self.augmentation(batch, stream, *images)

    def _output(
        self,
        loss: Tensor,
        terms: Mapping[str, Tensor],
        real: MultiscaleDiscriminatorOutput,
        fake: MultiscaleDiscriminatorOutput,
        fake_images: Tensor,
    ) -> PhaseOutput:
        terms = {name: term.detach() for name, term in terms.items()}
        finite = torch.stack([*terms.values()]).isfinite().tolist()  # waits for the device once, not once per term
        if not all(finite):
            bad = [f"{name} is {term.item()}" for name, term in terms.items() if not term.isfinite()]
            raise FloatingPointError(
                f"Training diverged: {', '.join(bad)}. Lower the learning rates, or resume an older checkpoint."
            )
        real_logits, fake_logits = (self.objective.adversarial.realness(one).detach() for one in (real, fake))
        return PhaseOutput(loss, terms, real_logits, fake_logits, fake_images.detach())


class Game(Phases):
    """One iteration of training per call: both sides are updated, unless gradients are still being accumulated.

    A step of the generator and the style encoder down their loss, with the discriminator fixed; then a step of the
    discriminator down its own, on new fakes of the updated generator. Every random number derives from the samples'
    seeds, so that a resumed run repeats it.

    Args:
        accelerator (`Accelerator`): The accelerator of both sides.
        generator_side (`Side`): `generator` and optionally `style_encoder`.
        discriminator_side (`Side`): `discriminator`.
        averages (`Mapping[str, ModelEMA]`): Averages of the generator's side, by name.
        objective (`Objective`): Losses of both sides.
        random_style_probability (`float`, defaults to 0): See [`choose_random_styles`].
        augmentation (`DiscriminatorAugmentation`, *optional*): Changes the discriminator's inputs.
        reuse_fakes (`bool`, defaults to `False`): Train the discriminator on the images of the generator's phase
            instead of new ones, which saves a forward pass.
        loss_crop_size (`int`, *optional*): See [`Phases`].
    """

    def __init__(
        self,
        accelerator: Accelerator,
        generator_side: Side,
        discriminator_side: Side,
        averages: Mapping[str, ModelEMA],
        objective: Objective,
        random_style_probability: float = 0.0,
        augmentation: DiscriminatorAugmentation | None = None,
        reuse_fakes: bool = False,
        loss_crop_size: int | None = None,
    ) -> None:
        generator: Any = generator_side.unwrapped["generator"]
        super().__init__(
            generator_side.prepared["generator"],
            generator_side.prepared.get("style_encoder"),
            discriminator_side.prepared["discriminator"],
            judge=discriminator_side.unwrapped["discriminator"],  # frozen: no gradients to synchronize
            objective=objective,
            latent_dim=generator.config.latent_dim,
            augmentation=augmentation,
            loss_crop_size=loss_crop_size,
        )
        self.accelerator, self.averages = accelerator, averages
        self.generator_side, self.discriminator_side = generator_side, discriminator_side
        self.random_style_probability, self.reuse_fakes = random_style_probability, reuse_fakes

    def __call__(self, batch: Batch) -> tuple[PhaseOutput, PhaseOutput]:
        """Run the generator's and the discriminator's phase, and return their outputs."""
        if self.random_style_probability > 0:  # the same samples in both phases
            batch = {**batch, "has_random_style": choose_random_styles(batch, self.random_style_probability)}
        networks = [*self.generator_side.prepared.values(), *self.discriminator_side.prepared.values()]
        with self.accelerator.accumulate(*networks):  # only once: each call counts as a batch
            # Generator and style encoder, against the frozen discriminator
            self.judge.requires_grad_(False)  # gradients pass through it to the images, and stop at its weights
            generator_output = self.generator_phase(batch)
            self.generator_side.update(generator_output.loss)

            # Averages of the generator's side, once per update: `sync_gradients` holds for its last batch
            if self.accelerator.sync_gradients:
                for name, average in self.averages.items():
                    average.update(self.generator_side.unwrapped[name])

            # Discriminator, on detached fakes
            self.judge.requires_grad_(True)  # the same parameters as the prepared discriminator's
            fake_images = generator_output.fake_images if self.reuse_fakes else None
            discriminator_output = self.discriminator_phase(batch, fake_images)
            self.discriminator_side.update(discriminator_output.loss)
        return generator_output, discriminator_output


def generator_step(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    discriminator: nn.Module,
    batch: Batch,
    *,
    objective: Objective,
    latent_dim: int | None,
    augmentation: DiscriminatorAugmentation | None = None,
    loss_crop_size: int | None = None,
) -> PhaseOutput:
    """Compute the generator's loss, which also trains the style encoder; the caller runs backward and the optimizer.

    Args:
        generator: Mask and latent to images.
        style_encoder: Image to posterior, or `None`.
        discriminator: Frozen.
        batch: The batch; see [`Batch`].
        objective: Terms and weights.
        latent_dim: Z, or `None` for a model without latent.
        augmentation (*optional*): Changes the discriminator's inputs.
        loss_crop_size (*optional*): Side of the random square of each sample that discriminator and losses see.

    Raises:
        FloatingPointError: If a term is not finite; the message names it.
    """
    phases = Phases(
        generator, style_encoder, discriminator, discriminator, objective, latent_dim, augmentation, loss_crop_size
    )
    return phases.generator_phase(batch)


def discriminator_step(
    generator: nn.Module,
    style_encoder: nn.Module | None,
    discriminator: nn.Module,
    batch: Batch,
    *,
    objective: Objective,
    latent_dim: int | None,
    augmentation: DiscriminatorAugmentation | None = None,
    loss_crop_size: int | None = None,
    fake_images: Tensor | None = None,
) -> PhaseOutput:
    """Compute the discriminator's loss on real and detached fake images; for the arguments see [`generator_step`].

    Args:
        fake_images (`Tensor`, *optional*): `(N, I, H, W)` in [-1, 1], detached, instead of new ones.

    Raises:
        FloatingPointError: If a term is not finite; the message names it.
    """
    phases = Phases(
        generator, style_encoder, discriminator, discriminator, objective, latent_dim, augmentation, loss_crop_size
    )
    return phases.discriminator_phase(batch, fake_images)


def choose_random_styles(batch: Batch, probability: float) -> Tensor:
    """Choose samples that get a latent from the prior instead of their image's: bool `(N,)`, from their seeds.

    With a low KL weight, the encoder's latents cover the prior poorly. There is no real image in a random style: the
    discriminator judges the fake one, and the perceptual loss compares only its content with the real image's.
    """
    rngs = generators(batch["seed"], Stream.STYLE_CHOICE)
    draws = torch.stack([torch.rand((), generator=rng) for rng in rngs])  # (N,) in [0, 1)
    return (draws < probability).to(batch["seed"].device)


def draw_latents(
    batch: Batch,
    *,
    style_encoder: nn.Module | None,
    latent_dim: int | None,
    rng: torch.Generator | list[torch.Generator],
) -> tuple[Tensor | None, DiagonalGaussianDistribution | None]:
    """Sample latents `(N, Z)` for a batch: from its images' posteriors if there is an encoder, else from the prior.

    Those of samples with `has_random_style` are always from the prior; with `latent_dim=None` there are none. All
    randomness comes from `rng`: one generator, or one per sample.
    """
    images = batch["real_images"]
    if latent_dim is None:
        return None, None

    def from_prior() -> Tensor:  # z ~ N(0, 1), (N, Z)
        return randn_tensor((len(images), latent_dim), generator=rng, device=images.device, dtype=images.dtype)

    if style_encoder is None:
        return from_prior(), None
    # a tuple: under mixed precision, Accelerate converts outputs to float32, and cannot rebuild output classes
    mean, logvar = style_encoder(images, return_dict=False)  # (N, Z) each
    posterior = DiagonalGaussianDistribution(mean, logvar)
    z = posterior.sample(rng)  # mean + exp(logvar / 2) * noise, (N, Z)
    if "has_random_style" in batch:  # drawn after the posterior's noise, which does not depend on the choice
        z = torch.where(batch["has_random_style"][:, None], from_prior().to(z.dtype), z)
    return z, posterior


def generate(
    generator: nn.Module, style_encoder: nn.Module | None, batch: Batch, phase: int, *, latent_dim: int | None
) -> tuple[Tensor, DiagonalGaussianDistribution | None]:
    """Generate fake images `(N, I, H, W)` for a batch; return also the encoder's posterior. See [`draw_latents`].

    Latents depend only on a sample's seed and the phase, `Stream.GENERATOR_PHASE` or `Stream.DISCRIMINATOR_PHASE`, and
    not on its process and batch.
    """
    rngs = generators(batch["seed"], phase)
    z, posterior = draw_latents(batch, style_encoder=style_encoder, latent_dim=latent_dim, rng=rngs)
    given = conditioning(batch)
    (images,) = generator(given.pop("segmap"), z, **given, return_dict=False)
    return images, posterior


def discriminate(discriminator: nn.Module, batch: Batch, *images: Tensor) -> list[MultiscaleDiscriminatorOutput]:
    """Run the discriminator once on several batches of images `(N, I, H, W)`; return one output per batch.

    One call is one power iteration of spectral norm: all batches are judged by the same weights.
    """
    count = len(images)
    # (count * N, H, W) of a label map
    given = {name: None if one is None else torch.cat([one] * count) for name, one in conditioning(batch).items()}
    output = discriminator(
        given.pop("segmap"),
        torch.cat(images),  # (count * N, I, H, W)
        **given,
        return_dict=False,
    )
    return [MultiscaleDiscriminatorOutput(*_part(output, number, count)) for number in range(count)]


def _part(values: Any, number: int, count: int) -> Any:
    """Return one of `count` parts of every tensor in nested lists: `(count * N, ...)` -> `(N, ...)`."""
    if isinstance(values, Tensor):
        return values.chunk(count)[number]
    return [_part(value, number, count) for value in values]
