"""Runs the scripts of `examples/`, which the wheel also holds, from the command line `spade-hf`."""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path


PACKAGE = Path(__file__).parent
# In an installed package, and in a clone.
FOLDERS = (PACKAGE / "examples", PACKAGE.parents[1] / "examples")


def find_script(name: str) -> Path:
    """The file of a script.

    Raises:
        FileNotFoundError: If it is neither in the package nor in a clone around it.
    """
    for folder in FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{name} is neither in {' nor in '.join(map(str, FOLDERS))}. Reinstall spade_hf.")


def run_script(name: str, arguments: Sequence[str]) -> int:
    """Run a script in this process as `python` would; it ends by SystemExit if it fails, else its status is 0."""
    script = str(find_script(name))
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")
    return 0
