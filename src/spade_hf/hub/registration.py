"""Registration of this library's components with diffusers.

diffusers imports only libraries that it knows: without registration, a pipeline would load from a folder, but neither
from the Hub nor through `DiffusionPipeline.from_pretrained`. diffusers has no public hook for this; the registry below
has had this form since diffusers 0.17.
"""

import logging

import diffusers

from .. import models
from ..pipelines import SPADEPipeline


logger = logging.getLogger(__name__)
LIBRARY = __name__.split(".")[0]
SAVE_AND_LOAD = ["save_pretrained", "from_pretrained"]
# every network that `spade_hf.models` exports; the rest are outputs and parts of networks
NETWORKS = tuple(
    kind
    for kind in (getattr(models, name) for name in models.__all__)
    if isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin)
)


def register_with_diffusers() -> None:
    """Register the components, the pipeline class and the networks; safe to call twice."""
    try:
        from diffusers.pipelines import pipeline_loading_utils

        loadable = {"ModelMixin": SAVE_AND_LOAD, "SPADEImageProcessor": SAVE_AND_LOAD}
        pipeline_loading_utils.LOADABLE_CLASSES.setdefault(LIBRARY, loadable)
        pipeline_loading_utils.ALL_IMPORTABLE_CLASSES.update(loadable)
    except (ImportError, AttributeError) as error:
        logger.warning(
            "This version of diffusers has no known registry (%s): `SPADEPipeline.from_pretrained` loads pipelines "
            "from a folder, but not from the Hub, and `DiffusionPipeline` does not load them.",
            error,
        )
    for by_name in (SPADEPipeline, *NETWORKS):  # `DiffusionPipeline` and `AutoModel` look here
        setattr(diffusers, by_name.__name__, by_name)
