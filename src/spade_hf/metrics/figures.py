"""Measurement of pictures against real pictures and masks, and the figures of an evaluation.

Legend: N pictures, L semantic channels, D feature dimensions, H W height and width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..labels.label_set import LabelSet
from .distribution import frechet_distance, kernel_distance
from .features import FeatureNetwork, feature_distance, feature_maps, pooled_features
from .pixels import laplacian_variance, light_agreement
from .segmentation import AnySegmenter, class_ious, confusion_matrix, pixel_accuracy
from .styles import channel_statistics, color_statistics, style_agreement


ROWS = ("features", "sharpness", "colors", "channels", "distances")  # of `Measurements`, with one row per picture


@dataclass(frozen=True)
class Measurements:
    """Measurements of N pictures: one row per picture, and counts of their pixels. All on the CPU.

    Args:
        features (`Tensor`): Pooled features, float64 `(N, D)`.
        sharpness (`Tensor`): Variance of the Laplacian, float64 `(N,)`.
        colors (`Tensor`): Mean and standard deviation of red, green and blue, float64 `(N, 6)`.
        channels (`Tensor`): Mean and standard deviation of every channel of the feature maps, float64 `(N, K)`.
        distances (`Tensor`): Feature distance to the reference picture, float64 `(N,)`.
        confusion (`Tensor`, *optional*): int64 `(L, L)`; `None` without a segmenter.
    """

    features: Tensor
    sharpness: Tensor
    colors: Tensor
    channels: Tensor
    distances: Tensor
    confusion: Tensor | None

    @classmethod
    def concatenate(cls, parts: Sequence["Measurements"]) -> "Measurements":
        """Concatenate the measurements of batches, in order."""
        rows = {name: torch.cat([getattr(part, name) for part in parts]) for name in ROWS}
        confusions = [part.confusion for part in parts if part.confusion is not None]
        return cls(**rows, confusion=torch.stack(confusions).sum(dim=0) if confusions else None)

    def take(self, indices: Sequence[int]) -> "Measurements":
        """Select the measurements of these pictures, without counts of pixels."""
        return Measurements(**{name: getattr(self, name)[list(indices)] for name in ROWS}, confusion=None)


@dataclass
class Figures:
    """The figures of one set of pictures.

    Args:
        values (`dict[str, float | None]`): Name -> figure; `None` where it can't be computed.
        reasons (`dict[str, str]`): Name -> why the figure is `None`.
        class_ious (`dict[str, float]`): Label -> intersection over union; empty without a segmenter.
    """

    values: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    class_ious: dict[str, float] = field(default_factory=dict)

    def put(self, name: str, value: float | None, reason: str) -> None:
        """Add a figure; the reason is kept if the value is `None`."""
        self.values[name] = value
        if value is None:
            self.reasons[name] = reason


class Judge:
    """Measurement of pictures, batch by batch; [`score`] turns measurements into figures.

    Args:
        network (`FeatureNetwork`): Frozen, see [`load_feature_network`].
        segmenter (`Segmenter` or `TransformersSegmenter`, *optional*): Predicts labels from pictures.
        label_set (`LabelSet`): The masks' labels.
    """

    def __init__(self, network: FeatureNetwork, segmenter: "AnySegmenter | None", label_set: LabelSet) -> None:
        self.network, self.segmenter, self.label_set = network, segmenter, label_set

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Compute the network's feature maps of uint8 pictures `(N, 3, H, W)`."""
        return feature_maps(self.network, pictures.float() / 127.5 - 1)

    @torch.no_grad()
    def measure(
        self, pictures: Tensor, maps: Sequence[Tensor], compared_maps: Sequence[Tensor], label_maps: Tensor
    ) -> Measurements:
        """Measure pictures, their distance to reference pictures, and how well their labels match the masks.

        Args:
            pictures (`Tensor`): uint8 `(N, 3, H, W)`, the precision of a PNG.
            maps (`Sequence[Tensor]`): Their [`features`].
            compared_maps (`Sequence[Tensor]`): [`features`] of the reference pictures, such as the real ones.
            label_maps (`Tensor`): The masks that the pictures were made from, int64 `(N, H, W)` of semantic channels.
        """
        confusion = None
        if self.segmenter is not None:
            predictions = self.segmenter.predict(pictures.float() / 127.5 - 1, maps)
            confusion = confusion_matrix(predictions, label_maps, self.label_set.num_channels)
        return Measurements(
            pooled_features(maps).cpu(),
            laplacian_variance(pictures).cpu(),
            color_statistics(pictures).cpu(),
            channel_statistics(maps).cpu(),
            feature_distance(maps, compared_maps).cpu(),
            confusion,
        )


def score(
    measured: Measurements,
    real: Measurements,
    label_set: LabelSet,
    *,
    groups: Sequence[object] | None = None,
    has_own_style: bool = True,
    count_unknown: bool = False,
) -> Figures:
    """Score a set of pictures against the real pictures of the same masks.

    Args:
        measured, real (`Measurements`): Of the scored and of the real pictures, in the same order.
        label_set (`LabelSet`): The masks' labels.
        groups (`Sequence`, *optional*): The scene of each picture, for `light`.
        has_own_style (`bool`, defaults to `True`): Whether each picture was made in the style of its real picture; if
            not, `light` and `feature_distance` are `None`.
        count_unknown (`bool`, defaults to `False`): See [`class_ious`].

    Returns:
        `Figures`: `fid`, `kid`, `miou`, `pixel_accuracy`, `sharpness`, `light` (the mean of `light_red`,
            `light_green` and `light_blue`) and `feature_distance`.
    """
    figures, count = Figures(), len(measured.features)
    put = figures.put
    num_features = measured.features.shape[1]
    fid = frechet_distance(measured.features, real.features) if count > num_features else None
    put("fid", fid, f"{count} pictures are not more than the {num_features} feature dimensions")
    put("kid", kernel_distance(measured.features, real.features) if count > 1 else None, "it needs two pictures")

    miou = accuracy = None
    if measured.confusion is not None:
        options = {"unknown": label_set.unknown_channel, "count_unknown": count_unknown}
        ious = class_ious(measured.confusion, **options)
        figures.class_ious = {label_set.names[channel]: iou for channel, iou in ious.items()}
        miou = sum(ious.values()) / len(ious) if ious else None
        accuracy = pixel_accuracy(measured.confusion, **options)
    reason = "no segmenter" if measured.confusion is None else "no pixel of the masks has a label"
    put("miou", miou, reason)
    put("pixel_accuracy", accuracy, reason)

    real_sharpness = real.sharpness.mean().item()
    sharpness = measured.sharpness.mean().item() / real_sharpness if real_sharpness > 0 else None
    put("sharpness", sharpness, "the real pictures have no detail")

    light, reason = None, "the pictures do not have the real ones' style: the model has no style encoder"
    if has_own_style:
        reason = "no scene has pictures in several styles; name the column of scenes by `group_column`"
        light = None if groups is None else light_agreement(measured.colors[:, :3], real.colors[:, :3], groups)
    for name, value in zip(("red", "green", "blue"), (None,) * 3 if light is None else light.tolist(), strict=True):
        put(f"light_{name}", value, reason)
    put("light", None if light is None else light.mean().item(), reason)
    distance = measured.distances.mean().item() if has_own_style else None
    put("feature_distance", distance, reason)
    return figures


def score_styles(
    figures: Figures,
    *,
    styled: Measurements | None,
    styles: Measurements | None,
    varied: Measurements | None,
    reasons: Mapping[str, str],
) -> None:
    """Add `style`, `style_features` and `diversity` to a set's figures.

    Args:
        figures (`Figures`): Of the model.
        styled (`Measurements`, *optional*): Of pictures, each in the style of another picture.
        styles (`Measurements`, *optional*): Of those style pictures, in the same order.
        varied (`Measurements`, *optional*): Of pictures in random styles, compared with other random styles of the
            same masks.
        reasons (`Mapping[str, str]`): Why measurements are missing, by `"style"` and `"diversity"`.
    """
    for name, statistics in (("style", "colors"), ("style_features", "channels")):
        value = None
        if styled is not None and styles is not None:
            value = style_agreement(getattr(styled, statistics), getattr(styles, statistics))
        figures.put(name, value, reasons.get("style", ""))
    distance = None if varied is None else varied.distances.mean().item()
    figures.put("diversity", distance, reasons.get("diversity", ""))
