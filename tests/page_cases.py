"""One table for the rules of both painting pages: the Gradio page's in Python, the static page's in JavaScript."""

import json
from pathlib import Path
from typing import Any


CASES: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("page_cases.json").read_text(encoding="utf-8")
)
NUM_LABELS = 12
