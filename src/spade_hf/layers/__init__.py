from .mask_pyramid import MaskPyramid
from .normalization import SPADE, ModulationBackend, NormType
from .resnet import SPADEResnetBlock


__all__ = ["SPADE", "MaskPyramid", "ModulationBackend", "NormType", "SPADEResnetBlock"]
