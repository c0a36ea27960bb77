"""The losses of the segmentation discriminator (Sushko et al. 2021, arXiv 2012.04781, sections 3.1 and 3.2).

Legend: N batch, L labels without unknown, H W height and width.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.seeding import derive_seed
from ..models import MultiscaleDiscriminatorOutput
from .adversarial import AdversarialObjective


LABEL_MIX = 5  # number of the random stream for `mixture`; training uses 1 to 4


class SegmentationObjective(AdversarialObjective):
    """Cross-entropy per pixel, of the discriminator and the generator.

    The discriminator's target is the label for a real pixel, and fake for a fake pixel. The generator's target is the
    label.

    Args:
        num_labels (`int`): L. Labels from L on mean unknown; losses against labels skip them.
        max_class_weight (`float`, defaults to 20): Largest weight of a pixel of a rare label; see [`class_weights`].
        label_mix_weight (`float`, defaults to 5): Weight of the consistency loss on images that mix real and fake
            regions, chosen at random per label; 0 turns it off.
        boundary_relaxation (`int`, defaults to 0): In samples with a simplified mask, the generator can paint any
            label that occurs within this many pixels, such as a ragged edge inside a round stroke (after Zhu et al.
            2019, arXiv 1812.01593).
    """

    def __init__(
        self,
        num_labels: int,
        *,
        max_class_weight: float = 20.0,
        label_mix_weight: float = 5.0,
        boundary_relaxation: int = 0,
    ) -> None:
        self.num_labels, self.max_class_weight = num_labels, max_class_weight
        self.label_mix_weight, self.boundary_relaxation = label_mix_weight, boundary_relaxation

    def generator_loss(
        self, batch: Mapping[str, Tensor], fake: MultiscaleDiscriminatorOutput, real: MultiscaleDiscriminatorOutput
    ) -> Tensor:
        """Compute a scalar that is low if fake pixels are classified as the mask's labels."""
        labels = batch["label_map"]
        losses = self._label_losses(fake, labels)
        agreement = batch.get("agreement")
        if self.boundary_relaxation > 0 and agreement is not None:
            is_simplified = ~agreement.flatten(1).all(dim=1)  # (N,)
            relaxed = relaxed_losses(fake.logits[0], labels, self.boundary_relaxation)
            losses = torch.where(is_simplified[:, None, None], relaxed, losses)
        return self._balanced(losses, labels, self._counted(batch))

    def discriminator_terms(
        self,
        batch: Mapping[str, Tensor],
        fake: MultiscaleDiscriminatorOutput,
        real: MultiscaleDiscriminatorOutput,
        mixed: MultiscaleDiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """Compute `discriminator_real` where image and label agree, `discriminator_fake`, and `label_mix`."""
        labels, counted = batch["label_map"], self._counted(batch)
        is_real = counted if (agreement := batch.get("agreement")) is None else counted & agreement
        fake_label = torch.full_like(labels, self.num_labels)
        fake_losses = F.cross_entropy(fake.logits[0], fake_label, reduction="none")  # (N, H, W)
        visible = batch.get("visible", torch.ones_like(counted))
        terms = {
            "discriminator_real": self._balanced(self._label_losses(real, labels), labels, is_real),
            "discriminator_fake": fake_losses[visible].mean(),
        }
        where_real = self.mixture(batch)
        if mixed is not None and where_real is not None:
            expected = torch.where(where_real[:, None], real.logits[0], fake.logits[0])
            terms["label_mix"] = self.label_mix_weight * F.mse_loss(mixed.logits[0], expected)
        return terms

    def mixture(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Choose real or fake for each label of each sample, from the sample's seed; bool `(N, H, W)`."""
        if self.label_mix_weight == 0:
            return None
        rngs = (torch.Generator().manual_seed(derive_seed(seed, LABEL_MIX)) for seed in batch["seed"].tolist())
        coins = torch.stack([torch.rand(self.num_labels + 1, generator=rng) < 0.5 for rng in rngs])  # (N, L + 1)
        labels = batch["label_map"].clamp(max=self.num_labels)  # unknown also has a coin
        return coins.to(labels.device).gather(1, labels.flatten(1).long()).view(labels.shape)

    def realness(self, output: MultiscaleDiscriminatorOutput) -> Tensor:
        """Return the mean log-odds of any label against fake."""
        logits = output.logits[0]
        return (logits[:, : self.num_labels].logsumexp(dim=1) - logits[:, self.num_labels]).mean()

    def _counted(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return which pixels are visible and have a known label, bool `(N, H, W)`."""
        known = batch["label_map"] < self.num_labels
        return known & batch["visible"] if "visible" in batch else known

    def _label_losses(self, output: MultiscaleDiscriminatorOutput, labels: Tensor) -> Tensor:
        """Compute the cross-entropy with the labels `(N, H, W)`; ignore its values at unknown labels."""
        return F.cross_entropy(output.logits[0], labels.clamp(max=self.num_labels).long(), reduction="none")

    def _balanced(self, losses: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """Compute the mean over the counted pixels, weighted by class; 0 if there are none."""
        weights = class_weights(labels[counted], self.num_labels, largest=self.max_class_weight)
        return (weights[labels[counted].long()] * losses[counted]).sum() / counted.sum().clamp(min=1)


def class_weights(labels: Tensor, num_labels: int, *, largest: float) -> Tensor:
    """Compute weights `(L,)` that give each label that occurs the same total weight, then clip them.

    If K labels occur, a label with n of the N pixels (of one process) has the weight `N / (K n)`; before clipping,
    the mean over the pixels is 1.

    Args:
        labels (`Tensor`): int `(pixels,)` below L.
        num_labels (`int`): L.
        largest (`float`): Upper limit; without it, a few pixels of a rare label would weigh as much as the whole sky.
    """
    counts = torch.bincount(labels.flatten(), minlength=num_labels)
    weights = labels.numel() / (counts.count_nonzero() * counts).clamp(min=1)
    return weights.clamp(max=largest)


def relaxed_losses(logits: Tensor, labels: Tensor, radius: int) -> Tensor:
    """Compute `-log` of the probability that a pixel has any of the labels around it, `(N, H, W)`.

    Args:
        logits (`Tensor`): `(N, L + 1, H, W)`, the last channel for fake.
        labels (`Tensor`): int `(N, H, W)`.
        radius (`int`): Radius of the square around a pixel.
    """
    num_labels = logits.shape[1] - 1
    is_label = labels[:, None] == torch.arange(num_labels, device=labels.device).view(1, -1, 1, 1)
    occurs = F.max_pool2d(is_label.to(logits.dtype), 2 * radius + 1, stride=1, padding=radius) > 0  # (N, L, H, W)
    allowed = logits[:, :num_labels].masked_fill(~occurs, torch.finfo(logits.dtype).min)
    return logits.logsumexp(dim=1) - allowed.logsumexp(dim=1)
