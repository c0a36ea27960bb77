"""The commands in the documentation are commands that the programs take."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import launch_command_parser

import spade_hf_cli
from spade_hf.metrics import arguments as metrics
from spade_hf.synthesis import arguments as synthesis
from spade_hf.training import arguments as training


ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TRAINING, EVALUATION = "examples/train_spade.py", "examples/evaluate_spade.py"
SYNTHESIS = "examples/synthesize_dataset.py"
PARSERS = {
    TRAINING: training.build_parser,
    EVALUATION: metrics.build_parser,
    SYNTHESIS: synthesis.build_parser,
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The command lines of a page, split at blanks; `a && b` are two."""
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]


def options(parser) -> set[str]:
    return set(parser._option_string_actions)


def test_commands_are_found():
    lines = [command for page in PAGES for command in commands(page) if command]
    assert sum(TRAINING in line for line in lines) >= 4
    assert sum(line[:2] == ["spade-hf", "evaluate"] for line in lines) >= 2
    assert sum(line[:2] == ["spade-hf", "synthesize"] for line in lines) >= 2
    assert sum("spade-hf" in line for line in lines) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page, capsys):
    for command in filter(None, commands(page)):
        try:
            for script in set(PARSERS) & set(command):
                where = command.index(script)
                PARSERS[script]().parse_args(command[where + 1 :])
                if command[:2] == ["accelerate", "launch"]:
                    launch_command_parser().parse_args(command[2 : where + 1])
            if command[0] == "spade-hf" and command[1] in spade_hf_cli.SCRIPTS:
                PARSERS[f"examples/{spade_hf_cli.SCRIPTS[command[1]]}"]().parse_args(command[2:])
            elif command[0] == "spade-hf":
                spade_hf_cli.build_parser().parse_args(command[1:])
        except SystemExit:
            pytest.fail(f"{' '.join(command)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_exist(page):
    parsers = [
        *(build() for build in PARSERS.values()),
        launch_command_parser(),
        *spade_hf_cli.build_parser()._subparsers._group_actions[0].choices.values(),
    ]
    known = set().union(*map(options, parsers)) | {
        "--nproc_per_node",
        "--standalone",
        "--help",
    }  # the first two: torchrun's
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = {
        option for code in re.findall(r"`([^`]+)`", text) for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
    }
    assert not named - known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_config_files_hold_options(page):
    for block in blocks(page, "yaml"):
        assert not yaml.safe_load(block).keys() - {action.dest for action in training.build_parser()._actions}


def test_python_of_the_readme_runs_as_printed(tmp_path, monkeypatch):
    """In the order of the page, in a folder with the clone's examples; later blocks know what earlier ones define."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for snippet in blocks(ROOT / "README.md", "python"):
        exec(compile(snippet, "README.md", "exec"), names)
    assert {path.name for path in tmp_path.glob("*.png")} == {"sunset.png", "mask.png", "first.png"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_shows_are_there(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target
