"""The programs, run in this process, which has imported everything: each returns its exit status and what it wrote."""

import runpy
import sys
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from .programs import EVALUATE, SYNTHESIZE, TRAIN


def call(script, options, monkeypatch) -> int:
    """Run a script as `python script options` does, and return its exit status."""
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, options)])
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the training script, or another one that trains."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")

    def run(*options, script=TRAIN):
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        status = call(script, options, monkeypatch)
        captured = capsys.readouterr()
        return SimpleNamespace(status=status, stdout=captured.out, stderr=captured.err)

    return run


@pytest.fixture
def evaluate(monkeypatch, capsys, caplog):
    """Run the evaluation script."""

    def evaluate(*options):
        caplog.clear()
        status = call(EVALUATE, options, monkeypatch)
        captured = capsys.readouterr()
        return SimpleNamespace(status=status, stdout=captured.out, stderr=captured.err, log=caplog.text)

    return evaluate


@pytest.fixture
def synthesize(monkeypatch, capsys, caplog):
    """Run the synthesis script."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the other processes have

    def synthesize(*options):
        caplog.clear()
        monkeypatch.setattr(sys, "argv", [str(SYNTHESIZE), *map(str, options), "--device", "cpu"])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(SYNTHESIZE), run_name="__main__")
        captured = capsys.readouterr()
        return SimpleNamespace(status=stop.value.code, stdout=captured.out, stderr=captured.err, log=caplog.text)

    yield synthesize
    torch.set_num_threads(threads)
