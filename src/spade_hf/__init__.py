"""Semantic image synthesis with spatially-adaptive normalization (SPADE), in the manner of diffusers.

`import spade_hf` loads torch and diffusers, with which it registers the pipeline and the networks. A program that
needs nothing but label sets can set the environment variable `SPADE_HF_LAZY_IMPORT=1` before: then this waits until
one of the other names is used, and `DiffusionPipeline` knows the pipeline only from then on.
"""

import os as _os
from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .labels.label_set import LabelSet
from .version import __version__


BUNDLED_MODEL = str(_Path(__file__).parent / "bundled")

__all__ = ["BUNDLED_MODEL", "LabelSet", "__version__"]

if _TYPE_CHECKING or _os.environ.get("SPADE_HF_LAZY_IMPORT") != "1":
    from . import public as _public
    from .public import *  # noqa: F403

    __all__ += _public.__all__
else:

    def __getattr__(name: str) -> _Any:
        """Load everything at the first use of a name that is not here (PEP 562)."""
        if name.startswith("_"):  # what Python itself asks for, such as `__path__`
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_import_module(f"{__name__}.public"), name)
