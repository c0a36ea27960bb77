"""What an exported graph computes: a network between inputs and outputs that need no code of this library.

Legend: N batch, L semantic channels, H W height and width, Z latent.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..labels.label_set import LabelSet


class ImagesOfLabelIds(nn.Module):
    """A generator that reads a data set's label ids.

    Args:
        generator (`nn.Module`): Of a pipeline, in evaluation mode.
        label_set (`LabelSet`): Its labels.
    """

    ids: Tensor

    def __init__(self, generator: Any, label_set: LabelSet) -> None:
        super().__init__()
        self.generator = generator
        self.has_edges = generator.config.use_instance_edges
        self.register_buffer("ids", torch.tensor(label_set.ids)[:, None, None], persistent=False)

    def forward(
        self, label_ids: Tensor, latents: Tensor | None = None, instance_edges: Tensor | None = None
    ) -> Tensor:
        """Paint masks.

        Args:
            label_ids (`Tensor`): int64 `(N, H, W)`. A pixel whose id is none of the label set's has no label.
            latents (`Tensor`, *optional*): `(N, Z)`, of a model with latents.
            instance_edges (`Tensor`, *optional*): bool `(N, H, W)`, of a model with edges.

        Returns:
            `Tensor`: `(N, 3, H, W)` in [-1, 1].
        """
        segmap = label_ids[:, None] == self.ids  # (N, L, H, W)
        if self.has_edges:
            assert instance_edges is not None
            segmap = torch.cat([segmap, instance_edges[:, None]], dim=1)
        return self.generator(segmap.float(), latents).images


class LatentsOfPictures(nn.Module):
    """A style encoder with plain outputs.

    Args:
        encoder (`nn.Module`): Of a pipeline, in evaluation mode.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures `(N, 3, H, W)` in [-1, 1] to the mean and the logarithm of the variance, each `(N, Z)`."""
        return self.encoder(pictures, return_dict=False)
