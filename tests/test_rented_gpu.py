"""The page on Jobs: its `hf` commands are ones that `hf` takes."""

import shlex

import pytest
from huggingface_hub.cli.hf import app

from .test_docs import ROOT, commands


JOBS = [line for line in commands(ROOT / "docs" / "rented_gpu.md") if line[:4] == ["hf", "jobs", "uv", "run"]]


def test_jobs_are_found():
    assert len(JOBS) == 2


@pytest.mark.parametrize("line", JOBS, ids=shlex.join)
def test_hf_takes_the_command(line):
    command = app
    for name in ("jobs", "uv", "run"):  # loaded when they are asked for
        command = command.get_command(None, name)
    values = command.make_context("run", line[4:]).params
    assert values["script"] == "examples/train_spade.py" and "--push_to_hub" in values["script_args"]
    assert list(values["secrets"]) == ["HF_TOKEN"] and list(values["volume"]) == ["./dist:/dist", "./street:/street"]
    assert values["timeout"] in ("10m", "75m")
    assert list(values["with_"]) == ["/dist/spade_hf-0.2.0.dev0-py3-none-any.whl"]
