"""The order of samples: another one for each seed, that of before for runs of before; what is left of it to train."""

import copy

import datasets
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from spade_hf.data import StreamedImageDataset, build_loader, preview_samples
from spade_hf.training import SampleOrder, TrainingState, build_accelerator, resumable_batches
from spade_hf.training.loop import ORDER_FILE

from ..training_data import make_dataset, make_reader, make_rows


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


@pytest.mark.parametrize("kind", ["stored", "streamed"])
def test_a_run_goes_on_with_the_next_sample(kind, monkeypatch, tmp_path):
    """From every batch, in an epoch and at its end, whatever else reads the seven rows in between."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.01)  # else 5 s for each epoch of a stream

    def batches_from(state, *, has_previews):
        """Seeds of the samples of each batch that is left of eight, and the state after it."""
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        torch.manual_seed(0)
        dataset, rows = make_dataset(make_rows(7)), make_rows(7).to_iterable_dataset()
        if kind == "streamed":
            dataset = StreamedImageDataset(rows, make_reader(), seed=0, shuffle_buffer_size=3)
        accelerator = build_accelerator(str(tmp_path))
        loader = accelerator.prepare(build_loader(dataset, 2))
        SampleOrder(accelerator, loader, 0)
        found = []
        for batch in resumable_batches(accelerator, loader, dataset, state, 8, samples_per_batch=2):
            state.advance_update()
            found.append((batch["seed"].tolist(), copy.copy(state)))
            if has_previews:
                preview_samples(dataset, 3)
        return found

    whole = batches_from(TrainingState(), has_previews=True)
    assert [(state.epoch, state.samples_done) for _, state in whole] == [
        (0, 2), (0, 4), (0, 6), (1, 2), (1, 4), (1, 6), (2, 2), (2, 4)
    ]  # fmt: skip
    assert len({tuple(seeds) for seeds, _ in whole}) == 8
    for done, (_, state) in enumerate(whole, start=1):
        assert batches_from(copy.copy(state), has_previews=False) == whole[done:]
