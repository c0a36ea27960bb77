"""What stdout can be: a reader that has ended, an encoding with few characters, a full disk, closed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spade_hf_cli


SOURCES = Path(spade_hf_cli.__file__).parents[1]
COMMAND = [sys.executable, "-m", "spade_hf_cli"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Labels of which the first has a name that few encodings have; far more text than a pipe's buffer holds."""
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(f"{i}, {'łąka' if i == 0 else 'label'} {i}" for i in range(20_000)), encoding="utf-8")
    return path


def test_characters_that_the_encoding_lacks_are_escaped(table):
    """A redirected stdout on Windows is cp1252."""
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    result = subprocess.run([*COMMAND, "labels", table], cwd=SOURCES, env=environment, capture_output=True)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.decode("cp1252").splitlines()
    assert lines[1].endswith(r"\u0142\u0105ka 0") and len(lines) == 20_001


def test_a_reader_that_ends_is_no_error(table):
    process = subprocess.Popen(
        [*COMMAND, "labels", table], cwd=SOURCES, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_a_closed_stdout_is_no_error():
    result = subprocess.run(
        ["sh", "-c", '"$0" -m spade_hf_cli labels landscapes >&-', sys.executable],
        cwd=SOURCES, capture_output=True, text=True,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(table):
    with open("/dev/full", "w") as full:
        command = [*COMMAND, "labels", table]
        result = subprocess.run(command, cwd=SOURCES, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2
    assert re.fullmatch(r"error: .*No space left on device\n", result.stderr)
