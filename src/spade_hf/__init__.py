"""Semantic image synthesis with spatially-adaptive normalization (SPADE), in the manner of diffusers.

`ModelMixin` is part of this namespace because diffusers looks for it in the library that a component names.
"""

from pathlib import Path as _Path

from diffusers import ModelMixin

from . import models as _models
from .conversion.nvlabs import convert_nvlabs_checkpoint
from .hub.registration import register_with_diffusers as _register_with_diffusers
from .images.processor import SPADEImageProcessor
from .labels.label_set import LabelSet
from .layers import SPADE, SPADEResnetBlock
from .models import *  # noqa: F403
from .pipelines import SPADEPipeline, SPADEPipelineOutput
from .version import __version__


BUNDLED_MODEL = str(_Path(__file__).parent / "bundled")

_register_with_diffusers()

__all__ = [
    "BUNDLED_MODEL",
    "SPADE",
    "LabelSet",
    "ModelMixin",
    "SPADEImageProcessor",
    "SPADEPipeline",
    "SPADEPipelineOutput",
    "SPADEResnetBlock",
    "__version__",
    "convert_nvlabs_checkpoint",
]
__all__ += _models.__all__  # networks and their outputs: exported once, in `models/__init__.py`
