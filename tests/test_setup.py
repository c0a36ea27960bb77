"""What pyproject.toml asks for is what is imported."""

import ast
import functools
import re
import subprocess
import sys
import tarfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from setuptools.config.pyprojecttoml import load_file  # tomllib came with Python 3.11

import spade_hf_cli
from spade_hf_cli.program import PROGRAMS


ROOT = Path(__file__).parents[1]
CLI = Path(spade_hf_cli.__file__).parent
PACKAGE = ROOT / "src" / "spade_hf"
# part of the package, or a file beside it -> the extra that brings what it imports
EXTRA_OF = {
    "training": "train",
    "data": "train",
    "metrics": "eval",
    "synthesis": "train",
    "demo": "demo",
    "export": "export",
}


@pytest.fixture
def options() -> dict:
    """The table `project`."""
    return load_file(ROOT / "pyproject.toml")["project"]


def required(requirements: list[str]) -> set[str]:
    return {normal(re.match(r"[\w.-]+", requirement).group()) for requirement in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


distributions_of_packages = functools.cache(packages_distributions)  # it reads all that is installed


def imported(path: Path) -> set[str]:
    """Packages of other people that a file imports when it is loaded."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    names = {name.split(".")[0] for name in names} - {*sys.stdlib_module_names, "spade_hf", "spade_hf_cli"}
    distributions = distributions_of_packages()
    return {normal(distributions[name][0]) for name in names}


def test_what_is_imported_is_declared(options):
    always, extras = required(options["dependencies"]), options["optional-dependencies"]
    files = {path: EXTRA_OF.get(path.relative_to(PACKAGE).parts[0]) for path in PACKAGE.rglob("*.py")}
    files[PACKAGE / "metrics" / "transformers_networks.py"] = "transformers"
    for program, (_, extra) in PROGRAMS.items():
        files |= dict.fromkeys((CLI / program).rglob("*.py"), extra)
    for path, extra in files.items():
        missing = imported(path) - always - required(extras.get(extra, []))
        assert not missing, f"{path.relative_to(ROOT)} imports {missing}, which pyproject.toml does not name"


def test_there_is_no_extra_for_what_does_not_exist(options):
    assert ("export" in options["optional-dependencies"]) == (PACKAGE / "export").exists()


def test_the_source_distribution_holds_what_an_installation_needs(tmp_path):
    """And nothing of the tests, of which setuptools would take a part without its helpers and data."""
    words = ["egg_info", "--egg-base", str(tmp_path), "sdist", "--formats=tar", "--dist-dir", str(tmp_path / "dist")]
    subprocess.run([sys.executable, "setup.py", "-q", *words], cwd=ROOT, check=True, capture_output=True)
    (archive,) = (tmp_path / "dist").iterdir()
    names = {name.partition("/")[2] for name in tarfile.open(archive).getnames()}
    assert {"setup.py", "README.md", "LICENSE", "src/spade_hf_cli/train/run.py", "src/spade_hf/py.typed"} <= names
    assert not [name for name in names if name.split("/")[0] == "tests"]


def test_uv_installs_for_the_training_script_what_its_extra_names(options):
    """By the header that `uv run` and the Hub's Jobs read; all but the library, whose name on PyPI is not ours."""
    script = (ROOT / "examples" / "train_spade.py").read_text(encoding="utf-8")
    header = re.match(r"# /// script\n(.*?)# ///\n", script, re.DOTALL)[1]
    found = re.findall(r'^#     "(.+)",$', header, re.MULTILINE)
    assert found == [*options["dependencies"], *(one for one in options["optional-dependencies"]["train"]
                                                    if one not in options["dependencies"])]  # fmt: skip
    assert f'requires-python = "{options["requires-python"]}"' in header
