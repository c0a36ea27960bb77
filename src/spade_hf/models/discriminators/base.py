"""The contract of all discriminators: masks and images in, logits and features out.

Legend: N batch, I image channels, L semantic channels, P condition channels, H W height and width.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from diffusers.utils import BaseOutput
from torch import Tensor

from ..semantics import SemanticModelMixin


@dataclass
class DiscriminatorOutput(BaseOutput):
    """Output of a discriminator.

    Args:
        logits (`list[Tensor]`): One `(N, 1, H', W')` per scale, finest first, high means real; of a segmentation
            discriminator, one `(N, L + 1, H, W)` for L classes and "fake".
        features (`list[list[Tensor]]`): Per scale, the outputs to compare in feature matching; none of a segmentation
            discriminator.
    """

    logits: list[Tensor]
    features: list[list[Tensor]]


MultiscaleDiscriminatorOutput = DiscriminatorOutput  # its name when there was one discriminator


class Discriminator(SemanticModelMixin, ABC):
    """A network that judges images. A subclass defines [`~Discriminator.score`].

    Attributes:
        image_channels (`int`, defaults to 3): I, channels of the images.
    """

    image_channels: int = 3
    _no_split_modules = []

    def forward(
        self,
        segmap: Tensor | None,
        images: Tensor,
        *,
        instance_edges: Tensor | None = None,
        condition: Tensor | None = None,
        return_dict: bool = True,
    ) -> DiscriminatorOutput | tuple[list[Tensor], list[list[Tensor]]]:
        """Judge images.

        Args:
            segmap (`Tensor` or `None`): int `(N, H, W)` of label channels, or float `(N, L - P, H, W)`; `None` for a
                model without labels. Of a [`SegmentationDiscriminator`], only their number and size count.
            images (`Tensor`): `(N, I, H, W)` in [-1, 1]. In training, pass fake and real images as one batch, or keep
                the singular vectors fixed in the second call, so that the same weights judge both.
            instance_edges (`Tensor`, *optional*): 0/1 `(N, H, W)`, required with label ids by a model with edges, and
                ignored by a [`SegmentationDiscriminator`].
            condition (`Tensor`, *optional*): float `(N, P, H, W)` in [-1, 1], required by a model with condition
                channels, and ignored by a [`SegmentationDiscriminator`].
            return_dict (`bool`, defaults to `True`): Whether to return a [`DiscriminatorOutput`] or a tuple.

        Raises:
            ValueError: If mask and images do not fit each other or the model.
        """
        check_images(condition if segmap is None else segmap, images, self.image_channels)
        more = {} if condition is None else {"condition": condition}  # networks from outside may know labels only
        labels = self.read_labels(segmap, instance_edges, dtype=images.dtype, **more)  # (N, L, H, W)
        logits, features = self.score(labels, images)
        return DiscriminatorOutput(logits, features) if return_dict else (logits, features)

    @abstractmethod
    def score(self, segmap: Tensor, images: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Compute the logits and features of a [`DiscriminatorOutput`].

        Args:
            segmap (`Tensor`): `(N, L, H, W)`, the result of `read_labels`.
            images (`Tensor`): `(N, I, H, W)` in [-1, 1].
        """

    def read_labels(
        self,
        segmap: Tensor | None,
        instance_edges: Tensor | None,
        *,
        dtype: torch.dtype,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Check the masks and return them as `(N, L, H, W)`: labels, one-hot or soft, edges, condition."""
        given = () if condition is None else (condition,)  # a subclass from before conditions does not know them
        mask = self.read_mask(segmap, instance_edges, *given, dtype=dtype)
        return mask.segmap_at(mask.size)


def check_images(segmap: Tensor | None, images: Tensor, image_channels: int) -> None:
    """Raise a ValueError unless images `(N, I, H, W)` have the number and the size of the masks, if there are any."""
    if segmap is None:  # a missing condition is another error
        return
    expected = (len(segmap), image_channels, *segmap.shape[-2:])
    if images.shape != expected:
        raise ValueError(
            f"`images` has shape {tuple(images.shape)}; with a mask of shape {tuple(segmap.shape)} it must be "
            f"{expected}."
        )
