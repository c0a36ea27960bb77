"""The animation of README.md: the masks that grow stroke by stroke, and the file."""

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from spade_hf import BUNDLED_MODEL, SPADEImageProcessor


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "research")
    spec = importlib.util.spec_from_file_location("stroke_animation", ROOT / "research" / "stroke_animation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_stroke_changes_what_it_covers(script):
    labels = SPADEImageProcessor.from_pretrained(BUNDLED_MODEL, subfolder="image_processor").label_set
    strokes = [("cloud", 40, [(0.2, 0.2), (0.8, 0.2)]), ("water", 60, [(0.5, 0.9), (0.5, 0.7)])]
    first, second, third = script.masks(strokes, labels, random.Random(0))
    assert set(np.unique(first)) == {labels.id_of("sky"), labels.id_of("grass")}
    assert set(second[first != second]) == {labels.id_of("cloud")}
    assert set(third[second != third]) == {labels.id_of("water")}
    rows, columns = (second != first).nonzero()
    assert abs(np.ptp(rows) - 40) <= 4 and abs(np.ptp(columns) - (0.6 * script.CANVAS + 40)) <= 4


@pytest.mark.slow
def test_the_file(script, monkeypatch, tmp_path):
    output = tmp_path / "strokes.webp"
    monkeypatch.setattr(sys, "argv", ["stroke_animation.py", "--size", "64", "--output", str(output)])
    script.main()
    with Image.open(output) as image:
        assert image.size == (128, 64) and image.n_frames == 8


def test_the_one_in_the_readme_is_small():
    path = ROOT / "examples" / "assets" / "strokes.webp"
    with Image.open(path) as image:
        assert image.n_frames == 8 and path.stat().st_size < 60_000
