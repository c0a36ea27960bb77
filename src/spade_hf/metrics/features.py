"""Feature networks for evaluation. Training uses none of them.

Legend: N images, C channels, I image channels, D feature dimensions, H W height and width.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from ..features.downloads import fetch
from ..features.efficientnet_lite import EfficientNetLite1Features, EfficientNetLite2Features, EfficientNetLiteFeatures
from ..features.inception import InceptionV3Features
from ..features.three_channels import as_three_channels
from ..project import install_command


if TYPE_CHECKING:
    from .transformers_networks import TransformersBackbone

# Frozen; takes `(N, 3, H, W)` in [-1, 1] and returns a list of maps, shallow to deep.
FeatureNetwork: TypeAlias = "EfficientNetLiteFeatures | InceptionV3Features | TransformersBackbone"

FEATURE_NETWORKS = {
    "efficientnet-lite1": EfficientNetLite1Features,
    "efficientnet-lite2": EfficientNetLite2Features,
}
INCEPTION, INCEPTION_REPO = "inception-v3", "timm/inception_v3.tv_in1k"


def load_feature_network(name: str) -> FeatureNetwork:
    """Load a pretrained feature network.

    Args:
        name (`str`): "efficientnet-lite1" or "efficientnet-lite2", each from the PyPI package of its name;
            "inception-v3", torchvision's from the Hub; or a folder or Hub id (`owner/name`) of an Inception-v3 in
            timm's form, of one in a file `*inception*.pth`, or of a vision backbone of transformers. Lite0 is not
            allowed: training uses it for the perceptual loss, so that its scores would be biased.

    Returns:
        `FeatureNetwork`

    Raises:
        ValueError: If the name is unknown, or the network can't be loaded.
        ImportError: If the network's package is not installed.
    """
    if name in FEATURE_NETWORKS:
        return FEATURE_NETWORKS[name].from_pretrained()
    if name != INCEPTION and "/" not in name and not Path(name).is_dir():
        reason = " Training uses that network, so it can't judge." if name == "efficientnet-lite0" else ""
        raise ValueError(
            f"`feature_network` is {name!r}; allowed are {', '.join((*FEATURE_NETWORKS, INCEPTION))}, and folders and "
            f"Hub ids (owner/name) of an Inception-v3 or of vision backbones.{reason}"
        )
    folder = fetch(INCEPTION_REPO if name == INCEPTION else name)
    weights = inception_weights(folder)
    if weights is not None:
        return InceptionV3Features.from_file(weights)
    return import_transformers_networks("feature_network").TransformersBackbone(name)


def inception_weights(folder: Path) -> Path | None:
    """Find the weights file of an Inception-v3, by its name or in timm's folder layout; `None` if there is none."""
    named = sorted(file for suffix in ("safetensors", "pth") for file in folder.glob(f"*inception*.{suffix}"))
    if named:
        return named[0]
    config = folder / "config.json"
    try:
        architecture = json.loads(config.read_text(encoding="utf-8")).get("architecture", "")
    except (OSError, ValueError, AttributeError):
        return None
    return folder / "model.safetensors" if str(architecture).startswith("inception_v3") else None


def import_transformers_networks(option: str) -> ModuleType:
    """Import `transformers_networks`, which needs the package transformers.

    Raises:
        ImportError: If the package is not installed; the message names the option.
    """
    try:
        from . import transformers_networks
    except ModuleNotFoundError as error:
        remedy = install_command("transformers")
        raise ImportError(
            f"This `{option}` needs the package {error.name}, which is not installed: {remedy}"
        ) from error
    return transformers_networks


@torch.no_grad()
def feature_maps(network: FeatureNetwork, images: Tensor) -> list[Tensor]:
    """Compute the network's feature maps of images `(N, I, H, W)` in [-1, 1]; see [`as_three_channels`].

    On a CPU, images are processed one by one: the activations of one image fit into memory that is reused, which takes
    a third less time at 256x256 (37 instead of 55 ms of CPU time per image with Lite2), and the result does not depend
    on the batch.
    """
    images = as_three_channels(images)
    if images.device.type != "cpu":
        return network(images)
    levels = zip(*(network(image[None]) for image in images), strict=True)  # per level, N maps (1, C, h, w)
    return [torch.cat(level) for level in levels]


def pooled_features(maps: Sequence[Tensor]) -> Tensor:
    """Average the deepest map over its positions: float64 `(N, D)`."""
    return maps[-1].mean(dim=(2, 3)).double()


def feature_distance(maps: Sequence[Tensor], real_maps: Sequence[Tensor]) -> Tensor:
    """Measure the distance of each image to its real image: 0 for equal features, about 2 per level if unrelated.

    It is the squared distance between the unit-length channel vectors at a position, averaged over positions and
    summed over levels. Source: LPIPS (Zhang et al. 2018, arXiv 1801.03924, equation 1), without its learned weights.

    Args:
        maps, real_maps (`Sequence[Tensor]`): Levels `(N, C, H, W)` of the same shapes.

    Returns:
        `Tensor`: float64 `(N,)`.
    """
    distances = []
    for level, real_level in zip(maps, real_maps, strict=True):  # (N, C, H, W), C and H of the level
        level, real_level = (nn.functional.normalize(one.double(), dim=1) for one in (level, real_level))
        distances.append((level - real_level).square().sum(dim=1).mean(dim=(1, 2)))  # (N,)
    return torch.stack(distances).sum(dim=0)
