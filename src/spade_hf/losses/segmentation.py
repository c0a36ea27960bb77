"""The losses of the segmentation discriminator (Sushko et al. 2021, arXiv 2012.04781, sections 3.1 and 3.2).

Legend: N batch, L labels without unknown, H W height and width. A class number is that of a label's logit, in
`0..L - 1`; see [`class_numbers`].
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..batch import Batch
from ..models import DiscriminatorOutput
from ..models.discriminators.segmentation import class_numbers
from ..seeding import Stream, generators
from .adversarial import AdversarialLoss


class SegmentationObjective(AdversarialLoss):
    """Cross-entropy per pixel, of the discriminator and the generator.

    The discriminator's target is the label for a real pixel, and fake for a fake pixel. The generator's target is the
    label.

    Args:
        num_labels (`int`): L.
        unknown_channel (`int` or `None`): The label map's value at pixels without class, which losses against labels
            skip: `label_set.unknown_channel`, `None` if every pixel has a class.
        max_class_weight (`float`, defaults to 20): Largest weight of a pixel of a rare label; see [`class_weights`].
        label_mix_weight (`float`, defaults to 5): Weight of the consistency loss on images that mix real and fake
            regions, chosen at random per label; 0 turns it off.
        boundary_relaxation (`int`, defaults to 0): In samples with a simplified mask, the generator can make any
            label that occurs within this many pixels, such as a ragged edge inside a round stroke (after Zhu et al.
            2019, arXiv 1812.01593).
    """

    def __init__(
        self,
        num_labels: int,
        unknown_channel: int | None,
        *,
        max_class_weight: float = 20.0,
        label_mix_weight: float = 5.0,
        boundary_relaxation: int = 0,
    ) -> None:
        self.num_labels, self.unknown_channel = num_labels, unknown_channel
        self.max_class_weight, self.label_mix_weight = max_class_weight, label_mix_weight
        self.boundary_relaxation = boundary_relaxation

    def for_generator(self, batch: Batch, fake: DiscriminatorOutput, real: DiscriminatorOutput) -> Tensor:
        """Compute a scalar that is low if fake pixels are classified as the mask's labels."""
        classes = self._classes(batch)  # (N, H, W)
        losses = self._label_losses(fake, classes)  # (N, H, W), low where a pixel passes for its label
        # A simplified mask is not exact at its borders: there, either side's label is right.
        agreement = batch.get("agreement")
        if self.boundary_relaxation > 0 and agreement is not None:
            is_simplified = ~agreement.flatten(1).all(dim=1)  # (N,)
            relaxed = relaxed_losses(fake.logits[0], classes, self.boundary_relaxation)  # (N, H, W)
            losses = torch.where(is_simplified[:, None, None], relaxed, losses)
        return self._balanced(losses, classes, self._counted(batch, classes))

    def for_discriminator(
        self,
        batch: Batch,
        fake: DiscriminatorOutput,
        real: DiscriminatorOutput,
        mixed: DiscriminatorOutput | None = None,
    ) -> dict[str, Tensor]:
        """Compute `discriminator_real` where image and label agree, `discriminator_fake`, and `label_mix`."""
        classes = self._classes(batch)  # (N, H, W)
        # Real pixels against their labels, where label and image agree.
        counted = self._counted(batch, classes)  # (N, H, W)
        is_real = counted if (agreement := batch.get("agreement")) is None else counted & agreement
        # Fake pixels against the class "fake", whatever their label.
        fake_class = torch.full_like(classes, self.num_labels)  # (N, H, W)
        fake_losses = F.cross_entropy(fake.logits[0], fake_class, reduction="none")  # (N, H, W)
        visible = batch.get("visible", torch.ones_like(counted))
        terms = {
            "discriminator_real": self._balanced(self._label_losses(real, classes), classes, is_real),
            "discriminator_fake": fake_losses[visible].mean(),
        }
        # A mixed image should be judged like its parts (LabelMix).
        where_real = self.mixture(batch)  # (N, H, W)
        if mixed is not None and where_real is not None:
            expected = torch.where(where_real[:, None], real.logits[0], fake.logits[0])  # (N, L + 1, H, W)
            terms["label_mix"] = self.label_mix_weight * F.mse_loss(mixed.logits[0], expected)
        return terms

    def mixture(self, batch: Batch) -> Tensor | None:
        """Choose real or fake for each label of each sample, from the sample's seed; bool `(N, H, W)`."""
        if self.label_mix_weight == 0:
            return None
        rngs = generators(batch["seed"], Stream.LABEL_MIX)
        coins = torch.stack([torch.rand(self.num_labels + 1, generator=rng) < 0.5 for rng in rngs])  # (N, L + 1)
        classes = self._classes(batch)  # unknown also has a coin, the last one
        return coins.to(classes.device).gather(1, classes.flatten(1)).view(classes.shape)

    def realness(self, output: DiscriminatorOutput) -> Tensor:
        """Return the mean log-odds of any label against fake."""
        logits = output.logits[0]  # (N, L + 1, H, W)
        return (logits[:, : self.num_labels].logsumexp(dim=1) - logits[:, self.num_labels]).mean()

    def _classes(self, batch: Batch) -> Tensor:
        """Return the class number of each pixel, int64 `(N, H, W)`; L for unknown."""
        label_map = batch.get("label_map")
        if label_map is None or label_map.is_floating_point():
            problem = "there are no masks" if label_map is None else "the masks are soft"
            raise ValueError(
                f"The discriminator classifies pixels by label, but {problem}. Train with `discriminator` 'patch' or "
                "'projected'."
            )
        return class_numbers(label_map, num_labels=self.num_labels, unknown_channel=self.unknown_channel)

    def _counted(self, batch: Batch, classes: Tensor) -> Tensor:
        """Return which pixels are visible and have a class, bool `(N, H, W)`."""
        known = classes < self.num_labels
        return known & batch["visible"] if "visible" in batch else known

    def _label_losses(self, output: DiscriminatorOutput, classes: Tensor) -> Tensor:
        """Compute the cross-entropy with the classes `(N, H, W)`; ignore its values at unknown pixels."""
        return F.cross_entropy(output.logits[0], classes, reduction="none")

    def _balanced(self, losses: Tensor, classes: Tensor, counted: Tensor) -> Tensor:
        """Compute the mean over the counted pixels, weighted by class; 0 if there are none."""
        weights = class_weights(classes[counted], self.num_labels, largest=self.max_class_weight)  # (L,)
        return (weights[classes[counted]] * losses[counted]).sum() / counted.sum().clamp(min=1)


def class_weights(classes: Tensor, num_labels: int, *, largest: float) -> Tensor:
    """Compute weights `(L,)` that give each label that occurs the same total weight, then clip them.

    If K labels occur, a label with n of the N pixels (of one process) has the weight `N / (K n)`; before clipping,
    the mean over the pixels is 1.

    Args:
        classes (`Tensor`): int `(pixels,)`, class numbers below L.
        num_labels (`int`): L.
        largest (`float`): Upper limit; without it, a few pixels of a rare label would weigh as much as the whole sky.
    """
    counts = torch.bincount(classes.flatten(), minlength=num_labels)  # (L,), n of each label
    weights = classes.numel() / (counts.count_nonzero() * counts).clamp(min=1)
    return weights.clamp(max=largest)


def relaxed_losses(logits: Tensor, classes: Tensor, radius: int) -> Tensor:
    """Compute `-log` of the probability that a pixel has any of the labels around it, `(N, H, W)`.

    Args:
        logits (`Tensor`): `(N, L + 1, H, W)`, the last channel for fake.
        classes (`Tensor`): Class numbers, int `(N, H, W)`; from L on unknown.
        radius (`int`): Radius of the square around a pixel.
    """
    num_labels = logits.shape[1] - 1
    # Which labels occur within the square, at every position.
    is_label = classes[:, None] == torch.arange(num_labels, device=classes.device).view(1, -1, 1, 1)  # (N, L, H, W)
    occurs = F.max_pool2d(is_label.to(logits.dtype), 2 * radius + 1, stride=1, padding=radius) > 0  # (N, L, H, W)
    # -log of the sum of their probabilities.
    allowed = logits[:, :num_labels].masked_fill(~occurs, torch.finfo(logits.dtype).min)
    return logits.logsumexp(dim=1) - allowed.logsumexp(dim=1)  # (N, H, W)
