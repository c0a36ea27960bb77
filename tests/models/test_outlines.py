"""The outline model: what it computes, and what it refuses."""

import math

import pytest
import torch

from spade_hf import SPADEOutlineModel
from spade_hf.models.outlines import add_noise, signal_and_noise, signed_one_hot

from ..tiny_networks import NUM_LABELS, random_label_map, tiny_outlines


def inputs(size, batch_size=2):
    noise = torch.randn(batch_size, NUM_LABELS, *size, generator=torch.Generator().manual_seed(0))
    return noise, random_label_map(size)[:batch_size], torch.zeros(batch_size)


@pytest.mark.parametrize("size", [(64, 64), (24, 40), (8, 136)])
@torch.no_grad()
def test_any_multiple_of_eight(size):
    logits = tiny_outlines()(*inputs(size)).logits
    assert logits.shape == (2, NUM_LABELS, *size) and logits.isfinite().all() and logits.std() > 0.1


def test_the_default_fits_into_three_megabytes_of_half_precision():
    assert SPADEOutlineModel(num_labels=12).num_parameters() <= 1.5e6


@torch.no_grad()
def test_every_pixel_sees_the_whole_map():
    model, (noise, label_map, log_snr) = tiny_outlines().double(), inputs((256, 256), 1)
    before = model(noise.double(), label_map, log_snr.double()).logits
    label_map[0, :4, :4] = (label_map[0, :4, :4] + 1) % NUM_LABELS
    after = model(noise.double(), label_map, log_snr.double()).logits
    assert ((before - after)[0, :, -1, -1] != 0).any()


@torch.no_grad()
def test_what_is_read():
    model, (noise, label_map, log_snr) = tiny_outlines(), inputs((64, 64))
    same = model(noise, label_map, log_snr).logits
    for changed in (
        (noise + 1, label_map, log_snr),
        (noise, torch.full_like(label_map, NUM_LABELS), log_snr),  # not painted
        (noise, label_map, log_snr + 1),
        (noise.flip(-2), label_map.flip(-2), log_snr),  # up is not down
    ):
        assert (model(*changed).logits - same).abs().mean() > 1e-3


def test_noise_levels():
    log_snr = torch.tensor([-12.0, 0.0, 4.0], dtype=torch.float64)
    alpha, sigma = signal_and_noise(log_snr)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(torch.log(alpha**2 / sigma**2), log_snr)
    label_map, noise = torch.tensor([[[0, 1], [2, 1]]]), torch.randn(1, 2, 2, 2)
    noisy = add_noise(label_map, noise, torch.tensor([0.0]))
    expected = torch.tensor([[[[1.0, -1], [-1, -1]], [[-1, 1], [-1, 1]]]])  # 2 is none of the two labels
    assert signed_one_hot(label_map, 2, torch.float32).equal(expected)
    torch.testing.assert_close(noisy, math.sqrt(0.5) * (expected + noise))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("sky",)}, r"`labels` has 1 names; `num_labels` is 4"),
        ({"block_out_channels": (8, 12)}, r"`block_out_channels` is \(8, 12\); .* multiples of 8"),
        ({"block_out_channels": ()}, r"`block_out_channels` is \(\); give a width"),
        ({"num_attention_heads": 3}, r"`num_attention_heads` is 3; it must divide .* 16"),
        ({"min_log_snr": 4.0}, r"`min_log_snr` is 4.0; it must be below `max_log_snr`, 4.0"),
    ],
)
def test_a_bad_config_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_outlines(**change)


def test_maps_that_do_not_fit_are_an_error():
    model, (noise, label_map, log_snr) = tiny_outlines(), inputs((64, 64))
    with pytest.raises(ValueError, match=r"`noisy_map` has shape \(2, 3, 64, 64\); this model reads \(N, 4, H, W\)"):
        model(noise[:, :3], label_map, log_snr)
    with pytest.raises(ValueError, match=r"`label_map` has shape \(2, 32, 64\); .* \(2, 64, 64\)"):
        model(noise, label_map[:, :32], log_snr)
