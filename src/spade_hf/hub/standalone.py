"""Code that travels with a saved model, which then runs in an environment that has diffusers, and not this library.

diffusers takes a pipeline's class from a file of the model, but a component's only from itself, or from a file in each
component's folder. The index of such a model therefore names `pipeline.py` for the pipeline and diffusers for the
components; `pipeline.py` adds them to diffusers before they are loaded. `SPADEPipeline` reads that index as its own.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from ..files import write_text
from ..models.locations import INDEX
from ..pipelines import SPADEPipeline
from ..pipelines.components import COMPONENTS, LIBRARIES
from .block import SPADEBlock
from .one_file import beside, flatten


PIPELINE, BLOCK = "pipeline", "block"  # the files' names, without `.py`
MODULAR_INDEX = "modular_model_index.json"
FILES = (f"{PIPELINE}.py", f"{BLOCK}.py", SPADEBlock.config_name, MODULAR_INDEX)


def is_standalone(folder: Path) -> bool:
    """Return whether a saved model has its code beside it, for the card that says so."""
    try:
        pipeline = json.loads((folder / INDEX).read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return pipeline == [PIPELINE, SPADEPipeline.__name__]


def check_class(name: str, library: str, class_name: str) -> None:
    """Raise a ValueError unless a component's code can travel with a model.

    Args:
        name (`str`): The component.
        library (`str`): The library of its class, or a module of it.
        class_name (`str`): The name of its class.
    """
    known = [component.__name__ for component in COMPONENTS]
    if library.partition(".")[0] not in LIBRARIES or class_name not in known:
        raise ValueError(
            f"`{name}` is a {class_name} of {library}, whose code cannot travel with a model; that of "
            f"{', '.join(known)} can. Leave the code out."
        )


def write_standalone(folder: Path, *, repo_id: str | None = None, revision: str | None = None) -> None:
    """Add the code that runs it to a saved model, for two roads to it:

    - `DiffusionPipeline.from_pretrained(name, trust_remote_code=True)`, a pipeline like this library's;
    - `ModularPipeline.from_pretrained(name, trust_remote_code=True)` of Modular Diffusers, then `load_components()`.

    Args:
        folder (`Path`): The model's folder.
        repo_id (`str`, *optional*): The repository that it will be pushed to. Modular Diffusers loads the components
            from there; without one, only from the folder.
        revision (`str`, *optional*): The revision that it will be pushed to, if not the main one.

    Raises:
        ValueError: If a component is of a class that is not this library's.
    """
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    parts = {name: value for name, value in index.items() if isinstance(value, list) and name != "_class_name"}
    parts = {name: value for name, value in parts.items() if value != [None, None]}
    for name, (library, class_name) in parts.items():
        check_class(name, library, class_name)
    version = {"_diffusers_version": index["_diffusers_version"]}
    pairs = {name: ["diffusers", class_name] for name, (_, class_name) in parts.items()}
    modular: dict[str, Any] = {"_class_name": "ModularPipeline", "_blocks_class_name": SPADEBlock.__name__, **version}
    for name, pair in pairs.items():
        # the fields of diffusers' `ComponentSpec`
        where = {"pretrained_model_name_or_path": repo_id, "subfolder": name, "variant": None, "revision": revision}
        modular[name] = [*pair, {"type_hint": pair, **where}]
    block = {
        "_class_name": SPADEBlock.__name__,
        **version,
        "auto_map": {"ModularPipelineBlocks": f"{BLOCK}.{SPADEBlock.__name__}"},
    }
    index |= {"_class_name": [PIPELINE, SPADEPipeline.__name__], **pairs}
    for name, code in _code().items():
        write_text(folder / name, code)
    # the index last: until then, the model loads as before
    for name, values in ((SPADEBlock.config_name, block), (MODULAR_INDEX, modular), (INDEX, index)):
        write_text(folder / name, json.dumps(values, indent=2, sort_keys=True) + "\n")


@cache
def _code() -> dict[str, str]:
    """Return the code files by name, the same for every model."""
    pipeline = flatten("pipelines.pipeline_spade", "hub.remote_components") + "\n\nregister_components()\n"
    return {f"{PIPELINE}.py": pipeline, f"{BLOCK}.py": beside("hub.block", file=PIPELINE)}
