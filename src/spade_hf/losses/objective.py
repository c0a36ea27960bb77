"""The two losses of training, each a sum of terms (Park et al. 2019, section 3)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..batch import Batch
from ..models import DiagonalGaussianDistribution, MultiscaleDiscriminatorOutput
from .adversarial import AdversarialObjective, HingeObjective
from .terms import TERMS, GeneratorOutputs


class Objective:
    """The weighted terms of both losses.

    Args:
        weights (`Mapping[str, float]`, *optional*): Weights of the generator's loss terms, by their names in `TERMS`;
            0 turns a term off. Terms that are not named keep their default weight.
        perceptual_loss (`nn.Module`, *optional*): `(fake_images, real_images, mask, has_other_style) -> scalar`.
        adversarial (`AdversarialObjective`, *optional*): The discriminator's losses. Default: [`HingeObjective`].

    Raises:
        ValueError: If a term is unknown, a weight is below 0, or all are 0.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        *,
        perceptual_loss: nn.Module | None = None,
        adversarial: AdversarialObjective | None = None,
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
        fake: MultiscaleDiscriminatorOutput,
        real: MultiscaleDiscriminatorOutput,
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
        fake: MultiscaleDiscriminatorOutput,
        real: MultiscaleDiscriminatorOutput,
        mixed: MultiscaleDiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """Compute scalars by name that sum to the discriminator's loss; see [`AdversarialObjective`]."""
        return self.adversarial.discriminator_terms(batch, fake, real, mixed)
