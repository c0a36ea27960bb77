"""Measurements of images, and the figures that an evaluation computes from them.

[`Judge`] measures images, batch by batch; a figure compares the measurements of two sets. `FIGURES` is the table of
all figures: the report, the JSON file, the model card and training's log derive from it.

Legend: N images, L semantic channels, D feature dimensions, K statistics, H W height and width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from ..labels.label_set import LabelSet
from ..models import SPADESegmenter
from ..pipelines.agreement import measure_agreement
from .distribution import frechet_distance, kernel_distance
from .features import FeatureNetwork, feature_distance, feature_maps, pooled_features
from .pixels import laplacian_variance, light_agreement
from .segmentation import AnySegmenter, class_ious, confusion_matrix, pixel_accuracy
from .styles import channel_statistics, color_statistics, style_agreement


NO_SEGMENTER = "no segmenter"


@dataclass(frozen=True)
class Measurements:
    """Measurements of N images: one row per image, and counts of their pixels. All on the CPU.

    Args:
        features (`Tensor`): Pooled features, float64 `(N, D)`.
        sharpness (`Tensor`): Variance of the Laplacian, float64 `(N,)`.
        colors (`Tensor`): Mean and standard deviation of each of I image channels, float64 `(N, 2 * I)`.
        channels (`Tensor`): Mean and standard deviation of every channel of the feature maps, float64 `(N, K)`.
        distances (`Tensor`): Feature distance to the reference image, float64 `(N,)`.
        agreement (`Tensor`): See [`measure_agreement`], the mean of each image, float64 `(N,)`; NaN if the model has
            no segmenter.
        confusion (`Tensor`, *optional*): int64 `(L, L)`; `None` without a segmenter.
        exact_confusion (`Tensor`, *optional*): The same with the exact masks, where those of the images were made from
            them.
    """

    features: Tensor
    sharpness: Tensor
    colors: Tensor
    channels: Tensor
    distances: Tensor
    agreement: Tensor
    confusion: Tensor | None
    exact_confusion: Tensor | None = None

    @property
    def num_image_channels(self) -> int:
        """I: 3 of RGB."""
        return self.colors.shape[1] // 2

    @classmethod
    def concatenate(cls, parts: Sequence["Measurements"]) -> "Measurements":
        """Concatenate the measurements of batches, in order."""
        rows = {name: torch.cat([getattr(part, name) for part in parts]) for name in cls.names_of_rows()}
        counts: dict[str, Any] = {}  # tensors or `None`
        for name in ("confusion", "exact_confusion"):
            of_parts = [one for part in parts if (one := getattr(part, name)) is not None]
            counts[name] = torch.stack(of_parts).sum(dim=0) if of_parts else None
        return cls(**rows, **counts)

    def take(self, indices: Sequence[int]) -> "Measurements":
        """Select the measurements of these images, without counts of pixels."""
        rows = {name: getattr(self, name)[list(indices)] for name in self.names_of_rows()}
        return Measurements(**rows, confusion=None)

    @classmethod
    def names_of_rows(cls) -> list[str]:
        """List the fields with one row per image."""
        return [one.name for one in fields(cls) if "confusion" not in one.name]


class Judge:
    """Measures images, batch by batch; [`score`] turns measurements into figures.

    Args:
        network (`FeatureNetwork`): Frozen, see [`load_feature_network`].
        segmenter (`Segmenter` or `TransformersSegmenter`, *optional*): Predicts labels from images.
        label_set (`LabelSet` or `None`): The masks' labels; without any, there is no segmenter.
        own_segmenter (`SPADESegmenter`, *optional*): The model's, for the agreement of images with their masks.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        segmenter: "AnySegmenter | None",
        label_set: LabelSet | None,
        own_segmenter: SPADESegmenter | None = None,
    ) -> None:
        self.network, self.segmenter, self.label_set = network, segmenter, label_set
        self.own_segmenter = own_segmenter

    def features(self, images: Tensor) -> list[Tensor]:
        """Compute the network's feature maps of uint8 images `(N, I, H, W)`."""
        return feature_maps(self.network, images.float() / 127.5 - 1)  # from 0..255 to [-1, 1]

    @torch.no_grad()
    def measure(
        self,
        images: Tensor,
        maps: Sequence[Tensor],
        compared_maps: Sequence[Tensor],
        label_maps: Tensor | None,
        exact_maps: Tensor | None = None,
    ) -> Measurements:
        """Measure images, their distance to reference images, and how well their labels match the masks.

        Args:
            images (`Tensor`): uint8 `(N, I, H, W)`, the precision of a PNG.
            maps (`Sequence[Tensor]`): Their [`features`].
            compared_maps (`Sequence[Tensor]`): [`features`] of the reference images, such as the real ones.
            label_maps (`Tensor` or `None`): The masks that the images were made from, int64 `(N, H, W)` of semantic
                channels, which a segmenter is compared with.
            exact_maps (`Tensor`, *optional*): The masks that those were made from, if they are others.
        """
        confusion = exact_confusion = None
        if self.segmenter is not None and label_maps is not None and self.label_set is not None:
            predictions = self.segmenter.predict(images.float() / 127.5 - 1, maps)  # (N, H, W)
            confusion = confusion_matrix(predictions, label_maps, self.label_set.num_channels)  # (L, L)
            if exact_maps is not None:
                exact_confusion = confusion_matrix(predictions, exact_maps, self.label_set.num_channels)
        return Measurements(
            features=pooled_features(maps).cpu(),  # (N, D)
            sharpness=laplacian_variance(images).cpu(),  # (N,)
            colors=color_statistics(images).cpu(),  # (N, 2 * I)
            channels=channel_statistics(maps).cpu(),  # (N, K)
            distances=feature_distance(maps, compared_maps).cpu(),  # (N,)
            agreement=self._agreement(images, label_maps).cpu(),  # (N,)
            confusion=confusion,
            exact_confusion=exact_confusion,
        )

    def _agreement(self, images: Tensor, label_maps: Tensor | None) -> Tensor:
        if self.own_segmenter is None or label_maps is None or self.label_set is None:
            return torch.full((len(images),), torch.nan, dtype=torch.float64)
        _, means = measure_agreement(self.own_segmenter, images.float() / 127.5 - 1, label_maps, self.label_set)
        return means.double()


@dataclass(frozen=True)
class Comparison:
    """Two sets of images, which a figure compares, and how.

    Args:
        measured (`Measurements`): The scored images.
        reference (`Measurements`): The images that they are compared with, in the same order: the real ones, or the
            images whose style they were given.
        groups (`Sequence`, *optional*): The scene of each image.
        has_own_style (`bool`, defaults to `True`): Whether each image was made in the style of its real image.
        unknown (`int`, *optional*): The channel of pixels without class.
        count_unknown (`bool`, defaults to `False`): See [`class_ious`].
    """

    measured: Measurements
    reference: Measurements
    groups: Sequence[object] | None = None
    has_own_style: bool = True
    unknown: int | None = None
    count_unknown: bool = False

    def class_ious(self, *, exact: bool = False) -> dict[int, float]:
        """Compute [`class_ious`] by channel, with the exact masks if wanted; empty without a segmenter."""
        confusion = self.measured.exact_confusion if exact else self.measured.confusion
        if confusion is None:
            return {}
        return class_ious(confusion, unknown=self.unknown, count_unknown=self.count_unknown)


class Missing(Exception):
    """Raised by a figure that can't be computed; the message is the reason, which the report gives."""


def fid(sets: Comparison) -> float:
    """See [`frechet_distance`]; 0 for equal distributions, no upper limit."""
    count, num_features = sets.measured.features.shape
    if count <= num_features:
        raise Missing(f"{count} pictures are not more than the {num_features} feature dimensions")
    return frechet_distance(sets.measured.features, sets.reference.features)


def kid(sets: Comparison) -> float:
    """See [`kernel_distance`]; about 0 for equal distributions, no upper limit."""
    if len(sets.measured.features) < 2:
        raise Missing("it needs two pictures")
    return kernel_distance(sets.measured.features, sets.reference.features)


def mean_iou(sets: Comparison, *, exact: bool = False) -> float:
    """Average the intersection over union of the classes that occur in the masks: 0..1.

    Args:
        sets (`Comparison`): Has the measured images.
        exact (`bool`, defaults to `False`): Whether to compare with the exact masks that those were made from.
    """
    if sets.measured.confusion is None:
        raise Missing(NO_SEGMENTER)
    if not (ious := sets.class_ious(exact=exact)):
        raise Missing("no pixel of the masks has a label")
    return sum(ious.values()) / len(ious)


def labeled_pixels(sets: Comparison) -> float:
    """See [`pixel_accuracy`]: 0..1."""
    if sets.measured.confusion is None:
        raise Missing(NO_SEGMENTER)
    accuracy = pixel_accuracy(sets.measured.confusion, unknown=sets.unknown, count_unknown=sets.count_unknown)
    if accuracy is None:
        raise Missing("no pixel of the masks has a label")
    return accuracy


def mean_agreement(sets: Comparison) -> float:
    """Average the agreement of images with their masks, according to the model's own segmenter: 0..1.

    It is not a measure of quality: training has seen the features that the segmenter starts from.
    """
    if sets.measured.agreement.isnan().any():
        raise Missing("the model has no segmenter of its own")
    return sets.measured.agreement.mean().item()


def sharpness(sets: Comparison) -> float:
    """Divide the mean variance of the Laplacian by that of the real images: 1 for equal detail, less if blurred."""
    real = sets.reference.sharpness.mean().item()
    if real == 0:
        raise Missing("the real pictures have no detail")
    return sets.measured.sharpness.mean().item() / real


def light(sets: Comparison) -> Tensor:
    """See [`light_agreement`]: float64 `(I,)`, of each image channel, in -1..1."""
    _check_own_style(sets)
    agreement = None
    if sets.groups is not None:
        means, real_means = (one.colors[:, : one.num_image_channels] for one in (sets.measured, sets.reference))
        agreement = light_agreement(means, real_means, sets.groups)
    if agreement is None:
        raise Missing("no scene has pictures in several styles; name the column of scenes by `group_column`")
    return agreement


def light_of_color(sets: Comparison, color: int) -> float:
    """Return [`light`] of red (0), green (1) or blue (2)."""
    agreement = light(sets)
    if len(agreement) != 3:
        raise Missing(f"the pictures have {len(agreement)} channels, which are not red, green and blue")
    return agreement[color].item()


def distance_to_real(sets: Comparison) -> float:
    """Average [`feature_distance`] to the own real image; 0 if equal."""
    _check_own_style(sets)
    return sets.measured.distances.mean().item()


def _check_own_style(sets: Comparison) -> None:
    if not sets.has_own_style:
        raise Missing("the pictures do not have the real ones' style: the model has no style encoder")


@dataclass(frozen=True)
class Figure:
    """A line of the report.

    Args:
        compute (`Callable`): Returns the figure of a [`Comparison`], or raises [`Missing`] with the reason.
        card_name (`str`, *optional*): Name on the model card. Default: the key, with spaces.
        needs (`str`, defaults to `""`): Images that are made for such figures only: `"redrawn"`, of masks that were
            made from the exact ones; `"style"`, in another image's style and compared with that image; or
            `"diversity"`, in two random styles that are compared with each other. By default the figure compares the
            images of a mask with the real ones. See `scoring.KINDS`.
        is_logged (`bool`, defaults to `False`): Whether training logs it, where it can be computed: a run does not
            know scenes, and a segmenter only if it is given one.
        in_card (`bool`, defaults to `True`): Whether model cards give it.
    """

    compute: Callable[[Comparison], float]
    card_name: str | None = None
    needs: str = ""
    is_logged: bool = False
    in_card: bool = True


# In the report's order
FIGURES: dict[str, Figure] = {
    "fid": Figure(fid, "FID"),
    "kid": Figure(kid, "KID", is_logged=True),
    "miou": Figure(mean_iou, "mIoU", is_logged=True),
    "miou_exact": Figure(lambda sets: mean_iou(sets, exact=True), needs="redrawn"),
    "pixel_accuracy": Figure(labeled_pixels),
    "agreement": Figure(mean_agreement, in_card=False),
    "sharpness": Figure(sharpness, is_logged=True),
    "light_red": Figure(lambda sets: light_of_color(sets, 0)),
    "light_green": Figure(lambda sets: light_of_color(sets, 1)),
    "light_blue": Figure(lambda sets: light_of_color(sets, 2)),
    "light": Figure(lambda sets: light(sets).mean().item()),
    "feature_distance": Figure(distance_to_real, is_logged=True),
    "style": Figure(lambda sets: style_agreement(sets.measured.colors, sets.reference.colors), needs="style"),
    "style_features": Figure(
        lambda sets: style_agreement(sets.measured.channels, sets.reference.channels), needs="style"
    ),
    "diversity": Figure(lambda sets: sets.measured.distances.mean().item(), needs="diversity"),
}


@dataclass
class Figures:
    """The figures of one set of images.

    Args:
        values (`dict[str, float | None]`): Name -> figure; `None` where it can't be computed.
        reasons (`dict[str, str]`): Name -> why the figure is `None`.
        class_ious (`dict[str, float]`): Label -> intersection over union; empty without a segmenter.
        outlines (`dict`): Of the masks' outlines; empty if they were not scored. See [`score_outlines`].
    """

    values: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    class_ious: dict[str, float] = field(default_factory=dict)
    outlines: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, value: float | None, reason: str) -> None:
        """Add a figure; the reason is kept if the value is `None`."""
        self.values[name] = value
        if value is None:
            self.reasons[name] = reason

    def compute(self, name: str, figure: Figure, sets: Comparison) -> None:
        """Add a figure of these sets, or the reason why there is none."""
        try:
            self.put(name, figure.compute(sets), "")
        except Missing as reason:
            self.put(name, None, str(reason))


def score(
    measured: Measurements,
    real: Measurements,
    label_set: LabelSet | None,
    *,
    groups: Sequence[object] | None = None,
    has_own_style: bool = True,
    count_unknown: bool = False,
    is_redrawn: bool = False,
) -> Figures:
    """Score a set of images against the real images of the same masks.

    Args:
        measured, real (`Measurements`): The scored and the real images, in the same order.
        label_set (`LabelSet` or `None`): The masks' labels, if there are any.
        groups (`Sequence`, *optional*): The scene of each image, for `light`.
        has_own_style (`bool`, defaults to `True`): Whether each image was made in the style of its real image; if not,
            `light` and `feature_distance` are `None`.
        count_unknown (`bool`, defaults to `False`): See [`class_ious`].
        is_redrawn (`bool`, defaults to `False`): Whether the images' masks were made from the exact ones; if so,
            `miou_exact` compares with those.

    Returns:
        `Figures`: Those of `FIGURES` that need no other images: `fid`, `kid`, `miou`, `pixel_accuracy`, `agreement`,
            `sharpness`, `light` (the mean of `light_red`, `light_green` and `light_blue`) and `feature_distance`.
    """
    unknown = None if label_set is None else label_set.unknown_channel
    sets = Comparison(measured, real, groups, has_own_style, unknown, count_unknown)
    figures = Figures()
    if label_set is not None:
        figures.class_ious = {label_set.names[channel]: iou for channel, iou in sets.class_ious().items()}
    for name, figure in FIGURES.items():
        if not figure.needs or (figure.needs == "redrawn" and is_redrawn):
            figures.compute(name, figure, sets)
    return figures


def score_styles(
    figures: Figures,
    *,
    styled: Measurements | None,
    styles: Measurements | None,
    varied: Measurements | None,
    reasons: Mapping[str, str],
) -> None:
    """Add the figures that need images in other styles: `style`, `style_features` and `diversity`.

    Args:
        figures (`Figures`): The model's figures so far.
        styled (`Measurements`, *optional*): Images, each in the style of another image.
        styles (`Measurements`, *optional*): Those style images, in the same order.
        varied (`Measurements`, *optional*): Images in random styles, compared with other random styles of the same
            masks.
        reasons (`Mapping[str, str]`): Why measurements are missing, by `"style"` and `"diversity"`.
    """
    needed = {"style": (styled, styles), "diversity": (varied, varied)}
    for name, figure in FIGURES.items():
        if figure.needs in needed:
            measured, reference = needed[figure.needs]
            if measured is None or reference is None:
                figures.put(name, None, reasons.get(figure.needs, ""))
            else:
                figures.compute(name, figure, Comparison(measured, reference))
