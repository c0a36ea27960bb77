"""The accelerator of a run."""

from datetime import timedelta

from accelerate.state import AcceleratorState, GradientState

from spade_hf.training import build_accelerator


def test_processes_wait_longer_than_an_upload_or_a_grid_takes(monkeypatch, tmp_path):
    """NCCL's default is 10 minutes."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    assert build_accelerator(str(tmp_path)).init_handler.timeout >= timedelta(hours=1)
