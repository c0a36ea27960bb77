from .mask_pyramid import MaskBand, MaskPyramid
from .normalization import SPADE, ModulationBackend, NormType
from .resnet import SPADEResnetBlock


__all__ = ["SPADE", "MaskBand", "MaskPyramid", "ModulationBackend", "NormType", "SPADEResnetBlock"]
