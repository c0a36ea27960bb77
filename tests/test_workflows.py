"""GitHub's workflows: they test what pyproject.toml declares, and publish nothing unless an owner says so."""

import re
from pathlib import Path

import pytest
import yaml
from setuptools.config.pyprojecttoml import load_file


ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def test_each_version_of_python_that_is_declared_is_tested():
    project = load_file(ROOT / "pyproject.toml")["project"]
    declared = [re.search(r"Python :: (3\.\d+)$", line) for line in project["classifiers"]]
    versions = [found[1] for found in declared if found]
    assert read("ci")["jobs"]["test"]["strategy"]["matrix"]["python-version"] == versions
    first, last = (int(version.split(".")[1]) for version in (versions[0], versions[-1]))
    assert project["requires-python"] == f">=3.{first},<3.{last + 1}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_runs_is_there(path):
    text = path.read_text(encoding="utf-8")
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    commands = " ".join(step.get("run", "") for step in steps)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake (\w+)", commands):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for file in re.findall(r"(?<![\w/.-])(?:tests|src|spaces_demo)/[\w./]+", commands):
        assert (ROOT / file).exists(), file
    assert "secrets." not in text and yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_publishing_is_off_until_there_is_an_owner():
    for name, job in read("publish")["jobs"].items():
        assert re.match(r"vars\.\w+ (== 'true'|!= '')", job["if"]), name
        assert job["permissions"] == {"id-token": "write"}
