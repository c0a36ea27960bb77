"""The terms of the generator's loss. Each is named here and nowhere else.

Options (`--NAME_weight`), their defaults and checks, the numbers in logs and the model card follow from [`TERMS`].
Terms import what they compute with when they are called: `spade-hf train --help` reads this file without torch.

Legend: N batch, H W height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..models import DiagonalGaussianDistribution, MultiscaleDiscriminatorOutput
    from .adversarial import AdversarialObjective


@dataclass(frozen=True)
class GeneratorOutputs:
    """What the generator's phase computed: everything that a term may read.

    Args:
        batch (`dict[str, Tensor]`): `real_images` `(N, 3, H, W)` in [-1, 1], `label_map` int `(N, H, W)`; perhaps
            `agreement` bool `(N, H, W)`, outside of which a picture need not match the real one, and
            `has_random_style` bool `(N,)`, samples in another style than the real picture's.
        fake_images (`Tensor`): `(N, 3, H, W)` in [-1, 1], with gradients.
        posterior (`DiagonalGaussianDistribution`, *optional*): Of the style encoder.
        fake, real: The discriminator's outputs; those of real images without gradients.
        judged (`dict[str, Tensor]`): The batch as the discriminator was shown it: augmentation moves its maps.
        adversarial (`AdversarialObjective`): What the discriminator's logits mean.
        perceptual_loss (`nn.Module`, *optional*): `(fake_images, real_images, mask, has_other_style) -> scalar`.
    """

    batch: Mapping[str, Tensor]
    fake_images: Tensor
    posterior: DiagonalGaussianDistribution | None
    fake: MultiscaleDiscriminatorOutput
    real: MultiscaleDiscriminatorOutput
    judged: Mapping[str, Tensor]
    adversarial: AdversarialObjective
    perceptual_loss: nn.Module | None


@dataclass(frozen=True)
class Term:
    """A term of the generator's loss.

    Args:
        function (`Callable[[GeneratorOutputs], Tensor | None]`): To a scalar; `None` where a model has no such term.
        weight (`float`): By default; 0 turns the term off.
        help (`str`, *optional*): Of the option for its weight.
        is_sum (`bool`, defaults to `False`): A sum over the samples, not a mean: it must not shrink where gradients
            of several processes or batches are averaged.
    """

    function: Callable[[GeneratorOutputs], Any]
    weight: float
    help: str | None = None
    is_sum: bool = False


def adversarial(outputs: GeneratorOutputs) -> Tensor:
    """What the discriminator says."""
    return outputs.adversarial.generator_loss(outputs.judged, outputs.fake, outputs.real)


def feature_matching(outputs: GeneratorOutputs) -> Tensor | None:
    """Features of the discriminator; not of samples in another style than the real picture's."""
    import torch

    from .feature_matching import feature_matching_loss

    if not outputs.fake.features:
        return None
    mask, has_random_style = outputs.judged.get("agreement"), outputs.judged.get("has_random_style")
    if has_random_style is not None:
        everywhere = torch.ones_like(outputs.judged["label_map"], dtype=torch.bool)
        mask = ~has_random_style[:, None, None] & (everywhere if mask is None else mask)  # (N, H, W)
    return feature_matching_loss(outputs.fake.features, outputs.real.features, mask)


def perceptual(outputs: GeneratorOutputs) -> Tensor | None:
    """Features of a frozen network; of samples in another style, their content alone."""
    if outputs.perceptual_loss is None:
        return None
    batch = outputs.batch
    return outputs.perceptual_loss(
        outputs.fake_images, batch["real_images"], batch.get("agreement"), batch.get("has_random_style")
    )


def kl(outputs: GeneratorOutputs) -> Tensor | None:
    """Distance of the encoder's posterior from the prior."""
    from .kl import kl_loss

    return None if outputs.posterior is None else kl_loss(outputs.posterior)


# The weights are the paper's (Park et al. 2019, appendix A).
TERMS = {
    "adversarial": Term(adversarial, 1.0),
    "feature_matching": Term(feature_matching, 10.0),
    "perceptual": Term(perceptual, 10.0),
    "kl": Term(kl, 0.05, help="of the sum over all samples of an update", is_sum=True),
}
