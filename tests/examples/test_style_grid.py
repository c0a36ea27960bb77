import runpy
import sys
from pathlib import Path

import numpy as np
from PIL import Image


ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "examples" / "assets"


def test_a_table_of_given_and_random_styles(monkeypatch, tmp_path):
    masks, styles = [ASSETS / "lake_mask.png"] * 2, [ASSETS / "noon_style.jpg"]
    options = ["--masks", *masks, "--styles", *styles, "--random_styles", "2", "--size", "64"]
    monkeypatch.setattr(sys, "argv", ["style_grid.py", *map(str, options), "--output", str(tmp_path / "table.png")])
    runpy.run_path(str(ROOT / "examples" / "style_grid.py"), run_name="__main__")
    table = np.array(Image.open(tmp_path / "table.png")).astype(float)
    assert table.shape == (3 * 64, 4 * 64, 3)
    cells = table.reshape(3, 64, 4, 64, 3).swapaxes(1, 2)  # (row, column, 64, 64, 3)
    assert np.array_equal(cells[0, 2], cells[0, 3]) and not np.array_equal(cells[0, 0], cells[0, 2])  # captions
    style = np.array(Image.open(styles[0]).resize((64, 64), Image.Resampling.BICUBIC)).astype(float)
    assert np.array_equal(cells[0, 1], style)
    assert np.array_equal(cells[1], cells[2])  # the same latents for the same mask
    assert np.abs(cells[1, 2] - cells[1, 3]).mean() > 2
