"""A run that ends when its time is over: with a saved model, and it can go on."""

from itertools import count
from types import SimpleNamespace

import torch
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file

from spade_hf import SPADEPipeline
from spade_hf.training import loop

from ..training_data import mask
from .programs import SMALL, checkpoints


def test_it_saves_the_model_and_goes_on_to_the_same_numbers(run, data, monkeypatch, tmp_path):
    def train(output, *more):
        monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=count().__next__))  # a second per update
        options = (*SMALL, "--dataset_name", data, "--output_dir", output, "--max_train_steps", 4, *more)
        result = run(*options, "--log_steps", 1, "--checkpointing_steps", 100)
        assert result.status in (None, 0), result.stderr
        return result.stdout

    timed = tmp_path / "timed"
    said = train(timed, "--time", "3s")
    assert "--time is over after 3 of 4 updates: the learning rates are still those of a run of 4." in said
    assert f"Saved the model to {timed}" in said
    assert checkpoints(timed) == {"checkpoint-3"}
    assert SPADEPipeline.from_pretrained(timed)(mask(0)).images[0].size == (32, 32)
    assert "3 updates on 6 pairs" in (timed / "README.md").read_text()

    said = train(timed, "--resume_from_checkpoint", "latest", "--time", "2m")
    assert "--time is over" not in said and checkpoints(timed) == {"checkpoint-3", "checkpoint-4"}
    train(tmp_path / "whole")
    for network in ("generator", "generator_ema", "discriminator"):
        ours, others = (
            load_file(folder / "checkpoint-4" / network / SAFETENSORS_WEIGHTS_NAME)
            for folder in (timed, tmp_path / "whole")
        )
        assert all(torch.equal(ours[name], others[name]) for name in others), network


def test_the_last_update_comes_first(run, data, monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=count().__next__))
    result = run(*SMALL, "--dataset_name", data, "--output_dir", tmp_path, "--max_train_steps", 1, "--time", "1")
    assert "--time is over" not in result.stdout and "Saved the model" in result.stdout
