"""Standardized features of a frozen ImageNet network, for use inside a discriminator.

Legend: N images, C channels, I image channels, H W height and width, s stride of a map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .efficientnet_lite import EfficientNetLite0Features
from .three_channels import as_three_channels


BACKBONES = {"efficientnet-lite0": EfficientNetLite0Features}
STRIDES = (2, 4, 8, 16, 32)
EPS = 1e-5  # added to variances
BATCH_SIZE = 8  # images at once for the standardization: the maps of all would take gigabytes


class StandardizedFeatures(nn.Module):
    """The feature maps of a frozen network, standardized to mean 0 and variance 1 per channel over some images.

    Its weights are buffers, not parameters: optimizers and `requires_grad_` do not affect them, and they are saved
    with the enclosing module. Gradients flow through to the images. Constructed directly, the weights are random; see
    [`~StandardizedFeatures.prepare`]. Of images that are not RGB, the network sees [`as_three_channels`].

    Args:
        backbone (`str`): A key of `BACKBONES`.
        strides (`Sequence[int]`): Strides of the maps, out of 2, 4, 8, 16 and 32.

    Raises:
        ValueError: If the backbone is unknown.
    """

    def __init__(self, backbone: str, strides: Sequence[int] = STRIDES) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"`backbone` is {backbone!r}; allowed are {', '.join(BACKBONES)}.")
        self.kind, self.levels = BACKBONES[backbone], [STRIDES.index(stride) for stride in strides]
        self.network = as_buffers(self.kind())
        self.channels = [self.kind.feature_channels()[level] for level in self.levels]
        for number, channels in enumerate(self.channels):
            self.register_buffer(f"mean_{number}", torch.zeros(channels, 1, 1))
            self.register_buffer(f"deviation_{number}", torch.ones(channels, 1, 1))

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Load the ImageNet weights, and standardize the channels over images `(N, I, H, W)` in [-1, 1].

        Raises:
            ImportError: If the package with the weights is not installed.
        """
        self.network.load_state_dict(self.kind.from_pretrained().state_dict())
        sums = [torch.zeros(2, channels, dtype=torch.float64) for channels in self.channels]
        counts = [0] * len(sums)
        for batch in images.split(BATCH_SIZE):
            for number, features in enumerate(self._maps(batch)):
                features = features.movedim(1, 0).flatten(1).cpu().double()  # (C, N H W)
                sums[number] += torch.stack([features.sum(dim=1), features.square().sum(dim=1)])
                counts[number] += features.shape[1]
        for number, ((total, square), count) in enumerate(zip(sums, counts, strict=True)):
            variance = (square - total.square() / count) / max(1, count - 1)  # (C,)
            self.get_buffer(f"mean_{number}").copy_((total / count)[:, None, None])
            self.get_buffer(f"deviation_{number}").copy_((variance + EPS).sqrt()[:, None, None])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images `(N, I, H, W)` in [-1, 1] to features `(N, C, ceil(H / s), ceil(W / s))`, shallow to deep."""
        return [
            (features - self.get_buffer(f"mean_{number}")) / self.get_buffer(f"deviation_{number}")
            for number, features in enumerate(self._maps(images))
        ]

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps = self.network(as_three_channels(images))  # (N, C, ceil(H / s), ceil(W / s)) for every stride s
        return [maps[level] for level in self.levels]


def as_buffers(module: nn.Module) -> nn.Module:
    """Replace a module's parameters by buffers, in place, and return the module."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())
    return module
