"""One training iteration: the generator's phase, the averages, the discriminator's phase."""

from collections.abc import Mapping
from dataclasses import dataclass

from accelerate import Accelerator

from ..losses import Objective
from .augmentation import DiscriminatorAugmentation
from .ema import ModelEMA
from .side import Side
from .steps import StepOutput, discriminator_step, generator_step
from .synthesis import Batch, choose_random_styles


@dataclass(frozen=True)
class TrainingIteration:
    """Update of both sides on a batch, unless the accelerator is still accumulating gradients.

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
    """

    accelerator: Accelerator
    generator_side: Side
    discriminator_side: Side
    averages: Mapping[str, ModelEMA]
    objective: Objective
    random_style_probability: float = 0.0
    augmentation: DiscriminatorAugmentation | None = None
    reuse_fakes: bool = False

    def __call__(self, batch: Batch) -> tuple[StepOutput, StepOutput]:
        """Run the generator's and the discriminator's phase, and return their outputs."""
        if self.random_style_probability > 0:
            batch = {**batch, "has_random_style": choose_random_styles(batch, self.random_style_probability)}
        generator = self.generator_side.networks["generator"]
        style_encoder = self.generator_side.networks.get("style_encoder")
        discriminator = self.discriminator_side.networks["discriminator"]
        models = {**self.generator_side.models, **self.discriminator_side.models}
        options = {
            "objective": self.objective,
            "latent_dim": models["generator"].config.latent_dim,
            "augmentation": self.augmentation,
        }
        networks = [*self.generator_side.networks.values(), discriminator]
        with self.accelerator.accumulate(*networks):  # only once: each call counts as a batch
            # Generator and style encoder, against the frozen discriminator, which is not wrapped: it has no gradients
            # to synchronize.
            frozen = models["discriminator"].requires_grad_(False)
            generator_output = generator_step(generator, style_encoder, frozen, batch, **options)
            self.generator_side.update(generator_output.loss)

            # Averages of the generator's side.
            if self.accelerator.sync_gradients:
                for name, average in self.averages.items():
                    average.update(models[name])

            # Discriminator, on detached fakes: new ones, unless they are reused.
            frozen.requires_grad_(True)
            fake_images = generator_output.fake_images if self.reuse_fakes else None
            discriminator_output = discriminator_step(
                generator, style_encoder, discriminator, batch, fake_images=fake_images, **options
            )
            self.discriminator_side.update(discriminator_output.loss)
        return generator_output, discriminator_output
