"""One table of scenes for the two readers of these files: the Gradio page's, in Python, and the static page's."""

import json
from pathlib import Path
from typing import Any

from spade_hf import LabelSet


CASES = json.loads(Path(__file__).with_name("scene_cases.json").read_text(encoding="utf-8"))
MODEL = CASES["model"]
LABELS = LabelSet.from_dict(
    {"labels": [{"id": 7 - i, "name": name, "color": [i, 0, 0]} for i, name in enumerate(MODEL["labels"])]}
)
NOT_FINITE = [float("nan"), float("inf"), 10**400]


def text(changes: dict[str, Any]) -> str:
    """The scene's file with some values replaced."""
    return json.dumps({**CASES["scene"], **changes})


def refused() -> list[str]:
    """Files that are no scenes."""
    styles = [[{"name": "a", "latents": [value, 0]}, {"name": "b", "latents": [0, 0]}] for value in NOT_FINITE]
    broken = [{"styles": style} for style in styles] + [{"blend": value} for value in NOT_FINITE]
    broken.append({"size": [float("inf"), 3]})
    return [*map(text, CASES["refused"] + broken), *CASES["refused_texts"], "{" * 10**5]
