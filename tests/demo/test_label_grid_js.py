"""The canvas' grid of labels, run by Node.js."""

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from spade_hf.demo.mask_canvas import encode_runs
from spade_hf.demo.page_files import PAGE

from ..waiting import LONGEST


NODE = shutil.which("node")

pytestmark = [pytest.mark.pages, pytest.mark.skipif(NODE is None, reason="no Node.js on this machine")]


def run(script: str, label_map: np.ndarray) -> Any:
    """What a script returns, where `grid` is that label map; a grid comes back as an array."""
    source = f"""
import {{ LabelGrid }} from {json.dumps((PAGE / "label_grid.js").as_uri())};
const grid = LabelGrid.decode({json.dumps(encode_runs(label_map))}, 12);
const shown = (one) => one instanceof LabelGrid ? {{ ...one, labels: [...one.labels] }} : one;
console.log(JSON.stringify(shown((() => {{ {script} }})())));
"""
    command = [NODE, "--input-type", "module", "--eval", source]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 0, result.stderr
    value = json.loads(result.stdout)
    return np.reshape(value["labels"], (value["height"], value["width"])) if isinstance(value, dict) else value


@pytest.fixture
def label_map() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 12, (7, 9))


def test_text_and_grid(label_map):
    np.testing.assert_array_equal(run("return grid;", label_map), label_map)
    assert run("return grid.encode();", label_map) == encode_runs(label_map)
    too_large = "try { LabelGrid.decode('9 9 81 0', 12, 80); return null; } catch (error) { return error.message; }"
    assert run(too_large, label_map) == "9x9 pixels; allowed are 1 to 80 in all"
    wrong_sizes = ("2 2 3 0", "2 2 5 0", "0 0", "2 2 -1 0 5 0", "2 2 1.5 0 2.5 0")
    for text in ("2 2 4 12", *wrong_sizes, "2 2  4 0", "2 2 4 0 ", "2 2 4e0 0", "a", ""):
        script = f"try {{ LabelGrid.decode({text!r}, 12); return false; }} catch {{ return true; }}"
        assert run(script, label_map), text


@pytest.mark.parametrize(("height", "width"), [(14, 27), (5, 4), (7, 9)])
def test_resizing_takes_the_label_under_each_center(label_map, height, width):
    rows = ((np.arange(height) + 0.5) * 7 / height).astype(int)
    columns = ((np.arange(width) + 0.5) * 9 / width).astype(int)
    np.testing.assert_array_equal(
        run(f"return grid.resized({width}, {height});", label_map), label_map[np.ix_(rows, columns)]
    )


@pytest.mark.parametrize("x", [-4.0, 5.0, 30.0])
def test_a_line_is_as_wide_as_the_brush_and_may_lie_outside(x):
    painted = run(f"grid.line({{ x: {x}, y: -5 }}, {{ x: {x}, y: 50 }}, 3, 1); return grid;", np.zeros((20, 25), int))
    columns = np.arange(25) + 0.5
    np.testing.assert_array_equal(painted, np.tile(np.abs(columns - x) < 3, (20, 1)).astype(int))


def test_an_eraser_brings_back_another_grid(label_map):
    script = "const start = grid.copy(); grid.labels.fill(3); grid.line({ x: 0, y: 3 }, { x: 9, y: 3 }, 20, start);"
    np.testing.assert_array_equal(run(f"{script} return grid;", label_map), label_map)


def test_a_cleared_canvas_has_a_horizon():
    cleared = run("return LabelGrid.withHorizon(2, 5, 7, 4);", np.zeros((1, 1), int))
    assert cleared.tolist() == [[7, 7]] * 3 + [[4, 4]] * 2


def test_filling_and_replacing():
    islands = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1]])
    filled = run("grid.fill({ x: 0.5, y: 0.5 }, 5); return grid;", islands)
    assert filled.tolist() == [[5, 5, 0, 1], [0, 5, 0, 1], [1, 0, 0, 1]]
    np.testing.assert_array_equal(run("grid.replace(1, 7); return grid;", islands), np.where(islands == 1, 7, islands))


def test_a_polygon_has_the_pixels_whose_centers_are_inside():
    corners = [(2, 2), (17, 2), (17, 15), (9.5, 6), (2, 15)]  # a square with a notch
    places = json.dumps([{"x": x, "y": y} for x, y in corners])
    painted = run(f"grid.polygon({places}, 1); return grid;", np.zeros((18, 20), int))
    row, column = np.mgrid[:18, :20] + 0.5
    notch = row - 6 > 9 / 7.5 * np.abs(column - 9.5)
    inside = (row > 2) & (row < 15) & (column > 2) & (column < 17) & ~notch
    np.testing.assert_array_equal(painted, inside.astype(int))
