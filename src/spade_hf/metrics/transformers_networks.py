"""Vision backbones of the package `transformers` as feature networks of an evaluation.

Legend: N images, C feature channels, I image channels, H W height and width.
"""

from torch import Tensor, nn
from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoConfig

from ..features.downloads import fetch
from ..models.transformers_segmenter import Normalization, load, loading


MAX_LEVELS = 4  # feature maps taken from a backbone


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


def spread(num_stages: int) -> list[int]:
    """Choose at most four stages, without the stem: evenly spaced, the last one included."""
    count = min(num_stages - 1, MAX_LEVELS)  # stage 0 is the stem
    return [(number + 1) * (num_stages - 1) // count for number in range(count)]
