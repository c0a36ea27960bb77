"""The page's modules, imported by Node.js as the files that they are, and as Gradio runs them."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from spade_hf.demo.page_files import PAGE, function_body
from spade_hf.demo.uploads import MAX_FILE_SIZE

from ..waiting import LONGEST


NODE = shutil.which("node")
FUNCTIONS = {"label_grid.js": "LabelGrid", "mask_canvas.js": "mountCanvas", "picture_views.js": "mountViews",
             "shrink_uploads.js": "shrinkUploads", "thumbnails.js": "mountThumbnails"}  # fmt: skip

pytestmark = [pytest.mark.pages, pytest.mark.skipif(NODE is None, reason="no Node.js on this machine")]


def run(names: str, module: str, expression: str, given: Any = None) -> Any:
    """Import names from a module; return the value of an expression of them and `given`."""
    source = f"""
import {{ {names} }} from {json.dumps((PAGE / module).as_uri())};
const given = {json.dumps(given)};
console.log(JSON.stringify({expression}));
"""
    command = [NODE, "--input-type", "module", "--eval", source]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_every_module_is_here():
    assert {path.name for path in PAGE.glob("*.js")} == FUNCTIONS.keys()


@pytest.mark.parametrize("module", FUNCTIONS)
def test_a_module_is_a_file_to_import_and_a_body_to_run(module):
    name = FUNCTIONS[module]
    assert run(name, module, f"typeof {name}") == "function"
    body = function_body(module, f"return typeof {name};")
    assert run(name, module, "new Function(given)()", body) == "function"


@pytest.mark.parametrize(
    ("size", "kind", "as_photo", "as_mask"),
    [
        (MAX_FILE_SIZE + 1, "image/jpeg", True, True),
        (MAX_FILE_SIZE + 1, "image/bmp", True, False),  # labels must not be blended
        (MAX_FILE_SIZE + 1, "image/png", False, False),
        (MAX_FILE_SIZE, "image/jpeg", True, False),  # the server takes it
        (1_000_000, "image/jpeg", False, False),
        (MAX_FILE_SIZE + 1, "application/json", False, False),
    ],
)
def test_which_uploads_are_reduced(size, kind, as_photo, as_mask):
    file = {"size": size, "type": kind}
    found = run("isReduced", "shrink_uploads.js", "[true, false].map((photo) => isReduced(given, photo))", file)
    assert found == [as_photo, as_mask]
