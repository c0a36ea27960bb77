"""The page on Jobs: its `hf` commands are ones that `hf` takes."""

import shlex
from pathlib import Path

import pytest
from huggingface_hub.cli._uv_script_header import UvScriptHeader, parse_uv_script_header
from huggingface_hub.cli.hf import app

from .test_docs import ROOT, commands


JOBS = [line for line in commands(ROOT / "docs" / "rented_gpu.md") if line[:4] == ["hf", "jobs", "uv", "run"]]


def header_of(script: Path) -> UvScriptHeader:
    header = parse_uv_script_header(script.read_text(encoding="utf-8"))
    assert header is not None
    return header


def test_jobs_are_found():
    assert len(JOBS) == 2


@pytest.mark.parametrize("name", ["train_spade", "train_outlines"])
def test_the_script_says_what_to_rent(name):
    """Read by the client as it reads it for a Job; without it, a Job is a CPU for 30 minutes, and cannot push."""
    header = header_of(ROOT / "examples" / f"{name}.py")
    assert (header.flavor, header.timeout, header.secrets) == ("l4x1", "75m", ["HF_TOKEN"])


@pytest.mark.parametrize("line", JOBS, ids=shlex.join)
def test_hf_takes_the_command(line):
    command = app
    for name in ("jobs", "uv", "run"):  # loaded when they are asked for
        command = command.get_command(None, name)
    values = command.make_context("run", line[4:]).params
    assert values["script"] == "examples/train_spade.py" and "--push_to_hub" in values["script_args"]
    assert list(values["volume"]) == ["./dist:/dist", "./street:/street"]
    header = header_of(ROOT / values["script"])
    for name in ("flavor", "timeout"):  # a flag, or what the script says
        assert values[name] or getattr(header, name)
    assert [*(values["secrets"] or []), *header.secrets][0] == "HF_TOKEN"
    assert list(values["with_"]) == ["/dist/spade_hf-0.2.0.dev0-py3-none-any.whl"]
