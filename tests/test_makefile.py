"""What `make` says before it installs anything, and which tests it runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .waiting import LONGEST


ROOT = Path(__file__).parents[1]


def test_the_readme_and_ci_name_the_two_commands():
    for command in ("make demo", "make test"):
        assert re.search(rf"^{command}\b", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE), command
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 15)])
def test_another_python_is_refused_before_a_venv_is_made(version, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.version_info = {version}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    venv = tmp_path / "venv"
    command = ["make", "demo", f"PYTHON={sys.executable}", f"VENV={venv}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 2
    expected = (
        f"spade_hf needs Python 3.10 to 3.14, and {sys.executable} is {version[0]}.{version[1]}. Name another one"
    )
    assert expected in result.stderr
    assert not venv.exists()


def test_what_needs_a_browser_or_node_is_for_make_pages():
    """Such files ask for Chromium's or Node.js' fixture, or for the program itself."""
    needs = re.compile(r"def test\w*\([^)]*\b(?:browser|node)\b|which\(\"(?:chromium|node)\"\)")
    files = [path for path in Path(__file__).parent.rglob("test_*.py") if path != Path(__file__)]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    found = {name for name, text in texts.items() if needs.search(text)}
    assert {"test_browser.py", "test_browser_page.py", "test_label_grid_js.py", "test_masks_js.py"} <= found
    assert found == {
        name for name, text in texts.items() if re.search(r"^pytestmark = .*\.pages\b", text, re.MULTILINE)
    }
