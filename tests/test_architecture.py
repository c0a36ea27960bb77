"""The rules that docs and reviews would otherwise have to repeat: which way imports flow, how long a file may be."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from spade_hf_cli.train.parser import build_parser

from .waiting import LONGEST


PACKAGE = Path(__file__).parents[1] / "src" / "spade_hf"
CLI = PACKAGE.parent / "spade_hf_cli"
FILES = sorted(PACKAGE.rglob("*.py"))
TRAINING_SIDE = {"data", "losses", "training", "metrics", "synthesis"}
# Each package may import those below it.
ORDER = [
    "demo",
    "training",
    "metrics",
    "synthesis",
    "losses",
    "data",
    "hub",
    "conversion",
    "export",
    "pipelines",
    "models",
    "features",
    "layers",
    "execution",
    "images",
    "labels",
]
ROOT_MODULES = {
    "__init__",
    "batch",
    "files",
    "project",
    "public",
    "seeding",
    "text",
    "version",
}  # for everyone, but `__init__`
INFERENCE = ORDER[ORDER.index("hub") :]
HEAVY = ("accelerate", "datasets", "gradio", "transformers")


def imported_parts(path: Path, package: Path = PACKAGE) -> Iterator[str]:
    """Yields the first part below the package of everything of it that a file imports: `..losses.kl` -> "losses"."""
    own_package = (package.name, *path.relative_to(package).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(own_package[: len(own_package) + 1 - node.level]) if node.level else []
            base += node.module.split(".") if node.module else []
            modules = [[*base, alias.name] for alias in node.names]
        else:
            continue
        yield from (parts[1] for parts in modules if parts[0] == package.name and len(parts) > 1)


def files_of(part: str) -> list[Path]:
    return sorted((PACKAGE / part).rglob("*.py"))


def test_imports_are_recognized_in_every_form(tmp_path: Path):
    package = tmp_path / "spade_hf"
    (package / "models").mkdir(parents=True)
    path = package / "models" / "a.py"
    path.write_text(
        "import torch\nimport spade_hf.data.folder\nfrom spade_hf import training\nfrom ..losses import kl\n"
        "from .. import metrics\nfrom . import b\ndef f():\n    from ..layers.resnet import g\n"
    )
    expected = ["data", "training", "losses", "metrics", "models", "layers"]
    assert sorted(imported_parts(path, package)) == sorted(expected)


def module_imports(path: Path, package: Path) -> set[str]:
    """The modules of the package that a file imports when it is loaded, such as "losses.kl"."""
    parts = path.relative_to(package).with_suffix("").parts
    own = parts[:-1]
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        base = (package.name, *own)[: len(own) + 2 - node.level] if node.level else ()
        names = (*base, *(node.module or "").split(".")) if node.module else base
        if names[:1] == (package.name,):
            found |= {".".join((*names[1:], alias.name)) for alias in node.names} | {".".join(names[1:])}
    return {one for one in found if (package / one.replace(".", "/")).with_suffix(".py").is_file()}


@pytest.mark.parametrize("package", [PACKAGE, CLI], ids=lambda package: package.name)
def test_the_import_graph_has_no_circle(package: Path):
    graph = {
        ".".join(path.relative_to(package).with_suffix("").parts): module_imports(path, package)
        for path in package.rglob("*.py")
        if path.name != "__init__.py"
    }
    while ready := [module for module, imported in graph.items() if not imported & graph.keys()]:
        for module in ready:
            del graph[module]
    assert not graph, f"circles among {sorted(graph)}"


def test_the_library_does_not_know_the_command_line():
    known = re.compile(r"^\s*(?:import|from) (?:argparse|spade_hf_cli|runpy)\b", re.MULTILINE)
    assert not [str(path) for path in FILES if known.search(path.read_text(encoding="utf-8"))]


def test_every_package_has_its_place():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == {*ORDER}
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT_MODULES


def wrong_imports(parts: Iterable[str], may_import: Callable[[str, str], bool]) -> list[str]:
    """List the files of these packages that import something that their package may not, with what they import."""
    return [
        f"{path.relative_to(PACKAGE)} imports {sorted(found)}"
        for part in parts
        for path in files_of(part)
        if (found := {name for name in imported_parts(path) if not may_import(part, name)})
    ]


def test_inference_never_imports_the_training_side():
    assert not wrong_imports(INFERENCE, lambda part, name: name not in TRAINING_SIDE)


def test_imports_flow_downwards():
    assert not wrong_imports(ORDER, lambda part, name: name not in ORDER[: ORDER.index(part)])


def test_label_sets_and_images_stand_alone():
    assert not wrong_imports(["labels", "images"], lambda part, name: name in ("labels", "images"))


def test_tests_wait_for_minutes():
    """A busy machine can be 20 times slower than a quiet one: a bound of a test is for what hangs."""
    tests = Path(__file__).parent
    short = [
        f"{path.relative_to(tests)}: {found}"
        for path in tests.rglob("*.py")
        for found in re.findall(r"\btimeout=(\d+)", path.read_text(encoding="utf-8"))
        if int(found) < 300
    ]
    assert not short, "use LONGEST of tests/waiting.py"


def test_execution_knows_no_layer():
    """How to run is asked by layers and models; what they are is none of its concern."""
    assert not wrong_imports(["execution"], lambda part, name: name == "execution")


def test_imports_load_nothing_heavy():
    """Whoever wants a loss needs neither `datasets` nor the packages that read masks: no extra."""
    # diffusers itself loads accelerate where it is installed, so what counts is what we load on top of it.
    code = (
        "import sys, diffusers; diffusers.ModelMixin, diffusers.DiffusionPipeline; before = set(sys.modules); "
        "import spade_hf; assert diffusers.SPADEPipeline is spade_hf.SPADEPipeline; "
        "loaded = set(sys.modules) - before; "
        f"print('package:', [name for name in {HEAVY} if name in loaded]); "
        "import spade_hf.losses; loaded = set(sys.modules) - before; "
        "print('losses:', [name for name in ('datasets', 'scipy', 'skimage', 'spade_hf.data') if name in loaded])"
    )
    search_path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search_path}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=LONGEST
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "package: []\nlosses: []\n"


def test_nothing_but_the_command_line_knows_the_demo():
    others = [path for path in FILES if path.relative_to(PACKAGE).parts[0] != "demo"]
    assert not [str(path) for path in others if "demo" in imported_parts(path)]


def test_heavy_packages_are_imported_by_the_training_side_and_the_demo_alone():
    for path in FILES:
        if path.relative_to(PACKAGE).parts[0] in {*TRAINING_SIDE, "demo"}:
            continue
        module = ast.parse(path.read_text(encoding="utf-8"))
        top_level = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name.split(".")[0] for n in top_level if isinstance(n, ast.Import) for alias in n.names}
        names |= {(n.module or "").split(".")[0] for n in top_level if isinstance(n, ast.ImportFrom) and not n.level}
        assert not names & {*HEAVY}, f"{path.relative_to(PACKAGE)} imports {names & {*HEAVY}} when it is loaded"


def test_the_library_speaks_of_parameters_and_scripts_of_options():
    """Errors name a parameter, which a script replaces by its option; a notebook has none."""
    options = set(build_parser()._option_string_actions) - {"--help"}
    for path in FILES:
        if path.relative_to(PACKAGE).parts[0] not in TRAINING_SIDE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named = set(re.findall(r"--\w+", node.value)) & options
                assert not named, f"{path.relative_to(PACKAGE)}:{node.lineno} names {named}"


def test_files_hold_one_concept():
    """A long file is a sign, not a fault: it may well hold two concepts, which change for different reasons."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (*FILES, *CLI.rglob("*.py"))}
    long = {str(path.relative_to(CLI.parent)): count for path, count in lines.items() if count > 450}
    assert not long, "is each one concept? If not, split it by what changes together"
