import runpy
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from spade_hf import BUNDLED_MODEL, LabelSet, SPADEPipeline


ROOT = Path(__file__).resolve().parents[2]
STROKES = ROOT / "examples" / "assets" / "strokes"


def test_an_overview_of_strokes_outlines_and_images(monkeypatch, tmp_path):
    pipeline = SPADEPipeline.from_pretrained(BUNDLED_MODEL)
    height, width = pipeline.generator.native_size
    mask, output = STROKES / "meadow.png", tmp_path / "sheet.png"
    options = ["--overview", "--masks", mask, "--strengths", 0.8, "--steps", 1, "--seed", 3, "--size", width]
    monkeypatch.setattr(sys, "argv", ["outline_sheet.py", *map(str, options), "--output", str(output)])
    runpy.run_path(str(ROOT / "examples" / "outline_sheet.py"), run_name="__main__")
    painted, outlines, image = np.split(np.array(Image.open(output))[-height:], 3, axis=1)
    natural = pipeline.refine_mask(str(mask), 0.8, 1, torch.Generator().manual_seed(3))
    for shown, label_map in ((painted, str(mask)), (outlines, natural)):
        (colors,) = pipeline.image_processor.colorize(label_map)
        np.testing.assert_array_equal(shown, colors.resize((width, height), Image.Resampling.NEAREST))
    expected = pipeline(natural, style_image=str(ROOT / "examples" / "assets" / "noon_style.jpg")).images[0]
    assert (outlines != painted).any() and np.abs(image - np.array(expected).astype(int)).max() <= 1


def test_the_strokes_have_the_labels_of_the_scenes_that_a_mouse_paints():
    scenes = runpy.run_path(str(ROOT / "research" / "stroke_scenes.py"))["SCENES"]
    assert {path.stem for path in STROKES.glob("*.png")} == set(scenes)
    labels = LabelSet.from_name("landscapes")
    for name, strokes in scenes.items():
        found = {labels.names[labels.ids.index(i)] for i in np.unique(np.array(Image.open(STROKES / f"{name}.png")))}
        painted = {label for label, *_ in strokes}
        assert painted <= found <= painted | {"sky", "grass"}, name
