from .mask import SemanticMask
from .resnet import SPADEResnetBlock
from .spade import SPADE, ModulationBackend, NormType


__all__ = ["SPADE", "ModulationBackend", "NormType", "SPADEResnetBlock", "SemanticMask"]
