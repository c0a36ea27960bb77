"""Tables from the classes of common segmentation models to our labels.

The names of the classes are those of the data sets; models of transformers have them as they are, or shortened.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ClassTable:
    """Which label a model's class means.

    Args:
        labels (`Mapping[str, str]`): Class -> label. Other classes are matched by name.
        never (`frozenset[str]`): Labels that may have no class, and are then never predicted.
        is_general (`bool`, defaults to `False`): Whether classes and labels that a model or label set lacks are left
            out, as in a table for many of them; else they are errors.
    """

    labels: Mapping[str, str]
    never: frozenset[str] = frozenset()
    is_general: bool = False


def _table(never: str, **classes: str) -> ClassTable:
    """Build a general table of labels and their classes, which commas separate."""
    labels = {name: label for label, names in classes.items() for name in names.split(", ")}
    return ClassTable(labels, frozenset(never.split(", ")), is_general=True)


TABLES = {
    "ade20k": _table(  # has neither clouds nor snow
        never="cloud, snow",
        sky="sky",
        mountain="mountain, hill",
        rock="rock",
        grass="grass, field",
        tree="tree, palm, plant",
        sand="sand",
        water="water, river, lake, waterfall",
        sea="sea",
        dirt="earth, land, dirt track, path, road, sidewalk",
        flower="flower",
        building="building, house, skyscraper, hovel, tower",
    ),
    "coco-stuff": _table(
        never="",
        sky="sky-other, fog",
        cloud="clouds",
        mountain="mountain, hill",
        rock="rock, stone",
        snow="snow",
        grass="grass, moss, straw",
        tree="tree, bush, leaves, branch, plant-other",
        sand="sand",
        water="water-other, river",
        sea="sea",
        dirt="dirt, mud, gravel, ground-other, road, pavement",
        flower="flower",
        building="building-other, house, skyscraper",
    ),
    "cityscapes": ClassTable(  # models know the 19 labels that count; their names are the same
        {},
        frozenset(
            "unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, parking, rail track, "
            "guard rail, bridge, tunnel, polegroup, caravan, trailer, license plate".split(", ")
        ),
        is_general=True,
    ),
}


def load_class_table(name: str, *, given_as: str = "`class_table`") -> ClassTable:
    """Return a built-in table, or read one from a JSON file.

    Args:
        name (`str`): "ade20k", "coco-stuff", "cityscapes", or a file: `{"class of the model": "our label"}`, with a
            list `"never": ["label"]` for labels that may have no class.
        given_as (`str`): For messages, where the name was given.

    Raises:
        ValueError: If the file can't be read, has another form, or names a class twice.
    """
    if name in TABLES:
        return TABLES[name]
    try:
        content: Any = json.loads(Path(name).read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
    except FileNotFoundError as error:
        raise ValueError(
            f"{given_as} is {name}, which is no file; built-in tables are {', '.join(TABLES)}. Give one of them, or a "
            "JSON file."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{given_as} {name} can't be read as JSON: {error}") from error
    never = content.pop("never", []) if isinstance(content, dict) and isinstance(content.get("never"), list) else []
    if not isinstance(content, dict) or not all(isinstance(one, str) for one in [*content.values(), *never]):
        raise ValueError(f'{given_as} {name} is not of the form {{"the segmenter\'s class": "our label"}}.')
    return ClassTable(content, frozenset(never))


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{repeated[0]!r} occurs {names.count(repeated[0])} times; a class has one label")
    return dict(pairs)
