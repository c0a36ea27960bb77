from .concatenation import ConcatenationGenerator
from .discriminator import MultiscaleDiscriminator, MultiscaleDiscriminatorOutput, NLayerDiscriminator
from .generator import SPADEGenerator, SPADEGeneratorOutput
from .pix2pixhd import Pix2PixHDGenerator
from .style_encoder import DiagonalGaussianDistribution, SPADEStyleEncoder, SPADEStyleEncoderOutput


__all__ = [
    "ConcatenationGenerator",
    "DiagonalGaussianDistribution",
    "MultiscaleDiscriminator",
    "MultiscaleDiscriminatorOutput",
    "NLayerDiscriminator",
    "Pix2PixHDGenerator",
    "SPADEGenerator",
    "SPADEGeneratorOutput",
    "SPADEStyleEncoder",
    "SPADEStyleEncoderOutput",
]
