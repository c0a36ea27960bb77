"""The programs, run in this process, which has imported everything: each returns its exit status and what it wrote.

A training takes seconds even if it is tiny. So `trained` is one for all tests that look at what a run leaves, and
`start` stops before the first update: tests of its parts train, save, resume and push with the objects that it built.
"""

import contextlib
import io
import runpy
import sys
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from spade_hf.training import TrainingState, scalars_of
from spade_hf_cli.train import run as training

from ..training_data import write_imagefolder
from .programs import EVALUATE, SYNTHESIZE, TRAIN, TRAINED, launch


def call(script, options, monkeypatch) -> int:
    """Run a script as `python script options` does, and return its exit status."""
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, options)])
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.fixture(scope="session")
def run():
    """Run the training script, or another one that trains."""

    def run(*options, script=TRAIN):
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        stdout, stderr = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ACCELERATE_USE_CPU", "1")
            with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
                status = call(script, options, patch)
        return SimpleNamespace(status=status, stdout=stdout.getvalue(), stderr=stderr.getvalue())

    return run


class Started(BaseException):
    """Ends a run before its first update; no handler in the script sees it."""


class Start(SimpleNamespace):
    """What a run builds: `accelerator`, `dataset`, `batches`, `game`, `publisher`, `checkpoints`, `monitor`, ..."""

    state: TrainingState

    def train(self, num_updates: int):
        """Train as the script does, without all that it writes; return the last batch's outputs of both phases."""
        outputs, last = (), self.state.global_step + num_updates
        for batch in self.batches:
            outputs = self.game(batch)
            self.monitor.add(scalars_of(*outputs))
            if self.accelerator.sync_gradients:
                self.state.advance_update()
                self.monitor.count_update()
            if self.state.global_step == last:
                return outputs
        raise AssertionError(f"the run ends after {self.state.global_step} updates")

    def save(self):
        """Write a checkpoint, and return its folder."""
        return self.checkpoints.save(self.state, self.publisher.preview())


@pytest.fixture
def start(run, monkeypatch):
    """Run the training script up to its first update, and return the [`Start`], usable until another run starts."""

    def start(*options):
        built = Start()

        def recorded(name, build):
            def call(*args, **more):
                setattr(built, name, build(*args, **more))
                return getattr(built, name)

            return call

        def stop(accelerator, loader, dataset, *args, **more):
            built.accelerator, built.dataset = accelerator, dataset
            built.batches = batches(accelerator, loader, dataset, *args, **more)
            raise Started

        batches = training.resumable_batches
        parts = {"build_iteration": "game", "build_publisher": "publisher", "build_checkpoints": "checkpoints",
                 "resume": "state", "build_monitor": "monitor"}  # fmt: skip
        with monkeypatch.context() as patch:
            for function, name in parts.items():
                patch.setattr(training, function, recorded(name, getattr(training, function)))
            patch.setattr(training, "resumable_batches", stop)
            with pytest.raises(Started):
                pytest.fail(run(*options).stderr)
        return built

    return start


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder of six pictures and masks in colors, with a note of its owner's."""
    folder = write_imagefolder(tmp_path_factory.mktemp("data") / "pairs")
    (folder / "README.md").write_text("From my last holidays.")
    return folder


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory):
    """The output of five updates with the tiny preset, and what the run said; a checkpoint after each second one.

    An epoch has three updates: the checkpoints are in an epoch, except the last one, which is always saved.
    """
    output = tmp_path_factory.mktemp("output")
    options = ("--checkpointing_steps", 2, "--validation_steps", 2, "--report_to", "tensorboard")
    return output, launch(*TRAINED, "--dataset_name", data, "--output_dir", output, *options)


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
