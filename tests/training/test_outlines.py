"""Training of the outline model: an iteration, and samples."""

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from spade_hf import LabelSet
from spade_hf.labels.label_set import Label
from spade_hf.training import ModelEMA, OutlineIteration, Side, build_accelerator, prepared_schedule
from spade_hf.training.outlines import outline_grid

from ..tiny_networks import NUM_LABELS, random_label_map, tiny_outlines


SIZE = (32, 48)


@pytest.fixture
def accelerator(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    return build_accelerator(str(tmp_path))


def iteration_of(accelerator, network, rate=3e-3):
    optimizer = accelerator.prepare(torch.optim.AdamW(network.parameters(), rate))
    schedule = prepared_schedule(accelerator, "constant", optimizer, num_steps=100)
    networks = {"outline_model": network}
    return OutlineIteration(
        accelerator, Side(accelerator, networks, networks, optimizer, schedule), ModelEMA(network, 0.9)
    )


def batch_of(count=2, unknown=False):
    exact = random_label_map(SIZE)[:1].repeat(count, 1, 1)
    painted = exact.roll(2, dims=-1)
    if unknown:
        exact[:, :8] = NUM_LABELS
    return {"label_map": exact, "painted_map": painted, "seed": torch.arange(count)}


def test_it_learns(accelerator):
    network = tiny_outlines().train()
    iteration = iteration_of(accelerator, network)
    before = [parameter.clone() for parameter in network.parameters()]
    losses = [iteration({**batch_of(), "seed": torch.tensor([2 * step, 2 * step + 1])}) for step in range(40)]
    first, last = (sum(one["cross_entropy"].item() for one in part) / 5 for part in (losses[:5], losses[-5:]))
    assert last < 0.7 * first
    assert all(not old.equal(new) for old, new in zip(before, network.parameters(), strict=True))
    averaged = [*iteration.average.model.parameters()]
    assert any(not one.equal(live) for one, live in zip(averaged, network.parameters(), strict=True))


def test_random_numbers_are_those_of_the_samples(accelerator):
    def loss(seeds):
        batch = {**batch_of(len(seeds)), "seed": torch.tensor(seeds)}
        return iteration_of(accelerator, tiny_outlines().train())(batch)["cross_entropy"].item()

    assert loss([1, 2]) == loss([1, 2]) != loss([1, 3])
    assert loss([1, 2]) == pytest.approx((loss([1]) + loss([2])) / 2, rel=1e-4)


def test_pixels_of_unknown_label_teach_nothing(accelerator):
    batch = batch_of(unknown=True)
    network = tiny_outlines()
    seen = []
    network.register_forward_hook(
        lambda module, args, output: seen.append(output.logits.retain_grad() or output.logits)
    )
    scalars = iteration_of(accelerator, network)(batch)
    gradient = seen[0].grad
    assert (gradient[:, :, :8] == 0).all() and (gradient[:, :, 8:] != 0).any()
    assert 0 <= scalars["pixel_accuracy"] <= 1


def test_a_loss_that_is_not_finite_stops(accelerator):
    network = tiny_outlines()
    with torch.no_grad():
        network.conv_out.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="cross_entropy is nan. Lower the learning rate"):
        iteration_of(accelerator, network)(batch_of())


def test_the_grid_shows_every_stage():
    labels = LabelSet("four", tuple(Label(i, str(i), (60 * i, 9, 9)) for i in range(NUM_LABELS)))
    samples = [{name: value[0] for name, value in batch_of().items()}] * 2
    grid = outline_grid(tiny_outlines(), samples, labels)
    pixels = np.array(grid)[grid.height - 2 * SIZE[0] :]
    assert grid.width == 5 * SIZE[1]
    shown = labels.palette[samples[0]["label_map"].numpy()]
    assert (pixels[: SIZE[0], : SIZE[1]] == shown).all() and (pixels[SIZE[0] :, : SIZE[1]] == shown).all()
