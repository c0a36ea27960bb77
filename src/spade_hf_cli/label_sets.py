"""Label sets by name, file or model, without torch and diffusers, which take seconds to load."""

import difflib
import json
from pathlib import Path

from spade_hf.labels.label_set import LabelSet
from spade_hf.text import similar, suggestion


PROCESSOR = Path("image_processor", "preprocessor_config.json")  # where a saved pipeline has its label set


def read_label_set(name: str) -> LabelSet:
    """Read a built-in label set, one in a file, or that of a saved pipeline; else raise a ValueError."""
    path = Path(name)
    if name in LabelSet.built_in_names():
        return LabelSet.from_name(name)
    if path.is_dir():
        return _of_pipeline(path)
    if path.is_file():
        return LabelSet.from_file(name)
    names = ", ".join(LabelSet.built_in_names())
    found = difflib.get_close_matches(name, LabelSet.built_in_names()) or similar(path)
    raise ValueError(
        f"{name!r} is not a label set: give {names}, a JSON file, a table of colors or a model's folder."
        f"{suggestion(found)}"
    )


def _of_pipeline(folder: Path) -> LabelSet:
    if not (folder / PROCESSOR).is_file():
        raise ValueError(f"{folder} is a folder without a saved pipeline's image_processor, so it has no label set.")
    try:
        config = json.loads((folder / PROCESSOR).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{folder / PROCESSOR} cannot be read: {error}. Copy or download it again.") from error
    if isinstance(config, dict) and config.get("condition_channels") and config.get("label_set", 0) is None:
        raise ValueError(f"The model in {folder} has no labels: it makes images of a condition alone.")
    if not isinstance(config, dict) or not isinstance(config.get("label_set"), dict):
        raise ValueError(f"{folder / PROCESSOR} has no `label_set`. Copy or download it again.")
    return LabelSet.from_dict(config["label_set"])
