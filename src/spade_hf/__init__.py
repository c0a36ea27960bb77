"""Semantic image synthesis with spatially-adaptive normalization (SPADE), in the manner of diffusers.

`ModelMixin` is part of this namespace because diffusers looks for it in the library that a component names.
"""

from pathlib import Path as _Path

from diffusers import ModelMixin

from .conversion.nvlabs import convert_nvlabs_checkpoint
from .hub.registration import register_with_diffusers as _register_with_diffusers
from .images.processor import SPADEImageProcessor
from .labels.label_set import LabelSet
from .layers import SPADE, SPADEResnetBlock
from .models import (
    ConcatenationGenerator,
    DiagonalGaussianDistribution,
    MultiscaleDiscriminator,
    Pix2PixHDGenerator,
    ProjectedDiscriminator,
    SegmentationDiscriminator,
    SPADEGenerator,
    SPADEStyleEncoder,
)
from .pipelines import SPADEPipeline, SPADEPipelineOutput
from .version import __version__


BUNDLED_MODEL = str(_Path(__file__).parent / "bundled")

_register_with_diffusers()

__all__ = [
    "BUNDLED_MODEL",
    "SPADE",
    "ConcatenationGenerator",
    "DiagonalGaussianDistribution",
    "LabelSet",
    "ModelMixin",
    "MultiscaleDiscriminator",
    "Pix2PixHDGenerator",
    "ProjectedDiscriminator",
    "SPADEGenerator",
    "SPADEImageProcessor",
    "SPADEPipeline",
    "SPADEPipelineOutput",
    "SPADEResnetBlock",
    "SPADEStyleEncoder",
    "SegmentationDiscriminator",
    "__version__",
    "convert_nvlabs_checkpoint",
]
