"""`spade-hf train` and the files in examples/ are one program, in a clone and in an installed wheel."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import spade_hf_cli
from spade_hf_cli.options import options_of
from spade_hf_cli.program import status_of
from spade_hf_cli.train.parser import build_parser


ROOT = Path(__file__).parents[2]


def test_train_has_the_options_of_the_script(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["spade-hf", "train", "--help"])
    with pytest.raises(SystemExit) as stop:
        spade_hf_cli.main()
    assert stop.value.code == 0 and "--mask_folder" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        spade_hf_cli.main(["train", "--preset", "huge"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: argument --preset: invalid choice: 'huge'")


def test_train_is_among_the_commands(capsys):
    with pytest.raises(SystemExit):
        spade_hf_cli.main(["--help"])
    assert "train on your own masks" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [OSError, FloatingPointError, ImportError, ValueError])
def test_an_error_of_a_run_is_one_line_in_the_words_of_the_options(kind, capsys):
    """As of a full disk, of an upload that fails, or of a loss that is not finite."""

    def run():
        raise kind("The disk is full.\nGive `checkpoints_total_limit=1`, or `resume_from_checkpoint=latest`.")

    assert status_of(run, options_of(build_parser())) == 2
    assert capsys.readouterr().err == (
        "error: The disk is full. Give --checkpoints_total_limit 1, or --resume_from_checkpoint latest.\n"
    )


@pytest.mark.slow
def test_an_installed_wheel_trains(tmp_path):
    """The programs are modules of it."""
    for name in ("src", "examples", "setup.py", "pyproject.toml", "README.md"):  # building writes beside them
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    subprocess.run([sys.executable, "setup.py", "--quiet", "sdist"], check=True, cwd=tmp_path)
    (sources,) = (tmp_path / "dist").glob("*.tar.gz")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(sources)], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    for command in (
        ["-m", "spade_hf_cli", "train", "--preset", "tiny"],
        ["-m", "spade_hf_cli", "evaluate"],
        [str(ROOT / "examples" / "train_spade.py"), "--preset", "tiny"],  # for launch
    ):
        result = subprocess.run(
            [sys.executable, *command], env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        assert result.returncode == 2
        assert (
            result.stderr == "error: Give either --dataset_name, or --image_folder with --mask_folder. See --help.\n"
        )
