"""The documentation's commands are commands that the programs take, its Python runs, its links lead somewhere.

Every page in docs/ is tested without being named here. A page whose Python needs files or names that its reader has
gets them from `PREPARE`. The blocks of extending.md run in test_extending.py, which also tests what they define.
"""

import argparse
import importlib
import inspect
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import PIL.Image
import pytest
import torch
import yaml
from accelerate.commands.launch import launch_command_parser

import spade_hf_cli
from spade_hf import BUNDLED_MODEL, LabelSet, SPADEImageProcessor, SPADEOutlineModel, SPADEPipeline, SPADESegmenter
from spade_hf.export import export_generator, save_onnx
from spade_hf.hub.registration import register_with_diffusers
from spade_hf.hub.standalone import write_standalone
from spade_hf_cli.evaluate import parser as metrics
from spade_hf_cli.program import PROGRAMS
from spade_hf_cli.synthesize import parser as synthesis
from spade_hf_cli.train import parser as training
from spade_hf_cli.train_outlines import parser as outlines
from spade_hf_cli.train_segmenter import parser as segmenters

from .conversion.test_presets import weights_of
from .tiny_networks import NUM_LABELS, random_latents, tiny_generator


ROOT = Path(__file__).parents[1]
SKILL = ROOT / "skills" / "train-spade" / "SKILL.md"
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", SKILL, *sorted((ROOT / "docs").rglob("*.md"))]
TRAINING, EVALUATION = "examples/train_spade.py", "examples/evaluate_spade.py"
OUTLINES, SYNTHESIS = "examples/train_outlines.py", "examples/synthesize_dataset.py"
SEGMENTERS = "examples/train_segmenter.py"
PARSERS = {
    TRAINING: training.build_parser,
    OUTLINES: outlines.build_parser,
    SEGMENTERS: segmenters.build_parser,
    EVALUATION: metrics.build_parser,
    SYNTHESIS: synthesis.build_parser,
}
PROGRAM_PARSERS = dict(zip(PROGRAMS, PARSERS.values(), strict=True))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The command lines of a page, split at blanks; `a && b` are two, and `> file` is the shell's."""
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    parts = [part.partition(" > ")[0] for line in lines for part in line.split("&&")]
    return [shlex.split(part, comments=True) for part in parts]


class Parsed(Exception):
    """Raised in the place of what a script does after it has parsed its command line."""


def script_of(command: list[str]) -> Path | None:
    """The script of `python .../examples/NAME.py` or `.../research/NAME.py`, wherever the page has changed to."""
    if command[0] == "python" and (name := re.search(r"(?:examples|research|spaces_demo|docs)/.+\.py$", command[1])):
        assert (ROOT / name[0]).is_file(), command[1]
        return ROOT / name[0]
    return None


def parse_by_script(script: Path, arguments: list[str]) -> None:
    """Run a script until its parser has taken the arguments; SystemExit if it does not."""
    if "argparse" not in script.read_text(encoding="utf-8"):  # `main(*sys.argv[1:])`
        inspect.signature(runpy.run_path(str(script))["main"]).bind(*arguments)
        return
    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, *args, **kwargs):
        parse_args(parser, *args, **kwargs)
        raise Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
        patch.setattr(sys, "argv", [str(script), *arguments])
        patch.syspath_prepend(script.parent)
        with pytest.raises(Parsed):
            runpy.run_path(str(script), run_name="__main__")


def test_a_wrong_option_of_a_script_is_found(capsys):
    parse_by_script(ROOT / "examples" / "style_grid.py", ["--random_styles", "4"])
    with pytest.raises(SystemExit):
        parse_by_script(ROOT / "examples" / "style_grid.py", ["--random_style", "4", "--sise", "3"])
    assert "--sise" in capsys.readouterr().err


def options(parser) -> set[str]:
    return set(parser._option_string_actions)


def test_the_skill_has_the_header_that_agents_read():
    """As in https://github.com/huggingface/skills: what it is called, and when to use it."""
    _, header, text = SKILL.read_text(encoding="utf-8").split("---\n", 2)
    values = yaml.safe_load(header)
    assert values.keys() == {"name", "description"} and values["name"] == SKILL.parent.name
    assert "Use when" in values["description"] and len(values["description"]) <= 1024
    assert text.count("\n## ") >= 6 and all(
        command[0] in ("spade-hf", "pip") for command in filter(None, commands(SKILL))
    )


def test_commands_are_found():
    lines = [command for page in PAGES for command in commands(page) if command]
    assert sum(TRAINING in line for line in lines) >= 4
    assert sum(line[:2] == ["spade-hf", "evaluate"] for line in lines) >= 2
    assert sum(line[:2] == ["spade-hf", "synthesize"] for line in lines) >= 2
    assert sum("spade-hf" in line for line in lines) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page, capsys):
    for command in filter(None, commands(page)):
        if "--import" in command:  # it names what a module of the page's adds; test_extending.py runs it
            continue
        try:
            for script in set(PARSERS) & set(command):
                where = command.index(script)
                PARSERS[script]().parse_args(command[where + 1 :])
                if command[:2] == ["accelerate", "launch"]:
                    launch_command_parser().parse_args(command[2 : where + 1])
            if command[0] == "spade-hf" and command[1] in PROGRAMS:
                PROGRAM_PARSERS[command[1]]().parse_args(command[2:])
            elif command[0] == "spade-hf":
                spade_hf_cli.build_parser().parse_args(command[1:])
            elif script := script_of(command):
                parse_by_script(script, command[2:])
            elif command[0] == "make":
                assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        except SystemExit:
            pytest.fail(f"{' '.join(command)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_exist(page):
    parsers = [
        *(build() for build in PARSERS.values()),
        launch_command_parser(),
        *spade_hf_cli.build_parser()._subparsers._group_actions[0].choices.values(),
    ]
    scripts = [path for folder in ("examples", "research", "spaces_demo") for path in ROOT.glob(f"{folder}/**/*.py")]
    written = {option for script in scripts for option in re.findall(r'"(--[a-z_]+)"', script.read_text("utf-8"))}
    known = set().union(written, *map(options, parsers)) | {
        "--nproc_per_node",
        "--standalone",
        "--help",
        "--preload",
    }  # the first two: torchrun's; the last: gunicorn's
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = {
        option for code in re.findall(r"`([^`]+)`", text) for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
    }
    assert not named - known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_config_files_hold_options(page):
    for block in blocks(page, "yaml"):
        assert not yaml.safe_load(block).keys() - {action.dest for action in training.build_parser()._actions}


def prepare_export(folder: Path) -> dict:
    """A sparse ONNX file, and the reader's own codes and latents."""
    pipeline = SPADEPipeline(tiny_generator(), SPADEImageProcessor(label_set=LabelSet.anonymous(NUM_LABELS)))
    save_onnx(export_generator(pipeline, size=(32, 32), modulation="sparse"), folder / "sparse.onnx")
    return {"codes": np.zeros((32, 32), np.int64), "latents": random_latents(1).numpy()}


def prepare_synthesis(folder: Path) -> dict:
    """What `spade-hf synthesize` leaves behind, as far as the page reads it."""
    image = PIL.Image.new("RGB", (8, 8))
    rows = datasets.Dataset.from_dict({"image": [image]}, features=datasets.Features({"image": datasets.Image()}))
    for name, columns in (("street_synthetic", rows), ("street_checked", rows.add_column("agreement", [0.8]))):
        (folder / name / "data").mkdir(parents=True)
        columns.to_parquet(folder / name / "data" / "train-00000-of-00001.parquet")
    return {}


def prepare_convert(folder: Path) -> dict:
    """The published COCO weights, narrow ones."""
    weights = weights_of("coco", base_channels=2, hidden_channels=4)
    torch.save(weights, folder / "latest_net_G.pth")
    return {}


def prepare_rented_gpu(folder: Path) -> dict:
    """The model, as if the Hub had given it, and a mask."""
    pipeline = SPADEPipeline(tiny_generator(), SPADEImageProcessor(label_set=LabelSet.anonymous(NUM_LABELS)))
    pipeline.save_pretrained(folder / "me" / "street-model")
    (folder / "street" / "masks").mkdir(parents=True)
    PIL.Image.new("L", (64, 64)).save(folder / "street" / "masks" / "0001.png")
    return {}


def prepare_hub(folder: Path) -> dict:
    """The model with its code, as if the Hub had given it, and a mask."""
    names = prepare_rented_gpu(folder)
    (folder / "me" / "street-model").rename(folder / "me" / "street")
    write_standalone(folder / "me" / "street")
    return names


def prepare_outlines(folder: Path) -> dict[str, object]:
    """A model that was trained elsewhere: the bundled one."""
    SPADEOutlineModel.from_pretrained(BUNDLED_MODEL, subfolder="outline_model").save_pretrained(folder / "my-outlines")
    return {}


def prepare_segmenter(folder: Path) -> dict[str, object]:
    """A segmenter that was trained elsewhere: the bundled one."""
    SPADESegmenter.from_pretrained(BUNDLED_MODEL, subfolder="segmenter").save_pretrained(folder / "my-segmenter")
    return {}


PREPARE = {
    "docs/convert.md": prepare_convert,
    "docs/export.md": prepare_export,
    "docs/hub.md": prepare_hub,
    "docs/outlines.md": prepare_outlines,
    "docs/rented_gpu.md": prepare_rented_gpu,
    "docs/segmenter.md": prepare_segmenter,
    "docs/synthesis.md": prepare_synthesis,
}
WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page.name != "extending.md"]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_runs_as_printed(page, tmp_path, monkeypatch):
    """In the order of the page, in a folder with the clone's examples; later blocks know what earlier ones define."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names = PREPARE.get(page.relative_to(ROOT).as_posix(), lambda folder: {})(tmp_path)
    for snippet in blocks(page, "python"):
        exec(compile(snippet, str(page), "exec"), names)
    register_with_diffusers()  # code that travels with a model registers its own networks
    written = set(re.findall(r'\.save\("(.+?)"\)', "".join(blocks(page, "python"))))
    assert {path.name for path in tmp_path.glob("*.png")} == written


def test_every_python_block_is_found():
    """None is hidden from the tests by its indentation or by how its language is written."""
    for page in PAGES:
        fences = re.findall(r"^ *```+ *(?:py|Python|python).*$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == len(blocks(page, "python")), page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_shows_are_there(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_of_the_library_work(page):
    """Also those in blocks that do not run."""
    text = page.read_text(encoding="utf-8")
    for module, names in re.findall(r"^\s*from (spade_hf[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
        for name in names.split(","):
            assert hasattr(importlib.import_module(module), name.strip()), f"{module} has no {name.strip()}"


def test_the_menu_names_pages():
    """The site's builder passes over entries without a page."""

    def pages(entries):
        for entry in entries:
            for target in entry.values():
                yield from [target] if isinstance(target, str) else pages(target)

    for page in pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]):
        assert (ROOT / page).is_file(), page


def test_names_in_the_api_pages_exist():
    for page in (ROOT / "docs" / "api").glob("*.md"):
        for name in re.findall(r"^::: (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            module, _, attribute = name.rpartition(".")
            assert getattr(importlib.import_module(module), attribute).__doc__, name


def test_the_site_is_built_from_what_pages_link_to(tmp_path):
    subprocess.run([sys.executable, str(ROOT / "docs" / "stage.py"), str(tmp_path / "site")], check=True)
    copied = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.*")}
    assert {"README.md", "docs/index.md", "docs/api/pipeline.md", "examples/assets/overview.jpg"} <= copied
    assert "spaces_demo/browser/desktop.jpg" in copied  # through spaces_demo/browser/README.md
    assert "setup.py" not in copied
