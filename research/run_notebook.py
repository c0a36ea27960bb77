"""Run a notebook's cells, without Jupyter, and store in it what they print and show, its pictures as small JPEG.

python research/run_notebook.py examples/first_pictures.ipynb

Run it in a clone, with the extra `train`. The notebook in Git has these outputs, so that they are seen on GitHub.
"""

import argparse
import ast
import base64
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image


WIDTH, QUALITY = 768, 70  # of a stored picture: at most, and of its JPEG
COMMAND = "import sys, spade_hf_cli; sys.exit(spade_hf_cli.main(sys.argv[1:]))"


def main() -> None:
    """Run the notebook, and write its outputs into it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path)
    args = parser.parse_args()
    file = args.notebook.resolve()
    notebook = json.loads(file.read_text(encoding="utf-8"))
    os.chdir(file.parent)
    names: dict[str, Any] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, start=1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            shown = run_cell("".join(cell["source"]), names)
        text = printed.getvalue().replace(str(names["folder"]), "FOLDER")
        cell["execution_count"] = number
        cell["outputs"] = outputs_of(text, shown, number)
    file.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


def run_cell(code: str, names: dict[str, Any]) -> Any:
    """Run a cell with the names of those before it; return the value of its last line, if that is an expression."""
    code = code.replace("\\\n", " ")
    code = re.sub(r"^!(.+)$", lambda line: f"_shell({line[1]!r}, globals())", code, flags=re.MULTILINE)
    names["_shell"] = shell
    *lines, last = ast.parse(code).body
    if isinstance(last, ast.Expr) and "_shell" not in ast.unparse(last):
        exec(compile(ast.Module(lines, []), "cell", "exec"), names)
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    exec(compile(ast.Module([*lines, last], []), "cell", "exec"), names)
    return None


def shell(command: str, names: dict[str, Any]) -> None:
    """Run a line `!spade-hf ... {name}`, as IPython does, with this Python's `spade-hf`; print what it prints."""
    program, *words = shlex.split(command.format(**names))
    if program != "spade-hf":
        raise ValueError(f"A cell runs {program!r}; only spade-hf is known here.")
    done = subprocess.run([sys.executable, "-c", COMMAND, *words], check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="")


def outputs_of(text: str, shown: Any, number: int) -> list[dict[str, Any]]:
    """Return a cell's outputs in the form of a notebook: text, then a picture."""
    outputs: list[dict[str, Any]] = []
    if text:
        outputs.append({"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)})
    if isinstance(shown, Image.Image):
        buffer, picture = io.BytesIO(), shown.convert("RGB")
        picture.thumbnail((WIDTH, WIDTH))
        picture.save(buffer, "JPEG", quality=QUALITY)
        data = {"image/jpeg": base64.b64encode(buffer.getvalue()).decode(), "text/plain": ["a picture"]}
        outputs.append({"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
    return outputs


if __name__ == "__main__":
    main()
