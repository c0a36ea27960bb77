from .mask import SemanticMask
from .mask_reading import read_mask
from .norms import MASK_NORMS, MaskNorm
from .parameter_free import NormType
from .resnet import SPADEResnetBlock
from .spade import SPADE
from .sparse.path import ModulationBackend


__all__ = [
    "MASK_NORMS",
    "SPADE",
    "MaskNorm",
    "ModulationBackend",
    "NormType",
    "SPADEResnetBlock",
    "SemanticMask",
    "read_mask",
]
