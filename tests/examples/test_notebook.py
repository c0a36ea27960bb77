"""The notebook's code cells run as they are, one after another, as in a kernel."""

import base64
import io
import json
import re
import runpy
import shlex

import numpy as np
import pytest
from PIL import Image

import spade_hf_cli
from spade_hf.training.monitoring import WIDTH

from ..test_docs import PARSERS
from .programs import ROOT


NOTEBOOK = ROOT / "examples" / "first_pictures.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]).replace("\\\n", " ") for cell in CELLS if cell["cell_type"] == "code"]


def test_what_its_cells_print_and_show_is_stored():
    """By `research/run_notebook.py`, in small pictures, and with no path of the machine that ran it."""
    assert len(CELLS) == len({cell["id"] for cell in CELLS}) <= 12
    cells = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    pictures = [output["data"]["image/jpeg"] for output in outputs if "data" in output]
    sizes = [Image.open(io.BytesIO(base64.b64decode(picture))).size for picture in pictures]
    assert sizes[:2] == [(768, 384), (768, 192)] and len(sizes) == 4  # the last is the plot of a run's numbers
    assert NOTEBOOK.stat().st_size < 150_000
    printed = "".join(line for output in outputs if "text" in output for line in output["text"])
    assert "0 sky, 1 cloud" in printed and "12 pairs read" in printed and "Saved the model to FOLDER/model" in printed
    assert not re.search(r"(?<![\w.])/(tmp|home|root|work)/", printed)


def test_its_commands_parse():
    lines = [shlex.split(line[1:]) for code in CODE for line in code.splitlines() if line.startswith("!")]
    assert [line[:2] for line in lines] == [["spade-hf", "check"], ["spade-hf", "train"]]
    data = shlex.split("--image_folder photos --mask_folder masks --label_set labels.csv")
    for _, name, *rest in lines:
        arguments = [word for part in rest for word in (data if part == "{data}" else [part])]
        if name == "train":
            PARSERS["examples/train_spade.py"]().parse_args(arguments)
        else:
            spade_hf_cli.build_parser().parse_args([name, *arguments])


@pytest.mark.slow
def test_its_cells_run(monkeypatch):
    monkeypatch.chdir(ROOT / "examples")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    script, names = runpy.run_path(str(ROOT / "research" / "run_notebook.py")), {}
    shown = [script["run_cell"](code, names) for code in CODE]
    images = [np.array(image) for image in shown if image is not None]
    assert [image.shape[:2] for image in images[:2]] == [(512, 1024), (512, 2048)]
    summer, winter = np.split(images[0].astype(int), 2, axis=1)
    assert abs(summer - winter).mean() > 5  # snow is no grass
    assert (names["folder"] / "model" / "checkpoint-60").is_dir() and images[2].ndim == 3
    assert images[3].shape[1] == 3 * WIDTH  # the plot
    assert names["own"](names["mask"]).images[0].size == (64, 64)
