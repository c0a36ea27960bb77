"""The names of `spade_hf` that need torch and diffusers, with which importing this module registers them.

`ModelMixin` is one of them because diffusers looks for it in the library that a component names.
"""

from diffusers import ModelMixin

from . import models as _models
from .conversion.nvlabs import convert_nvlabs_checkpoint
from .hub.registration import register_with_diffusers as _register_with_diffusers
from .images.processor import SPADEImageProcessor
from .layers import SPADE, SPADEResnetBlock
from .models import *  # noqa: F403
from .pipelines import SPADEPipeline, SPADEPipelineOutput


_register_with_diffusers()

__all__ = [
    "SPADE",
    "ModelMixin",
    "SPADEImageProcessor",
    "SPADEPipeline",
    "SPADEPipelineOutput",
    "SPADEResnetBlock",
    "convert_nvlabs_checkpoint",
]
__all__ += _models.__all__  # networks and their outputs: exported once, in `models/__init__.py`
