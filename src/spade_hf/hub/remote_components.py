"""The parts of a `pipeline.py` that travels with a model: what runs the model where this library is not installed.

[`flatten`] makes that file of this module and of all that it imports; its last line calls `register_components`.
"""

import diffusers
from diffusers.pipelines import pipeline_loading_utils

from ..images.processor import SPADEImageProcessor
from ..pipelines.components import COMPONENTS


def register_components() -> None:
    """Add the components to diffusers, which takes components only from itself and a few libraries.

    They count as classes of diffusers from then on, also in the index of a pipeline that is saved.
    """
    loadable = {SPADEImageProcessor.__name__: ["save_pretrained", "from_pretrained"]}
    pipeline_loading_utils.LOADABLE_CLASSES["diffusers"].update(loadable)
    pipeline_loading_utils.ALL_IMPORTABLE_CLASSES.update(loadable)
    for component in COMPONENTS:
        component.__module__ = "diffusers"
        setattr(diffusers, component.__name__, component)
