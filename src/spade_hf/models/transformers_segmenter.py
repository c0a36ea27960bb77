"""Semantic segmentation models of the package `transformers`, with their classes mapped to a label set.

Their image processors are not used, because those need torchvision. Images are normalized as the model's
preprocessor_config.json says. transformers is imported when a model is loaded.

Legend: N images, T the model's own classes, L semantic channels, I image channels, H W height and width.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..features.downloads import fetch
from ..features.three_channels import as_three_channels
from ..features.vgg import IMAGENET_MEAN, IMAGENET_STD
from ..labels.class_tables import TABLES, ClassTable
from ..labels.label_set import LabelSet
from ..project import install_command


NEVER = -1e4  # logit of a label that is never predicted; interpolation would turn -inf into NaN
IMAGE_SIZE = 512  # side of the square images of models that do not say theirs


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


class TransformersSegmenter(nn.Module):
    """A semantic segmentation model with its classes mapped to a label set.

    A label's score is the highest score of its classes. Classes that match no label are never predicted.

    Args:
        name (`str`): Folder or Hub id.
        label_set (`LabelSet`): The masks' labels.
        table (`ClassTable`, *optional*): The model's class -> our label, where the names differ.

    Raises:
        ValueError: If it can't be loaded, or a label has no class.
        ImportError: If transformers is not installed.
    """

    def __init__(self, name: str, label_set: LabelSet, table: ClassTable | None = None) -> None:
        super().__init__()
        try:
            from transformers import AutoModelForSemanticSegmentation
        except ModuleNotFoundError as error:
            raise ImportError(
                f"This `segmenter` needs the package {error.name}, which is not installed: "
                f"{install_command('transformers')}"
            ) from error
        folder = fetch(name)
        with loading(name, "a semantic segmentation model"):
            self.model = load(AutoModelForSemanticSegmentation, folder)
            self.normalization = Normalization(folder)
        names = [self.model.config.id2label[number] for number in range(self.model.config.num_labels)]
        self.classes = match_labels(names, label_set, table or ClassTable({}), model=name)
        self.image_size = read_image_size(folder)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def predict(self, images: Tensor, maps: Sequence[Tensor] = ()) -> Tensor:
        """Predict the label of each pixel of images `(N, I, H, W)` in [-1, 1]: int64 `(N, H, W)` of channels.

        `maps` are of a feature network, which [`Segmenter`] reads in the images' place.
        """
        scores = self.model(self.normalization(images)).logits  # (N, T, h, w)
        return F.interpolate(self._of_labels(scores), images.shape[-2:], mode="bilinear").argmax(dim=1)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Compute the probability of each label's likeliest class, `(N, L, H, W)`.

        The rest to 1 is that of other classes: where a photograph shows nothing that a label means, all are small.
        """
        scores = self.model(self.normalization(images)).logits  # (N, T, h, w)
        normalized = scores - scores.logsumexp(dim=1, keepdim=True)  # logarithms of probabilities
        return F.interpolate(self._of_labels(normalized), images.shape[-2:], mode="bilinear").exp()

    def _of_labels(self, scores: Tensor) -> Tensor:
        """Take the highest score of each label's classes: `(N, T, h, w)` to `(N, L, h, w)`."""
        never = torch.full_like(scores[:, 0], NEVER)
        return torch.stack([scores[:, classes].amax(dim=1) if classes else never for classes in self.classes], dim=1)


def read_image_size(folder: Path) -> int:
    """Return the side of the square images that a model reads best, or of its images' shorter side."""
    file = folder / "preprocessor_config.json"
    size: Any = json.loads(file.read_text(encoding="utf-8")).get("size") if file.is_file() else None
    if isinstance(size, dict):
        size = next((size[name] for name in ("height", "shortest_edge") if name in size), None)
    return size if isinstance(size, int) and size >= 32 else IMAGE_SIZE


@contextlib.contextmanager
def loading(name: str, kind: str) -> Iterator[None]:
    """Turn any error from a broken or wrong folder into a ValueError."""
    from transformers.utils import logging

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


def match_labels(names: Sequence[str], label_set: LabelSet, table: ClassTable, *, model: str) -> list[list[int]]:
    """Find the model's classes for each of our channels; the unknown channel gets none.

    Args:
        names (`Sequence[str]`): The model's classes.
        label_set (`LabelSet`): Ours.
        table (`ClassTable`): The model's class -> our label. Other classes are matched by name: case, hyphens,
            underscores, and synonyms after a comma are ignored.
        model (`str`): Name of the model in error messages.

    Raises:
        ValueError: If the table has an unknown class or label, or a label has no class.
    """
    label_names = dict(table.labels)
    if table.is_general:  # shortened names count, and what model or label set lacks is left out
        shortened = {plain(name): label for name, label in label_names.items() if label in label_set.names}
        label_names = {name: shortened[plain(name)] for name in names if plain(name) in shortened}
    given_labels = [*label_names.values(), *([] if table.is_general else table.never)]
    for kind, given, known in (("class", label_names, names), ("label", given_labels, label_set.names)):
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
    missing = [name for name, channel in exact.items() if not classes[channel] and name not in table.never]
    if missing:
        raise ValueError(
            f"The segmenter {model!r} has no class for {', '.join(missing)}. Its classes are {', '.join(names)}. Map "
            f"some of them to these labels with `segmenter_labels` (a JSON file, or {', '.join(TABLES)}), list labels "
            'that may have no class under "never" in that file, or name another segmenter.'
        )
    return classes


def plain(name: str) -> str:
    """Normalize a label's name for comparison."""
    return " ".join(name.partition(",")[0].replace("-", " ").replace("_", " ").lower().split())
