"""Networks that judge images; `base` has the contract."""

from .base import Discriminator, DiscriminatorOutput, MultiscaleDiscriminatorOutput
from .patch import MultiscaleDiscriminator, NLayerDiscriminator
from .projected import ProjectedDiscriminator
from .segmentation import SegmentationDiscriminator


__all__ = [
    "Discriminator",
    "DiscriminatorOutput",
    "MultiscaleDiscriminator",
    "MultiscaleDiscriminatorOutput",
    "NLayerDiscriminator",
    "ProjectedDiscriminator",
    "SegmentationDiscriminator",
]
