"""The order of samples: another one for each seed, that of before for runs of before."""

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from spade_hf.training import SampleOrder, build_accelerator
from spade_hf.training.loop import ORDER_FILE


@pytest.fixture
def start(monkeypatch, tmp_path):
    """An accelerator, and a function that returns the order of an epoch."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")

    def start(seed):
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        torch.manual_seed(seed)
        accelerator = build_accelerator(str(tmp_path))
        loader = accelerator.prepare(torch.utils.data.DataLoader(torch.arange(50), batch_size=5, shuffle=True))

        def order_of(epoch):
            loader.set_epoch(epoch)
            return torch.cat(list(loader)).tolist()

        return accelerator, loader, order_of

    return start


def test_seeds_share_no_epoch(start):
    orders = []
    for seed in range(4):
        accelerator, loader, order_of = start(seed)
        SampleOrder(accelerator, loader, seed)
        orders += [tuple(order_of(epoch)) for epoch in range(4)]
        assert order_of(1) == list(orders[-3])
    assert len(set(orders)) == 16 and {tuple(sorted(order)) for order in orders} == {tuple(range(50))}


def test_a_run_of_before_keeps_its_order(start, tmp_path, caplog):
    caplog.set_level("INFO")
    accelerator, loader, order_of = start(3)
    before = [order_of(epoch) for epoch in range(3)]  # accelerate's own
    accelerator.save_state(str(tmp_path / "before"))

    accelerator, loader, order_of = start(3)
    order = SampleOrder(accelerator, loader, 3)
    new = [order_of(epoch) for epoch in range(3)]
    assert new[0] not in before
    accelerator.save_state(str(tmp_path / "new"))
    accelerator.load_state(str(tmp_path / "before"))
    assert order.is_former and [order_of(epoch) for epoch in range(3)] == before
    assert "before is of an earlier version: the order of samples stays that of its run" in caplog.text
    accelerator.save_state(str(tmp_path / "continued"))  # and in its next checkpoints
    assert (tmp_path / "new" / ORDER_FILE).is_file() and not (tmp_path / "continued" / ORDER_FILE).exists()
    accelerator.load_state(str(tmp_path / "new"))
    assert not order.is_former and [order_of(epoch) for epoch in range(3)] == new
