"""The terms of the generator's loss. Only this file names them.

Options (`--NAME_weight`), their defaults and checks, the numbers in logs and the model card derive from [`TERMS`].
Terms import their dependencies when called, so that `spade-hf train --help` reads this file without torch.

Legend: N batch, H W height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..batch import Batch
    from ..models import DiagonalGaussianDistribution, MultiscaleDiscriminatorOutput
    from .adversarial import AdversarialObjective


@dataclass(frozen=True)
class GeneratorOutputs:
    """The results of the generator's phase: everything that a term can read.

    Args:
        batch (`Batch`): The batch, with the real images.
        fake_images (`Tensor`): `(N, 3, H, W)` in [-1, 1], with gradients.
        posterior (`DiagonalGaussianDistribution`, *optional*): Output of the style encoder.
        fake, real: The discriminator's outputs; `real` is without gradients.
        judged (`Batch`): The batch as the discriminator saw it, its maps moved by augmentation.
        adversarial (`AdversarialObjective`): The discriminator's losses.
        perceptual_loss (`nn.Module`, *optional*): `(fake_images, real_images, mask, has_other_style) -> scalar`.
    """

    batch: Batch
    fake_images: Tensor
    posterior: DiagonalGaussianDistribution | None
    fake: MultiscaleDiscriminatorOutput
    real: MultiscaleDiscriminatorOutput
    judged: Batch
    adversarial: AdversarialObjective
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

    function: Callable[[GeneratorOutputs], Any]
    weight: float
    help: str | None = None
    is_sum: bool = False


def adversarial(outputs: GeneratorOutputs) -> Tensor:
    """Compute the generator's adversarial loss."""
    return outputs.adversarial.generator_loss(outputs.judged, outputs.fake, outputs.real)


def feature_matching(outputs: GeneratorOutputs) -> Tensor | None:
    """Compare discriminator features, but not of samples in another style than the real image's."""
    from .feature_matching import feature_matching_loss

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
    """Compare the light and colours of the images, but not of samples in another style than the real image's."""
    from .color import color_loss

    return color_loss(outputs.fake_images, outputs.batch["real_images"], _comparable(outputs.batch))


def kl(outputs: GeneratorOutputs) -> Tensor | None:
    """Compute the divergence of the encoder's posterior from the prior."""
    from .kl import kl_loss

    return None if outputs.posterior is None else kl_loss(outputs.posterior)


def _comparable(batch: Batch) -> Tensor | None:
    """Return where the images should match in content and style: bool `(N, H, W)`, or `None` if everywhere."""
    import torch

    mask, has_random_style = batch.get("agreement"), batch.get("has_random_style")
    if has_random_style is None:
        return mask
    everywhere = torch.ones_like(batch["label_map"], dtype=torch.bool)
    return ~has_random_style[:, None, None] & (everywhere if mask is None else mask)


# The weights are the paper's (Park et al. 2019, appendix A), which has no colour loss.
TERMS = {
    "adversarial": Term(adversarial, 1.0),
    "feature_matching": Term(feature_matching, 10.0),
    "perceptual": Term(perceptual, 10.0),
    "color": Term(color, 0.0, help="weight of the difference in light and colours, over cells of 16x16 pixels"),
    "kl": Term(kl, 0.05, help="weight of the KL term, a sum over all samples of an update", is_sum=True),
}
