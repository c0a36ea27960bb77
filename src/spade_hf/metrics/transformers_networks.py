"""Evaluation networks of the package `transformers`: vision backbones and semantic segmentation models.

Their image processors are not used, because those need torchvision. Images keep their size and are normalized as
the model's preprocessor_config.json says.

Legend: N images, T the model's own classes, L semantic channels, C feature channels, I image channels, H W
height and width.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoConfig, AutoModelForSemanticSegmentation
from transformers.utils import logging

from ..features.three_channels import as_three_channels
from ..features.vgg import IMAGENET_MEAN, IMAGENET_STD
from ..labels.label_set import LabelSet
from .features import fetch
from .segmentation import NEVER


MAX_LEVELS = 4  # feature maps taken from a backbone


class Normalization(nn.Module):
    """Normalizes images in [-1, 1] for a model.

    Args:
        folder (`Path`): The model's folder. Without a preprocessor_config.json, ImageNet's statistics are used.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, folder: Path) -> None:
        super().__init__()
        file = folder / "preprocessor_config.json"
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        mean, std = config.get("image_mean", IMAGENET_MEAN), config.get("image_std", IMAGENET_STD)
        if not config.get("do_normalize", True):
            mean, std = (0.0,) * 3, (1.0,) * 3
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalize `(N, I, H, W)` in [-1, 1]; see [`as_three_channels`]."""
        return ((as_three_channels(images) + 1) / 2 - self.mean) / self.std  # the statistics are of [0, 1]


class TransformersBackbone(nn.Module):
    """A vision backbone as a feature network: at most four of its maps, spread over its depth.

    Args:
        name (`str`): Folder or Hub id of a model that has a backbone class in transformers, such as ConvNeXt, Swin or
            DINOv2.

    Raises:
        ValueError: If it can't be loaded, or has no backbone class.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        folder = fetch(name)
        with loading(name, "a vision backbone"):
            config = AutoConfig.from_pretrained(folder)
            model_class = MODEL_FOR_BACKBONE_MAPPING.get(type(config), None)
            if model_class is None:
                raise ValueError(f"transformers has no backbone class for the model type {config.model_type!r}")
            config = AutoConfig.from_pretrained(folder, out_indices=spread(len(config.stage_names)))
            self.model = load(model_class, folder, config=config)
            self.normalization = Normalization(folder)
        self.eval().requires_grad_(False)

    def feature_channels(self) -> tuple[int, ...]:
        """Return C of each map, shallow to deep."""
        return tuple(self.model.channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute feature maps `(N, C, h, w)` of images `(N, I, H, W)` in [-1, 1]."""
        return list(self.model(self.normalization(images)).feature_maps)


class TransformersSegmenter(nn.Module):
    """A semantic segmentation model with its classes mapped to a label set.

    A label's score is the highest score of its classes. Classes that match no label are never predicted.

    Args:
        name (`str`): Folder or Hub id.
        label_set (`LabelSet`): The masks' labels.
        label_names (`Mapping[str, str]`, *optional*): The model's class -> our label, where the names differ.

    Raises:
        ValueError: If it can't be loaded, or a label has no class.
    """

    def __init__(self, name: str, label_set: LabelSet, label_names: Mapping[str, str] | None = None) -> None:
        super().__init__()
        folder = fetch(name)
        with loading(name, "a semantic segmentation model"):
            self.model = load(AutoModelForSemanticSegmentation, folder)
            self.normalization = Normalization(folder)
        names = [self.model.config.id2label[number] for number in range(self.model.config.num_labels)]
        self.classes = match_labels(names, label_set, label_names or {}, model=name)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def predict(self, images: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Predict the label of each pixel of images `(N, I, H, W)` in [-1, 1]: int64 `(N, H, W)`."""
        scores = self.model(self.normalization(images)).logits  # (N, T, h, w)
        never = torch.full_like(scores[:, 0], NEVER)
        logits = [scores[:, classes].amax(dim=1) if classes else never for classes in self.classes]  # L of (N, h, w)
        return F.interpolate(torch.stack(logits, dim=1), images.shape[-2:], mode="bilinear").argmax(dim=1)


@contextlib.contextmanager
def loading(name: str, kind: str) -> Iterator[None]:
    """Turn any error from a broken or wrong folder into a ValueError."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # otherwise it reports the weights of unused heads
    try:
        yield
    except Exception as error:  # OSError, ValueError, SafetensorError, AttributeError, ...
        raise ValueError(f"{name!r} can't be loaded as {kind}: {str(error).strip()}") from error
    finally:
        logging.set_verbosity(verbosity)


def load(model_class: Any, folder: Path, **options: Any) -> Any:
    """Load a model, and check that no weight is missing.

    Norms can be missing: a backbone's maps have norms that its checkpoint lacks, and whose initial weights are kept.
    """
    model, info = model_class.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **options)
    state = model.state_dict()
    missing = [key for key in sorted(info["missing_keys"]) if state[key].min() != state[key].max()]
    if missing:
        raise ValueError(f"weights are missing, such as {missing[0]}")
    return model


def spread(num_stages: int) -> list[int]:
    """Choose at most four stages, without the stem: evenly spaced, the last one included."""
    count = min(num_stages - 1, MAX_LEVELS)  # stage 0 is the stem
    return [(number + 1) * (num_stages - 1) // count for number in range(count)]


def match_labels(
    names: Sequence[str], label_set: LabelSet, label_names: Mapping[str, str], *, model: str
) -> list[list[int]]:
    """Find the model's classes for each of our channels; the unknown channel gets none.

    Args:
        names (`Sequence[str]`): The model's classes.
        label_set (`LabelSet`): Ours.
        label_names (`Mapping[str, str]`): The model's class -> our label. Other classes are matched by name: case,
            hyphens, underscores, and synonyms after a comma are ignored.
        model (`str`): Name of the model in error messages.

    Raises:
        ValueError: If `label_names` has an unknown class or label, or a label has no class.
    """
    for kind, given, known in (("class", label_names, names), ("label", label_names.values(), label_set.names)):
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(f"`segmenter_labels` names the {kind} {unknown[0]!r}; allowed are {', '.join(known)}.")
    unknown = label_set.unknown_channel
    exact = {name: channel for channel, name in enumerate(label_set.names) if channel != unknown}
    alike = {plain(name): channel for name, channel in exact.items()}
    renamed = [label_names.get(name, name) for name in names]
    matched = [exact.get(name, alike.get(plain(name))) for name in renamed]
    classes = [
        [number for number, match in enumerate(matched) if match == channel]
        for channel in range(label_set.num_channels)
    ]
    missing = [name for name, channel in exact.items() if not classes[channel]]
    if missing:
        raise ValueError(
            f"The segmenter {model!r} has no class for {', '.join(missing)}. Its classes are {', '.join(names)}. Map "
            "some of them to these labels with `segmenter_labels`, or name another segmenter."
        )
    return classes


def plain(name: str) -> str:
    """Normalize a label's name for comparison."""
    return " ".join(name.partition(",")[0].replace("-", " ").replace("_", " ").lower().split())
