"""Checks of a pipeline's parts: whether they fit each other, and the index that names them."""

from collections.abc import Iterable
from typing import Any

from ..images.processor import SPADEImageProcessor
from ..models import (
    ConcatenationGenerator,
    Pix2PixHDGenerator,
    SPADEGenerator,
    SPADEOutlineModel,
    SPADESegmenter,
    SPADEStyleEncoder,
)
from .refinement import check_outline_labels
from .segmentation import check_segmenter


# Every class that can be a component, and the libraries that an index can name for them.
COMPONENTS = (
    SPADEGenerator,
    ConcatenationGenerator,
    Pix2PixHDGenerator,
    SPADEStyleEncoder,
    SPADEOutlineModel,
    SPADESegmenter,
    SPADEImageProcessor,
)
LIBRARIES = ("spade_hf", "diffusers")


def check_components(
    generator: SPADEGenerator,
    image_processor: SPADEImageProcessor,
    style_encoder: SPADEStyleEncoder | None,
    outline_model: SPADEOutlineModel | None = None,
    segmenter: SPADESegmenter | None = None,
) -> None:
    """Raise a ValueError if the parts do not fit each other."""
    labels = image_processor.label_set_or_none
    config, theirs = generator.config, image_processor.config
    pairs = {
        "num_labels": (config.num_labels, 0 if labels is None else labels.num_labels),
        "use_unknown_label": (config.use_unknown_label, labels is not None and labels.use_unknown_label),
        "use_instance_edges": (config.use_instance_edges, theirs.use_instance_edges),
        "image_channels": (config.get("image_channels", 3), theirs.image_channels),
        "condition_channels": (config.get("condition_channels", 0), theirs.condition_channels),
    }
    processor = "image processor (without labels)"
    if labels is not None:
        processor = f"image processor (label set '{labels.name}')"
    checks = [(name, *pair, processor) for name, pair in pairs.items()]
    if style_encoder is not None:
        encoder = style_encoder.config
        checks += [(name, config[name], encoder[name], "style encoder") for name in ("latent_dim", "image_channels")]
    for name, ours, theirs, other in checks:
        if ours != theirs:
            raise ValueError(
                f"`{name}` is {ours} in the generator and {theirs} in the {other}; the parts of a pipeline must agree."
            )
    if outline_model is not None:
        check_outline_labels(outline_model, image_processor.label_set)
    if segmenter is not None:
        check_segmenter(segmenter, labels)


def check_index(index: Any, *, parts: Iterable[str], source: Any) -> None:
    """Raise a ValueError unless an index, the content of `model_index.json`, names a library and class for each part.

    Args:
        index: The index.
        parts (`Iterable[str]`): The names of the parts.
        source: Where it was read from, for the message.
    """
    problem = None
    if not isinstance(index, dict):
        problem = f"it is {str(index)[:60]!r}, not an object"
    elif "_class_name" not in index:
        problem = "it lacks `_class_name`"
    elif not _is_class_name(index["_class_name"]):
        problem = f"`_class_name` is {str(index['_class_name'])[:60]!r}, not the name of a class"
    else:
        for name in parts:
            pair = index.get(name, [None, None])
            is_pair = isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
            if not is_pair and pair != [None, None]:  # two nulls: a part that the pipeline does not have
                problem = f"`{name}` is {str(pair)[:60]!r}, not a library and a class"
    if problem is not None:
        raise ValueError(f"{source} has a bad index: {problem}. Copy or download model_index.json again.")


def with_own_classes(index: Any, pipeline_class: type) -> Any:
    """Return an index that names this pipeline's own classes, as `save_pretrained` writes it.

    That of a model that travels with its code names that code for the pipeline, and diffusers for the components,
    because the code adds them there. The same classes are here, and no code of the model has to run.

    Args:
        index: The content of `model_index.json`.
        pipeline_class (`type`): The pipeline's class.
    """
    if not isinstance(index, dict):
        return index  # `check_index` refuses it
    own = {component.__name__: component.__module__.partition(".")[0] for component in COMPONENTS}
    named = {}
    for name, value in index.items():
        match value:
            case [str(library), str(class_name)] if library in LIBRARIES and class_name in own:
                named[name] = [own[class_name], class_name]
            case [str(), pipeline_class.__name__] if name == "_class_name":
                named[name] = pipeline_class.__name__
            case _:
                named[name] = value
    return named


def _is_class_name(value: Any) -> bool:
    """Return whether diffusers can read a pipeline's class: a name, or a module of a repository and a name."""
    names = value if isinstance(value, list) and len(value) == 2 else [value]
    return all(isinstance(name, str) for name in names)
