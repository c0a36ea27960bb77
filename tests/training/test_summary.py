"""What a run says of its crop, and the commands that it names."""

import shlex
from pathlib import Path

import pytest

from spade_hf.data import PairedTransform
from spade_hf.training import SavedState, TrainingState
from spade_hf_cli.train.messages import (
    describe_crop,
    describe_end,
    describe_stop,
    summarize,
    warn_of_changes,
    warn_of_other_processes,
)

from ..tiny_networks import tiny_generator, tiny_style_encoder


@pytest.mark.parametrize(
    ("resolution", "size", "expected"),
    [
        ((64, 64), (320, 240), "95x72, then cropped to 64x64: 60% of each is seen. --resolution 64 96 shows 72%."),
        ((64, 64), (240, 320), "72x95, then cropped to 64x64: 60% of each is seen. --resolution 96 64 shows 72%."),
        ((96, 128), (960, 720), "143x107, then cropped to 128x96: 80% of each is seen."),
        ((128, 128), (500, 500), "143x143, then cropped to 128x128: 80% of each is seen."),
    ],
)  # fmt: skip
def test_the_crop(resolution, size, expected):
    text = describe_crop(PairedTransform(resolution), size, divisor=32)
    assert text == f"Photographs of {size[0]}x{size[1]} (width x height) are resized to {expected}"


def test_a_crop_that_cuts_nothing():
    text = describe_crop(PairedTransform((64, 128), resize_ratio=1), (256, 128), divisor=64)
    assert text.endswith("resized to 128x64, then cropped to 128x64: 100% of each is seen.")


def test_folders_with_blanks_are_quoted():
    folder = Path("my model")
    for text in (describe_end(folder, "samples/final.png"), describe_stop("SIGINT", folder, 3, 9)):
        assert shlex.split(text.splitlines()[-1].partition(": ")[2]) == [
            "spade-hf", "generate", "MASK", "--model", "my model"
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("latent_dim", "has_encoder", "line"),
    [
        (8, False, "no style encoder: pictures in random styles only"),
        (None, False, "no style encoder: one picture of each mask"),
        (8, True, None),
    ],
)
def test_a_model_that_cannot_read_styles_is_announced(latent_dim, has_encoder, line):
    networks = {"generator": tiny_generator(latent_dim=latent_dim)}
    networks |= {"style_encoder": tiny_style_encoder()} if has_encoder else {}
    text = summarize(networks, {}, num_samples=8, samples_per_update=4, num_steps=2)
    assert [one for one in text.splitlines() if "style encoder" in one] == ([line] if line else [])


@pytest.mark.parametrize(
    ("before", "now", "warns"),
    [
        ({"streaming": True, "dataloader_num_workers": 2}, {"streaming": True, "dataloader_num_workers": 4}, True),
        ({"streaming": True, "dataloader_num_workers": 2}, {"streaming": True, "dataloader_num_workers": 2}, False),
        ({"streaming": False, "dataloader_num_workers": 2}, {"streaming": False, "dataloader_num_workers": 4}, False),
    ],
)
def test_other_workers_read_a_stream_in_another_order(before, now, warns, caplog):
    warn_of_changes(before, now)
    assert ("--dataloader_num_workers 4 (checkpoint: 2)" in caplog.text) == warns


@pytest.mark.parametrize(
    ("batch_size", "max_train_steps", "expected"),
    [
        (4, 9, "An update still has 8 samples."),
        (2, 9, "An update now has 4 samples instead of 8."),
        (
            2,
            None,
            "An update now has 4 samples instead of 8, and --num_train_epochs counts the finished ones as if they had "
            "as many.",
        ),
    ],
)
def test_another_number_of_processes(batch_size, max_train_steps, expected, caplog):
    sizes = {"gradient_accumulation_steps": 2}
    now = {**sizes, "train_batch_size": batch_size, "max_train_steps": max_train_steps}
    saved = SavedState(TrainingState(3, 1, 8), num_processes=2, is_old=False)
    warn_of_other_processes({**sizes, "train_batch_size": 2}, now, saved, 1)
    assert caplog.messages == [
        "Checkpoint of 2 processes, now 1: the learning rates go on after update 3, the data after sample 8 of "
        f"epoch 1. {expected}"
    ]
    caplog.clear()
    warn_of_other_processes({**sizes, "train_batch_size": 2}, now, saved, 2)
    assert caplog.messages == []
