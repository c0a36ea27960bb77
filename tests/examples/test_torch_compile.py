"""The training script with `--torch_compile`: the numbers of an eager run, and its checkpoints."""

import shutil

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS

from ..file_tracker import FileTracker, lines
from ..training_data import write_imagefolder
from .test_exact_resume import assert_same, options


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_imagefolder(tmp_path_factory.mktemp("data") / "pairs", count=7)


@pytest.mark.slow
def test_compiling_changes_no_bit(run, data, tmp_path):
    """With a backend that runs eager mode's kernels. An eager run goes on from what a compiled one saved."""
    compiled = ("--torch_compile", "--torch_compile_backend", "aot_eager")
    assert run(*options(data, tmp_path / "eager", steps=3)).status == 0
    assert run(*options(data, tmp_path / "compiled", *compiled, steps=3)).status == 0
    final = [tmp_path / name / "checkpoint-3" for name in ("eager", "compiled")]
    assert_same(*final)
    shutil.rmtree(final[1])
    assert run(*options(data, tmp_path / "compiled", "--resume_from_checkpoint", "latest", steps=3)).status == 0
    assert_same(*final)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler")
def test_losses_with_inductor(run, data, tmp_path, monkeypatch):
    """Its kernels round otherwise. Adam's default epsilon would blow that up; see test_processes.py.

    With this seed no unit of the discriminator lies at LeakyReLU's kink; with 0 and 3 one does, in the second update.
    """
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, FileTracker.name, FileTracker)
    logged = ("--seed", 2, "--log_steps", 1, "--report_to", FileTracker.name, "--adam_epsilon", 1e-2)
    assert run(*options(data, tmp_path / "eager", *logged, steps=3)).status == 0
    assert run(*options(data, tmp_path / "compiled", *logged, "--torch_compile", steps=3)).status == 0
    eager, compiled = (lines(tmp_path / name / "logs") for name in ("eager", "compiled"))
    assert len(eager) == 3
    for expected, found in zip(eager, compiled, strict=True):
        for values in (expected, found):
            del values["images_per_second"]
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert eager[0]["generator_loss"] != pytest.approx(eager[2]["generator_loss"], rel=1e-2)


def test_a_backend_that_is_not_there(run, data, tmp_path):
    given = ("--torch_compile", "--torch_compile_backend", "nonsense")
    result = run(*options(data, tmp_path / "out", *given))
    *_, last = result.stderr.strip().splitlines()  # `datasets` may have drawn progress bars before
    assert result.status == 2 and "Traceback" not in result.stderr
    assert last.startswith("error: --torch_compile_backend 'nonsense' cannot compile for cpu: Invalid backend")
