"""What all commands share: parsing without the library, errors in the words of the options, quiet."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import spade_hf_cli
from spade_hf import LabelSet, __version__
from spade_hf.conversion.nvlabs import NUM_UPSAMPLING_LAYERS
from spade_hf_cli import as_typed, build_parser, main
from spade_hf_cli.parser import LABEL_SETS
from spade_hf_cli.program import PROGRAMS

from ..waiting import LONGEST


SOURCES = Path(spade_hf_cli.__file__).parents[1]
COMMANDS = ("generate", "convert", "labels", "demo")


def options_of(command: str):
    return build_parser()._subparsers._group_actions[0].choices[command]


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


def test_unknown_command():
    with pytest.raises(SystemExit, match="2"):
        main(["paint"])


@pytest.mark.parametrize("arguments", [(), *((command,) for command in (*COMMANDS, *PROGRAMS))])
def test_help_imports_neither_torch_nor_the_library(arguments):
    code = (
        "import sys, spade_hf_cli\ntry: spade_hf_cli.main(sys.argv[1:])\n"
        "finally: assert not {'torch', 'diffusers', 'numpy', 'spade_hf'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, *arguments, "--help"]
    result = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 0, result.stderr
    assert "usage: spade-hf" in result.stdout


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("train", "--simplify_probability"),
        ("train-outlines", "--block_out_channels"),
        ("train-segmenter", "--min_crop_share"),
        ("evaluate", "--segmenter"),
        ("synthesize", "--images_per_mask"),
    ],
)
def test_help_of_a_script_is_its_own(command, option, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    out = capsys.readouterr().out
    assert f"usage: spade-hf {command}" in out and option in out


def test_choices_are_those_of_the_library():
    assert tuple(LABEL_SETS.split(", ")) == LabelSet.built_in_names()
    choices = options_of("convert")._option_string_actions["--num-upsampling-layers"].choices
    assert set(choices) == set(NUM_UPSAMPLING_LAYERS)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("or pass `color_tolerance=20`.", "or pass --color-tolerance 20."),
        ("`style_image` was given", "--style was given"),
        ("`num_images_per_mask` is 2", "--num-images is 2"),
        ("`mask` (lake.png) has", "`mask` (lake.png) has"),  # no option
    ],
)
def test_parameters_are_named_as_typed(message, expected):
    assert as_typed(message, build_parser().parse_args(["generate", "mask.png"]).options) == expected


def test_an_error_without_text_is_named(model, mask, fails, monkeypatch):
    def run(args):
        raise MemoryError

    monkeypatch.setattr("spade_hf_cli.commands.generate.run", run)
    fails("generate", mask, match="error: MemoryError$")


def test_nothing_is_said_beside_the_result(model, mask, tmp_path):
    """Neither progress bars nor diffusers' advice to install accelerate, where it is missing."""
    code = (
        "import sys; sys.modules['accelerate'] = None\n"
        "import spade_hf_cli; status = spade_hf_cli.main(sys.argv[2:])\n"
        "import spade_hf; spade_hf.SPADEGenerator.from_pretrained(sys.argv[1], subfolder='generator')\n"
        "sys.exit(status)"
    )
    arguments = ["generate", str(mask), "--model", str(model), "--output", str(tmp_path / "lake.png")]
    command = [sys.executable, "-c", code, str(model), *arguments]
    result = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert (result.stdout, result.stderr) == (f"{tmp_path / 'lake.png'}\n", "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_lacks_a_package_ends_like_any_other_error(program, monkeypatch, capsys):
    for name in [*sys.modules]:
        if name.partition(".")[0] == "accelerate" or name.startswith(f"spade_hf_cli.{program}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    given = ["--dataset_name", "x", "--output_dir", "y", *(["--real"] if program == "evaluate" else [])]
    assert main([program, *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {program} needs the package accelerate, which is not installed: pip install")


@pytest.mark.parametrize("arguments", [("generate", "--num_picture", "4"), ("paint",), ("check", "--resolution", "0")])
def test_wrong_options_are_one_line(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert re.fullmatch(r"error: .* See --help\.\n", capsys.readouterr().err)


def test_a_label_set_is_printed_without_torch(tmp_path):
    """In seconds less; a name of the library that needs it loads it, and registers with diffusers."""
    code = (
        "import sys, spade_hf_cli\n"
        "assert spade_hf_cli.main(['labels', '--image', sys.argv[1]]) == 0\n"
        "assert not {'torch', 'diffusers'} & set(sys.modules)\n"
        "import os, spade_hf\n"
        "assert 'SPADE_HF_LAZY_IMPORT' not in os.environ\n"
        "assert spade_hf.SPADEPipeline and spade_hf.LabelSet and spade_hf.BUNDLED_MODEL\n"
        "import diffusers\n"
        "assert diffusers.SPADEPipeline is spade_hf.SPADEPipeline\n"
        "try: spade_hf.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "legend.png")]
    result = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 0, result.stderr
    assert "12 labels" in result.stdout and (tmp_path / "legend.png").is_file()
