"""The losses of a discriminator that segments, against numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from spade_hf import LabelSet
from spade_hf.losses import SegmentationObjective
from spade_hf.losses.segmentation import class_weights, relaxed_losses
from spade_hf.models import MultiscaleDiscriminatorOutput


UNKNOWN = 2  # two labels, 0 and 1; 2 is fake's number among the logits


def judged(logits):
    return MultiscaleDiscriminatorOutput([logits], [])


def batch_of(label_map, **more):
    return {"label_map": torch.tensor([label_map]), "seed": torch.tensor([7]), **more}


@pytest.fixture
def logits():
    """One row of four pixels; probabilities of (0, 1, fake) at each."""
    shares = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.125, 0.125, 0.75], [0.2, 0.2, 0.6]])
    return shares.log().T[None, :, None]  # (1, 3, 1, 4)


def test_real_pixels_are_their_labels_each_label_counts_alike(logits):
    """Three pixels of label 0, one of label 1: the weights are 4 / (2 * 3) and 4 / (2 * 1)."""
    terms = SegmentationObjective(2, UNKNOWN, label_mix_weight=0).for_discriminator(
        batch_of([[0, 1, 0, 0]]), judged(logits), judged(logits)
    )
    label_0 = -(math.log(0.5) + math.log(0.125) + math.log(0.2)) / 3
    assert terms["discriminator_real"].item() == pytest.approx((label_0 - math.log(0.5)) / 2, rel=1e-6)
    fake = -(2 * math.log(0.25) + math.log(0.75) + math.log(0.6)) / 4
    assert terms["discriminator_fake"].item() == pytest.approx(fake, rel=1e-6)
    assert list(terms) == ["discriminator_real", "discriminator_fake"]


def test_unknown_pixels_count_for_nothing_but_fake(logits):
    objective = SegmentationObjective(2, UNKNOWN, label_mix_weight=0)
    batch = batch_of([[0, 1, UNKNOWN, UNKNOWN]])
    terms = objective.for_discriminator(batch, judged(logits), judged(logits))
    assert terms["discriminator_real"].item() == pytest.approx(-math.log(0.5), rel=1e-6)
    assert terms["discriminator_fake"].item() == pytest.approx(
        -(2 * math.log(0.25) + math.log(0.75) + math.log(0.6)) / 4, rel=1e-6
    )
    logits.requires_grad_()
    objective.for_generator(batch, judged(logits), judged(logits)).backward()
    assert (logits.grad[..., :2] != 0).all() and (logits.grad[..., 2:] == 0).all()


def test_the_generator_is_to_pass_for_the_mask(logits):
    loss = SegmentationObjective(2, UNKNOWN).for_generator(batch_of([[1, 1, 0, 0]]), judged(logits), judged(logits))
    expected = -(math.log(0.25) + math.log(0.5) + math.log(0.125) + math.log(0.2)) / 4
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_hidden_and_simplified_pixels(logits):
    """Hidden ones count for nobody; where the map is simplified, the real image shows something else."""
    visible = torch.tensor([[[True, True, False, True]]])
    agreement = torch.tensor([[[True, False, True, True]]])
    batch = batch_of([[0, 0, 0, 0]], visible=visible, agreement=agreement)
    objective = SegmentationObjective(2, UNKNOWN, label_mix_weight=0)
    terms = objective.for_discriminator(batch, judged(logits), judged(logits))
    assert terms["discriminator_real"].item() == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2, rel=1e-6)
    assert terms["discriminator_fake"].item() == pytest.approx(-(2 * math.log(0.25) + math.log(0.6)) / 3, rel=1e-6)
    loss = objective.for_generator(batch, judged(logits), judged(logits))
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.25) + math.log(0.2)) / 3, rel=1e-6)


def test_a_batch_without_a_known_pixel_costs_nothing(logits):
    batch = batch_of([[UNKNOWN] * 4])
    loss = SegmentationObjective(2, UNKNOWN).for_generator(batch, judged(logits.requires_grad_()), judged(logits))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_class_weights_are_clipped():
    labels = torch.tensor([0] * 98 + [1] * 2)
    torch.testing.assert_close(class_weights(labels, 3, largest=1000), torch.tensor([100 / 196, 25, 100]))
    torch.testing.assert_close(class_weights(labels, 3, largest=20)[:2], torch.tensor([100 / 196, 20]))
    weights = class_weights(labels, 3, largest=1000)[labels]
    assert weights.mean().item() == pytest.approx(1)


def test_label_mix_has_a_coin_for_each_label():
    objective = SegmentationObjective(2, UNKNOWN)
    label_map = torch.randint(3, (64, 9, 9), generator=torch.Generator().manual_seed(0))  # unknown as well
    batch = {"label_map": label_map, "seed": torch.arange(64)}
    mixture = objective.mixture(batch)
    assert mixture.shape == label_map.shape and mixture.dtype == torch.bool
    seen = set()
    for labels, real in zip(label_map, mixture, strict=True):
        coins = tuple({bool(coin) for coin in real[labels == label]} for label in range(3))
        assert all(len(coin) == 1 for coin in coins)  # the same all over a label
        seen.add(tuple(coin.pop() for coin in coins))
    assert len(seen) == 8  # independent of each other
    assert torch.equal(objective.mixture({name: value[5:6] for name, value in batch.items()}), mixture[5:6])
    assert SegmentationObjective(2, UNKNOWN, label_mix_weight=0).mixture(batch) is None


def test_label_mix_asks_for_the_mixture_of_both_answers():
    rng = torch.Generator().manual_seed(0)
    fake, real = torch.randn(2, 1, 3, 2, 2, generator=rng)
    objective = SegmentationObjective(2, UNKNOWN, label_mix_weight=3)
    batch = batch_of([[0, 1], [1, 0]])
    mixture = objective.mixture(batch)
    mixed = torch.where(mixture[:, None], real, fake)
    terms = objective.for_discriminator(batch, judged(fake), judged(real), judged(mixed))
    assert terms["label_mix"] == 0
    terms = objective.for_discriminator(batch, judged(fake), judged(real), judged(mixed + 0.5))
    assert terms["label_mix"].item() == pytest.approx(3 * 0.25)


def test_relaxed_borders(logits):
    labels = torch.tensor([[[0, 1, 1, 1]]])
    plain = F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(relaxed_losses(logits, labels, 0), plain)
    relaxed = relaxed_losses(logits, labels, 1)
    expected = torch.tensor([[[-math.log(0.75), -math.log(0.75), -math.log(0.125), -math.log(0.2)]]])
    torch.testing.assert_close(relaxed, expected)


def test_only_simplified_masks_are_relaxed(logits):
    labels = [[0, 1, 1, 1]]
    exact, simplified = torch.ones(1, 1, 4).bool(), torch.tensor([[[True, True, True, False]]])
    losses = [
        SegmentationObjective(2, UNKNOWN, boundary_relaxation=radius)
        .for_generator(batch_of(labels, agreement=agreement), judged(logits), judged(logits))
        .item()
        for radius, agreement in ((0, exact), (1, exact), (1, simplified))
    ]
    assert losses[0] == losses[1] > losses[2]


def test_realness(logits):
    expected = (math.log(3) + math.log(3) + math.log(1 / 3) + math.log(2 / 3)) / 4
    assert SegmentationObjective(2, UNKNOWN).realness(judged(logits)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("unknown", [0, 1, 2])
def test_unknown_can_be_any_channel(unknown, logits):
    """Moved to another channel, nothing changes: neither which class is trained, nor which is mixed and relaxed."""
    last = batch_of([[0, 1, UNKNOWN, 1]], agreement=torch.tensor([[[True, True, True, False]]]))
    channels = [channel for channel in range(3) if channel != unknown]
    label_map = torch.tensor([*channels, unknown])[last["label_map"]]
    moved = {**last, "label_map": label_map}
    real, fake, mixed = (judged(logits * factor) for factor in (1, 0.5, -1))
    options = {"boundary_relaxation": 1, "max_class_weight": 1.2}
    expected, found = (
        [
            objective.for_generator(batch, fake, real),
            *objective.for_discriminator(batch, fake, real, mixed).values(),
            objective.mixture(batch),
        ]
        for batch, objective in (
            (last, SegmentationObjective(2, UNKNOWN, **options)),
            (moved, SegmentationObjective(2, unknown, **options)),
        )
    )
    assert len(found) == 5
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", LabelSet.built_in_names())
def test_each_class_is_trained_and_unknown_is_not(name):
    labels = LabelSet.from_name(name)
    objective = SegmentationObjective(labels.num_labels, labels.unknown_channel, label_mix_weight=0)
    logits = torch.zeros(1, labels.num_labels + 1, 1, labels.num_channels, requires_grad=True)
    batch = batch_of([list(range(labels.num_channels))])
    objective.for_generator(batch, judged(logits), judged(logits)).backward()
    raised = (logits.grad[0, :, 0] < 0).nonzero().tolist()  # (logit, pixel): each class's logit at its pixel
    pixels = [channel for channel in range(labels.num_channels) if channel != labels.unknown_channel]
    assert raised == [[number, pixel] for number, pixel in enumerate(pixels)]
