from .mask import SemanticMask
from .mask_reading import read_mask
from .resnet import SPADEResnetBlock
from .spade import SPADE, ModulationBackend, NormType


__all__ = ["SPADE", "ModulationBackend", "NormType", "SPADEResnetBlock", "SemanticMask", "read_mask"]
