"""The notebook's code cells run as they are, one after another, as in a kernel."""

import ast
import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

import spade_hf_cli

from ..test_docs import PARSERS
from .programs import ROOT


NOTEBOOK = ROOT / "examples" / "first_pictures.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]).replace("\\\n", " ") for cell in CELLS if cell["cell_type"] == "code"]


def shell(command: str, names: dict) -> None:
    """A line `!command {name}`, as IPython has it, with this Python's `spade-hf`."""
    command = command.format(**names)
    assert command.startswith("spade-hf ")
    code = "import sys, spade_hf_cli; sys.exit(spade_hf_cli.main(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, *shlex.split(command)[1:]], check=True, timeout=600)


def run_cell(code: str, names: dict) -> object:
    """What the cell shows: the value of its last line, if that is an expression."""
    code = re.sub(r"^!(.+)$", lambda line: f"_shell({line[1]!r}, globals())", code, flags=re.MULTILINE)
    *lines, last = ast.parse(code).body
    if isinstance(last, ast.Expr) and "_shell" not in ast.unparse(last):
        exec(compile(ast.Module(lines, []), NOTEBOOK.name, "exec"), names)
        return eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)
    return exec(compile(ast.Module([*lines, last], []), NOTEBOOK.name, "exec"), names)


def test_a_notebook_without_outputs():
    assert len(CELLS) == len({cell["id"] for cell in CELLS}) <= 12
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS if "outputs" in cell)


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
    names = {"_shell": shell}
    shown = [run_cell(code, names) for code in CODE]
    images = [np.array(image) for image in shown if image is not None]
    assert [image.shape[:2] for image in images[:2]] == [(256, 512), (256, 1024)]
    summer, winter = np.split(images[0].astype(int), 2, axis=1)
    assert abs(summer - winter).mean() > 5  # snow is no grass
    assert (names["folder"] / "model" / "checkpoint-60").is_dir() and images[2].ndim == 3
    assert names["own"](names["mask"]).images[0].size == (64, 64)
