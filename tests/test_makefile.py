"""What `make` says before it installs anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .waiting import LONGEST


ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 14)])
def test_another_python_is_refused_before_a_venv_is_made(version, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.version_info = {version}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    venv = tmp_path / "venv"
    command = ["make", "demo", f"PYTHON={sys.executable}", f"VENV={venv}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 2
    expected = (
        f"spade_hf needs Python 3.10 to 3.13, and {sys.executable} is {version[0]}.{version[1]}. Name another one"
    )
    assert expected in result.stderr
    assert not venv.exists()
