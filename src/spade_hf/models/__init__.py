from .concatenation import ConcatenationGenerator
from .discriminators import (
    DiscriminatorOutput,
    MultiscaleDiscriminator,
    MultiscaleDiscriminatorOutput,
    NLayerDiscriminator,
    ProjectedDiscriminator,
    SegmentationDiscriminator,
)
from .generator import SPADEGenerator, SPADEGeneratorOutput
from .outlines import SPADEOutlineModel, SPADEOutlineModelOutput
from .pix2pixhd import Pix2PixHDGenerator
from .segmenter import SPADESegmenter, SPADESegmenterOutput
from .style_encoder import DiagonalGaussianDistribution, SPADEStyleEncoder, SPADEStyleEncoderOutput


__all__ = [
    "ConcatenationGenerator",
    "DiagonalGaussianDistribution",
    "DiscriminatorOutput",
    "MultiscaleDiscriminator",
    "MultiscaleDiscriminatorOutput",
    "NLayerDiscriminator",
    "Pix2PixHDGenerator",
    "ProjectedDiscriminator",
    "SPADEGenerator",
    "SPADEGeneratorOutput",
    "SPADEOutlineModel",
    "SPADEOutlineModelOutput",
    "SPADESegmenter",
    "SPADESegmenterOutput",
    "SPADEStyleEncoder",
    "SPADEStyleEncoderOutput",
    "SegmentationDiscriminator",
]
