"""The generator's loss on one page: the formulas of its terms, their table, and the weighted sum (Park et al. 2019).

Only [`TERMS`] names the terms; checks of weights, the numbers in logs and the model card derive from it.

Legend: N batch, C channels, I image channels, S scales, Z latent, H W height and width of the images, h w of
features.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch
from ..models import DiagonalGaussianDistribution, DiscriminatorOutput
from .adversarial import AdversarialLoss, HingeObjective


CELL = 16  # pixels, the side of the cells whose means the color loss compares


def masked_l1_loss(fake: Tensor, real: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the mean absolute difference; features outside the mask count as equal.

    Args:
        fake, real (`Tensor`): `(N, C, h, w)`.
        mask (`Tensor`, *optional*): bool `(N, H, W)`, True where features are compared. A feature's weight is the
            share of its pixels that are True.
    """
    if mask is None:
        return F.l1_loss(fake, real)
    share = F.interpolate(mask[:, None].to(fake.dtype), fake.shape[-2:], mode="area")  # (N, 1, h, w)
    return (share * (fake - real).abs()).mean()  # over all features: outside the mask they add zeros


def color_loss(fake_images: Tensor, real_images: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the mean absolute difference of the images' means over cells of 16x16 pixels; a scalar.

    Blurred images differ only in light and colors (Ignatov et al. 2017, arXiv 1704.02470).

    Args:
        fake_images, real_images (`Tensor`): `(N, I, H, W)` in [-1, 1].
        mask (`Tensor`, *optional*): bool `(N, H, W)`, True where the images should match.
    """
    # (N, I, H / CELL, W / CELL); a cell that is cut off by the border is averaged over the pixels it has
    fake, real = (F.avg_pool2d(images, CELL, ceil_mode=True) for images in (fake_images, real_images))
    return masked_l1_loss(fake, real, mask)


def feature_matching_loss(
    fake_features: Sequence[Sequence[Tensor]],
    real_features: Sequence[Sequence[Tensor]],
    mask: Tensor | None = None,
) -> Tensor:
    """Compute each layer's mean absolute difference, summed over layers and averaged over scales; a scalar.

    Source: pix2pixHD (Wang et al. 2018), equation 4.

    Args:
        fake_features (`Sequence[Sequence[Tensor]]`): For each of S scales, the layers' outputs `(N, C, H, W)`.
        real_features (`Sequence[Sequence[Tensor]]`): The same for the real images; no gradient flows into them.
        mask (`Tensor`, *optional*): bool `(N, H, W)`, True where the images should match.
    """
    total = torch.zeros((), device=fake_features[0][0].device)
    # every layer of every scale counts the same, whatever its number of features
    for fake_layers, real_layers in zip(fake_features, real_features, strict=True):
        for fake, real in zip(fake_layers, real_layers, strict=True):
            total = total + masked_l1_loss(fake, real.detach(), mask)
    return total / len(fake_features)


def kl_loss(posterior: DiagonalGaussianDistribution) -> Tensor:
    """Compute the KL divergence from the standard normal, **summed** over batch and dimensions as in the paper.

    Source: Kingma and Welling 2014; Park et al. 2019, appendix A.

    Args:
        posterior (`DiagonalGaussianDistribution`): mean and logvar `(N, Z)`.
    """
    return posterior.kl().sum()  # (N,) in nats -> ()


@dataclass(frozen=True)
class GeneratorOutputs:
    """The results of the generator's phase: everything that a term can read.

    Args:
        batch (`Batch`): The batch, with the real images.
        fake_images (`Tensor`): `(N, I, H, W)` in [-1, 1], with gradients.
        posterior (`DiagonalGaussianDistribution`, *optional*): Output of the style encoder.
        fake, real: The discriminator's outputs; `real` is without gradients.
        judged (`Batch`): The batch as the discriminator saw it, its maps moved by augmentation.
        adversarial (`AdversarialLoss`): The discriminator's losses.
        perceptual_loss (`nn.Module`, *optional*): `(fake_images, real_images, mask, has_other_style) -> scalar`.
    """

    batch: Batch
    fake_images: Tensor
    posterior: DiagonalGaussianDistribution | None
    fake: DiscriminatorOutput
    real: DiscriminatorOutput
    judged: Batch
    adversarial: AdversarialLoss
    perceptual_loss: nn.Module | None


@dataclass(frozen=True)
class Term:
    """A term of the generator's loss.

    Args:
        function (`Callable[[GeneratorOutputs], Tensor | None]`): Computes a scalar, or `None` if it does not apply.
        weight (`float`): Default weight; 0 turns the term off.
        help (`str`, *optional*): Help text of the option for the weight.
        is_sum (`bool`, defaults to `False`): Whether the term is a sum over the samples, not a mean. A sum must not
            shrink when gradients of several processes or batches are averaged.
    """

    function: Callable[[GeneratorOutputs], Tensor | None]
    weight: float
    help: str | None = None
    is_sum: bool = False


def adversarial(outputs: GeneratorOutputs) -> Tensor:
    """Compute the generator's adversarial loss."""
    return outputs.adversarial.for_generator(outputs.judged, outputs.fake, outputs.real)


def feature_matching(outputs: GeneratorOutputs) -> Tensor | None:
    """Compare discriminator features, but not of samples in another style than the real image's."""
    if not outputs.fake.features:
        return None
    return feature_matching_loss(outputs.fake.features, outputs.real.features, _comparable(outputs.judged))


def perceptual(outputs: GeneratorOutputs) -> Tensor | None:
    """Compare features of a frozen network; samples in another style by content only."""
    if outputs.perceptual_loss is None:
        return None
    batch = outputs.batch
    return outputs.perceptual_loss(
        outputs.fake_images, batch["real_images"], batch.get("agreement"), batch.get("has_random_style")
    )


def color(outputs: GeneratorOutputs) -> Tensor:
    """Compare the light and colors of the images, but not of samples in another style than the real image's."""
    return color_loss(outputs.fake_images, outputs.batch["real_images"], _comparable(outputs.batch))


def kl(outputs: GeneratorOutputs) -> Tensor | None:
    """Compute the divergence of the encoder's posterior from the prior."""
    return None if outputs.posterior is None else kl_loss(outputs.posterior)


def _comparable(batch: Batch) -> Tensor | None:
    """Return where the images should match in content and style: bool `(N, H, W)`, or `None` if everywhere."""
    mask, has_random_style = batch.get("agreement"), batch.get("has_random_style")
    if has_random_style is None:
        return mask
    everywhere = torch.ones_like(batch["real_images"][:, 0], dtype=torch.bool)  # (N, H, W)
    return ~has_random_style[:, None, None] & (everywhere if mask is None else mask)


# The weights are the paper's (Park et al. 2019, appendix A), which has no color loss.
TERMS = {
    "adversarial": Term(adversarial, 1.0),
    "feature_matching": Term(feature_matching, 10.0),
    "perceptual": Term(perceptual, 10.0),
    "color": Term(color, 0.0, help="weight of the difference in light and colors, over cells of 16x16 pixels"),
    "kl": Term(kl, 0.05, help="weight of the KL term, a sum over all samples of an update", is_sum=True),
}


class Objective:
    """The weighted terms of both losses.

    Args:
        weights (`Mapping[str, float]`, *optional*): Weights of the generator's loss terms, by their names in `TERMS`;
            0 turns a term off. Terms that are not named keep their default weight.
        perceptual_loss (`nn.Module`, *optional*): `(fake_images, real_images, mask, has_other_style) -> scalar`.
        adversarial (`AdversarialLoss`, *optional*): The discriminator's losses. Default: [`HingeObjective`].

    Raises:
        ValueError: If a term is unknown, a weight is below 0, or all are 0.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        *,
        perceptual_loss: nn.Module | None = None,
        adversarial: AdversarialLoss | None = None,
    ) -> None:
        for name, weight in (weights or {}).items():
            if name not in TERMS:
                raise ValueError(f"`weights` has the unknown term {name!r}; allowed are {', '.join(TERMS)}.")
            if weight < 0:
                raise ValueError(f"`weights` has {name!r}: {weight}; a weight must be 0 (off) or more.")
        self.weights = {name: term.weight for name, term in TERMS.items()} | dict(weights or {})
        if not any(self.weights.values()):
            raise ValueError(f"`weights` are all 0: {', '.join(self.weights)}. Give one a weight above 0.")
        self.perceptual_loss = perceptual_loss
        self.adversarial = HingeObjective() if adversarial is None else adversarial

    def generator_terms(
        self,
        batch: Batch,
        fake_images: Tensor,
        posterior: DiagonalGaussianDistribution | None,
        fake: DiscriminatorOutput,
        real: DiscriminatorOutput,
        *,
        judged: Batch | None = None,
    ) -> dict[str, Tensor]:
        """Compute the terms that are on, as unweighted scalars by name; see [`GeneratorOutputs`] for the arguments.

        `judged` defaults to `batch`.

        Raises:
            ValueError: If none that is on applies to these networks.
        """
        outputs = GeneratorOutputs(
            batch,
            fake_images,
            posterior,
            fake,
            real,
            judged=batch if judged is None else judged,
            adversarial=self.adversarial,
            perceptual_loss=self.perceptual_loss,
        )
        terms = {name: TERMS[name].function(outputs) for name, weight in self.weights.items() if weight > 0}
        applicable = {name: value for name, value in terms.items() if value is not None}
        if not applicable:
            raise ValueError(
                f"`weights` turn on {', '.join(terms)}, which these networks do not have. Turn on another term, such "
                "as adversarial."
            )
        return applicable

    def generator_loss(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Compute the weighted sum of the terms; a scalar."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def discriminator_terms(
        self,
        batch: Batch,
        fake: DiscriminatorOutput,
        real: DiscriminatorOutput,
        mixed: DiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """Compute scalars by name that sum to the discriminator's loss; see [`AdversarialLoss`]."""
        return self.adversarial.for_discriminator(batch, fake, real, mixed)
