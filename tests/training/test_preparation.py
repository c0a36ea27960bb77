"""The accelerator of a run."""

from datetime import timedelta

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from spade_hf.training import build_accelerator, preparation


def test_processes_wait_longer_than_an_upload_or_a_grid_takes(monkeypatch, tmp_path):
    """NCCL's default is 10 minutes."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    assert build_accelerator(str(tmp_path)).init_handler.timeout >= timedelta(hours=1)


def test_an_accumulation_goes_on_in_the_next_epoch(monkeypatch, tmp_path):
    """Three batches an epoch, two for an update: every update sees two."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = build_accelerator(str(tmp_path), gradient_accumulation_steps=2)
    network, loader = accelerator.prepare(torch.nn.Linear(1, 1), torch.utils.data.DataLoader(torch.zeros(3, 1)))
    is_update = []
    for _ in range(2):
        for _ in loader:
            with accelerator.accumulate(network):
                is_update.append(accelerator.sync_gradients)
    assert is_update == [False, True] * 3


@pytest.mark.parametrize("is_supported", [True, False])
def test_bf16_without_its_instructions_is_warned_of(monkeypatch, tmp_path, caplog, is_supported):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    monkeypatch.setattr(preparation, "has_bf16_instructions", lambda: is_supported)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    build_accelerator(str(tmp_path), mixed_precision="bf16")
    AcceleratorState._reset_state(reset_partial_state=True)
    assert ("many times as long as float32" in caplog.text) != is_supported


@pytest.mark.parametrize(
    ("load", "threads", "policy", "is_warned"),
    [(14.0, 2, None, True), (1.0, 2, None, False), (14.0, 1, None, False), (14.0, 2, "passive", False)],
)
def test_a_busy_machine_is_warned_of(monkeypatch, caplog, load, threads, policy, is_warned):
    monkeypatch.setattr(preparation.os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(preparation.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(preparation.torch, "get_num_threads", lambda: threads)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if policy:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    preparation.warn_of_a_busy_machine()
    assert ("load 14 on 2 cores" in caplog.text) == is_warned
