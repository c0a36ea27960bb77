from .concatenation import ConcatenationGenerator
from .discriminator import MultiscaleDiscriminator, MultiscaleDiscriminatorOutput, NLayerDiscriminator
from .generator import SPADEGenerator, SPADEGeneratorOutput
from .pix2pixhd import Pix2PixHDGenerator
from .projected_discriminator import ProjectedDiscriminator
from .segmentation_discriminator import SegmentationDiscriminator
from .style_encoder import DiagonalGaussianDistribution, SPADEStyleEncoder, SPADEStyleEncoderOutput


__all__ = [
    "ConcatenationGenerator",
    "DiagonalGaussianDistribution",
    "MultiscaleDiscriminator",
    "MultiscaleDiscriminatorOutput",
    "NLayerDiscriminator",
    "Pix2PixHDGenerator",
    "ProjectedDiscriminator",
    "SPADEGenerator",
    "SPADEGeneratorOutput",
    "SPADEStyleEncoder",
    "SPADEStyleEncoderOutput",
    "SegmentationDiscriminator",
]
