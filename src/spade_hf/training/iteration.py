"""One iteration of the game: the generator's phase, the averages, the discriminator's phase."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelerate import Accelerator
from diffusers import ModelMixin
from torch import nn

from .ema import ModelEMA
from .loop import backward_and_step
from .steps import (
    Batch,
    LossWeights,
    StepOutput,
    choose_random_styles,
    discriminator_step,
    generate,
    generator_step,
)


@dataclass(frozen=True)
class TrainingIteration:
    """Call it with a batch: one step of both optimizers, unless the accelerator still accumulates gradients.

    Args:
        accelerator (`Accelerator`): What prepared the networks, optimizers and schedules.
        networks (`Mapping[str, nn.Module]`): Prepared `generator`, `discriminator` and perhaps `style_encoder`.
        live (`Mapping[str, ModelMixin]`): The same, unwrapped. The generator's phase sees the discriminator like this:
            frozen, it has no gradients that processes could exchange.
        averages (`Mapping[str, ModelEMA]`): By the names of their networks.
        optimizers, schedules (`tuple`): Prepared; the generator's (with the style encoder's), the discriminator's.
        perceptual_loss (`nn.Module`, *optional*): `(fake_images, real_images, mask, has_other_style) -> scalar`.
        weights (`LossWeights`): Of the generator's terms.
        random_style_probability (`float`, defaults to 0): See [`choose_random_styles`].
        max_grad_norm (`float`, *optional*): Largest norm of each side's gradients.
    """

    accelerator: Accelerator
    networks: Mapping[str, nn.Module]
    live: Mapping[str, ModelMixin]
    averages: Mapping[str, ModelEMA]
    optimizers: tuple
    schedules: tuple
    perceptual_loss: nn.Module | None
    weights: LossWeights
    random_style_probability: float = 0.0
    max_grad_norm: float | None = None

    def __call__(self, batch: Batch) -> tuple[StepOutput, StepOutput]:
        """What the generator's and the discriminator's phases computed."""
        if self.random_style_probability > 0:
            batch = batch | {"has_random_style": choose_random_styles(batch, self.random_style_probability)}
        fakes = functools.partial(
            generate,
            self.networks["generator"],
            batch,
            style_encoder=self.networks.get("style_encoder"),
            latent_dim=self.live["generator"].config.latent_dim,
        )
        discriminator = self.live["discriminator"]
        with self.accelerator.accumulate(*self.networks.values()):  # once: every call counts as a batch
            discriminator.requires_grad_(False)
            generator_output = generator_step(
                fakes, discriminator, batch, perceptual_loss=self.perceptual_loss, weights=self.weights
            )
            others = [network for name, network in self.live.items() if name != "discriminator"]
            self._step(0, generator_output, others)
            if self.accelerator.sync_gradients:
                for name, average in self.averages.items():
                    average.update(self.live[name])
            discriminator.requires_grad_(True)
            discriminator_output = discriminator_step(fakes, self.networks["discriminator"], batch)
            self._step(1, discriminator_output, [discriminator])
        return generator_output, discriminator_output

    def _step(self, side: int, output: StepOutput, networks: Sequence[nn.Module]) -> None:
        optimizer, schedule = self.optimizers[side], self.schedules[side]
        backward_and_step(
            self.accelerator, output.loss, optimizer, schedule, networks, max_grad_norm=self.max_grad_norm
        )
