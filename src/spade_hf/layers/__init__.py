from .mask import MaskBand, MaskPyramid
from .resnet import SPADEResnetBlock
from .spade import SPADE, ModulationBackend, NormType


__all__ = ["SPADE", "MaskBand", "MaskPyramid", "ModulationBackend", "NormType", "SPADEResnetBlock"]
