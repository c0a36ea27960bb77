"""A segmenter that predicts labels from an image, and measures of their agreement with the mask.

Legend: N images, L semantic channels, C feature channels, I image channels, H W height and width.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from ..batch import Batch, labels_of
from ..data import PairedImageDataset, build_loader
from ..data.photometric import in_random_light
from ..labels.label_set import LabelSet
from ..layers.feature_pyramid import FeaturePyramid
from ..losses.labels import label_loss
from ..models.transformers_segmenter import NEVER
from .features import FeatureNetwork, feature_maps


if TYPE_CHECKING:
    from ..models.transformers_segmenter import TransformersSegmenter

WIDTH = 32  # channels of the decoder at every resolution
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 8, 3e-3, 1e-4
BRIGHTNESS, TINT = 0.2, 0.1  # standard deviations of the random log gains by which training scales images


class Segmenter(FeaturePyramid):
    """A small decoder on the maps of a frozen feature network.

    The feature network is not part of this module, so that one of its forward passes serves all figures.

    Args:
        feature_channels (`Sequence[int]`): C of each map, shallow to deep; each has half the size of the previous one.
        label_set (`LabelSet`): The labels. Unknown is never predicted.
    """

    def __init__(self, feature_channels: Sequence[int], label_set: LabelSet) -> None:
        super().__init__(feature_channels, WIDTH, label_set.num_channels)
        self.unknown_channel = label_set.unknown_channel

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Compute logits `(N, L, H, W)` at the size of the shallowest map."""
        logits = super().forward(maps)
        if self.unknown_channel is not None:
            logits[:, self.unknown_channel] = NEVER
        return logits

    @torch.no_grad()
    def predict(self, images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Predict the label of each pixel of images `(N, 3, H, W)` from their feature maps: int64 `(N, H, W)`."""
        # logits are interpolated, and then the largest is taken: borders are smooth, not stairs
        return F.interpolate(self(maps), images.shape[-2:], mode="bilinear").argmax(dim=1)


AnySegmenter: TypeAlias = "Segmenter | TransformersSegmenter"


def train_segmenter(
    network: FeatureNetwork,
    dataset: PairedImageDataset,
    *,
    num_steps: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> Segmenter:
    """Train a segmenter on real images with random brightness and tint.

    Args:
        network (`FeatureNetwork`): Frozen.
        dataset (`PairedImageDataset`): Real images and their masks.
        num_steps (`int`): Number of updates; the batch size is 8, or the number of rows if that is smaller.
        seed (`int`): Determines the initial weights, the order of the rows and the random light.
        device (defaults to "cpu"): Where the network is.
    """
    label_set = dataset.processor.label_set
    with torch.random.fork_rng(devices=[]):  # layers are initialized from the global random state
        torch.manual_seed(seed)
        segmenter = Segmenter(network.feature_channels(), label_set).to(device).train()
    optimizer = torch.optim.AdamW(segmenter.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    unknown = label_set.unknown_channel
    ignored = -100 if unknown is None else unknown  # -100 occurs in no mask
    rng = torch.Generator().manual_seed(seed)
    progress = tqdm(itertools.islice(_batches(dataset, rng), num_steps), total=num_steps, desc="Training a segmenter")
    for batch in progress:
        images = in_random_light(batch["real_images"], rng, brightness=BRIGHTNESS, tint=TINT).to(device)
        loss = label_loss(segmenter(feature_maps(network, images)), labels_of(batch).to(device), ignored=ignored)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return segmenter.eval().requires_grad_(False)


def _batches(dataset: PairedImageDataset, rng: torch.Generator) -> Iterator[Batch]:
    loader = build_loader(dataset, min(BATCH_SIZE, len(dataset)), generator=rng)
    for epoch in itertools.count():
        dataset.set_epoch(epoch)
        yield from loader


def confusion_matrix(predictions: Tensor, label_maps: Tensor, num_channels: int) -> Tensor:
    """Count pixels by label: int64 `(L, L)`, rows for the mask's labels, columns for the predicted ones.

    Args:
        predictions, label_maps (`Tensor`): int64 in `0..num_channels - 1`, of the same shape.
        num_channels (`int`): L.
    """
    pairs = label_maps.flatten() * num_channels + predictions.flatten()  # numbers 0..L * L - 1 of (label, prediction)
    return torch.bincount(pairs, minlength=num_channels**2).view(num_channels, num_channels).cpu()


def class_ious(confusion: Tensor, *, unknown: int | None = None, count_unknown: bool = False) -> dict[int, float]:
    """Compute the intersection over union of each class that occurs in the masks, by channel.

    Args:
        confusion (`Tensor`): int64 `(L, L)`, see [`confusion_matrix`].
        unknown (`int`, *optional*): The channel of pixels without class. It is not scored as a class.
        count_unknown (`bool`, defaults to `False`): Count every label predicted at such a pixel as wrong; by default
            these pixels are left out.
    """
    scored = _scored(confusion, unknown, count_unknown)
    hits, truths, guesses = scored.diagonal(), scored.sum(dim=1), scored.sum(dim=0)  # pixels, (L,) each
    ious = hits / (truths + guesses - hits).clamp(min=1)  # intersection / union; of absent classes 0, not NaN
    return {channel: ious[channel].item() for channel in truths.nonzero().flatten().tolist() if channel != unknown}


def pixel_accuracy(confusion: Tensor, *, unknown: int | None = None, count_unknown: bool = False) -> float | None:
    """Compute the share of correctly labeled pixels, `None` if no pixel is scored; arguments as in [`class_ious`]."""
    scored = _scored(confusion, unknown, count_unknown)
    return (scored.trace() / scored.sum()).item() if scored.any() else None


def _scored(confusion: Tensor, unknown: int | None, count_unknown: bool) -> Tensor:
    """Convert to float64, and set the row of unknown pixels to 0 unless they count."""
    scored = confusion.double()
    if unknown is not None and not count_unknown:
        scored[unknown] = 0
    return scored
