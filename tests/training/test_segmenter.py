"""Training of the segmenter: an iteration, its evaluation, and samples."""

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from spade_hf.data import PairedTransform
from spade_hf.metrics import class_ious
from spade_hf.training import ModelEMA, Side, build_accelerator, prepared_schedule
from spade_hf.training.segmenter import SegmenterEvaluation, SegmenterIteration, describe_figures, segmenter_grid

from ..tiny_networks import tiny_segmenter
from ..training_data import LABELS, make_dataset, make_rows, mask


SIZE = (32, 48)
UNKNOWN = 3  # the toy labels' channel of 255, and the number of classes
WHOLE = PairedTransform(resolution=SIZE, resize_ratio=1.0, center_crop=True, random_flip=False)


@pytest.fixture
def accelerator(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    return build_accelerator(str(tmp_path))


@pytest.fixture
def dataset():
    """Images in the colors of their masks."""
    images = [mask(index, size=SIZE, mode="RGB") for index in range(6)]
    return make_dataset(make_rows(size=SIZE, image=images), transform=WHOLE)


def network_of(**changes):
    return tiny_segmenter(num_labels=LABELS.num_labels, width=16, **changes)


def iteration_of(accelerator, network, rate=3e-3):
    optimizer = accelerator.prepare(torch.optim.AdamW(network.parameters(), rate))
    schedule = prepared_schedule(accelerator, "constant", optimizer, num_steps=100)
    side = Side(accelerator, {"segmenter": network}, {"segmenter": network}, optimizer, schedule)
    return SegmenterIteration(accelerator, side, ModelEMA(network, 0.9), LABELS)


def batch_of(dataset, rows=(0, 1, 2, 3)):
    samples = [dataset[row] for row in rows]
    return {name: torch.stack([one[name] for one in samples]) for name in samples[0]}


def test_it_learns(accelerator, dataset):
    network = network_of().train()
    iteration = iteration_of(accelerator, network)
    before = [parameter.clone() for parameter in network.parameters()]
    scalars = [iteration(batch_of(dataset)) for _ in range(30)]
    assert scalars[-1]["cross_entropy"] < 0.7 * scalars[0]["cross_entropy"]
    assert 0 <= scalars[0]["pixel_accuracy"] < scalars[-1]["pixel_accuracy"] <= 1
    assert all(not old.equal(new) for old, new in zip(before, network.parameters(), strict=True))
    pairs = zip(iteration.average.model.buffers(), network.buffers(), strict=True)
    assert all(average.equal(live) for average, live in pairs)


def test_pixels_of_unknown_label_teach_nothing(accelerator, dataset):
    batch, network, seen = batch_of(dataset), network_of(), []
    batch["label_map"][:, :16] = UNKNOWN
    network.register_forward_hook(
        lambda module, args, output: seen.append(output.logits.retain_grad() or output.logits)
    )
    iteration_of(accelerator, network)(batch)
    gradient = seen[0].grad
    assert (gradient[:, :, :3] == 0).all() and (gradient[:, :, 5:] != 0).any()  # a fourth of the size


def test_a_loss_that_is_not_finite_stops(accelerator, dataset):
    network = network_of()
    with torch.no_grad():
        network.decoder.classify.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="cross_entropy is nan. Lower the learning rate"):
        iteration_of(accelerator, network)(batch_of(dataset))


def test_an_evaluation_counts_every_pair_once(dataset):
    network = network_of()
    evaluation = SegmenterEvaluation(dataset, torch.device("cpu"), batch_size=4)
    confusion = evaluation.confusion(network)
    assert confusion.sum() == 6 * SIZE[0] * SIZE[1] and (confusion[:, UNKNOWN] == 0).all()
    batch = batch_of(dataset, range(6))
    right = network.predict(batch["real_images"]) == batch["label_map"]
    known = batch["label_map"] != UNKNOWN
    figures = evaluation(network)
    assert figures["evaluation/pixel_accuracy"] == pytest.approx(right[known].float().mean().item())
    ious = class_ious(confusion, unknown=UNKNOWN)
    assert figures["evaluation/miou"] == pytest.approx(sum(ious.values()) / len(ious))
    assert set(evaluation.class_ious(confusion)) == {"sky", "grass", "rock"}
    largest = (confusion.sum(dim=1)[:UNKNOWN].max() / confusion[:UNKNOWN].sum()).item()
    section = describe_figures(network, evaluation)
    assert f"the largest class has {largest:.3f}" in section and "| rock | " in section


def test_the_grid_shows_image_mask_and_prediction(dataset):
    network = network_of()
    samples = [dataset[0], dataset[3]]
    grid = np.array(segmenter_grid(network, samples, LABELS))[-2 * SIZE[0] :]
    assert grid.shape[1] == 3 * SIZE[1]
    palette = torch.cat([torch.from_numpy(LABELS.palette[:3].copy()), torch.full((1, 3), 255)]).numpy()
    for row, one in enumerate(samples):
        image, truth, prediction = np.split(grid[row * SIZE[0] : (row + 1) * SIZE[0]], 3, axis=1)
        assert np.abs(image / 127.5 - 1 - one["real_images"].movedim(0, -1).numpy()).max() < 0.01
        assert (truth == palette[one["label_map"].numpy()]).all()
        assert (prediction == palette[network.predict(one["real_images"][None])[0].numpy()]).all()
