"""Two processes with half a batch each train as one process with all of it.

`make test` compares two updates. The longer form, over several epochs: `python -m pytest -m slow tests/examples`.
"""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from spade_hf.data import PairedImageDataset

from ..training_data import write_imagefolder
from .programs import ROOT, SMALL, TRAIN, checkpoints


STEPS, WEIGHTS = 5, "diffusion_pytorch_model.safetensors"
NETWORKS = ("generator_live", "generator_ema", "style_encoder_live", "style_encoder_ema", "discriminator")
# In double precision: the losses have kinks (L1, ReLU), and a rounding error of float32 that falls on the other side
# of one is a different gradient, which Adam turns into a step of full length.
IN_DOUBLE = """
import runpy, sys, torch
from spade_hf.data import PairedImageDataset
torch.set_default_dtype(torch.float64)
read = PairedImageDataset.__getitem__
PairedImageDataset.__getitem__ = lambda self, index: {
    name: value.double() if value.is_floating_point() else value for name, value in read(self, index).items()
}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def options(data, output, *more, steps):
    return [*SMALL, "--dataset_name", data, "--output_dir", output, "--max_train_steps", steps,
            "--checkpointing_steps", 2, "--adam_epsilon", 1e-6, *more]  # fmt: skip


def train(processes: int, folder, *given, in_double=True):
    """Updates on a CPU, in processes that speak over gloo."""
    driver = folder / "driver.py"
    driver.write_text(IN_DOUBLE)
    script = (driver, TRAIN) if in_double else (TRAIN,)
    search_path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search_path, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", processes) if processes > 1 else ()
    command = [sys.executable, *torchrun, *script, *given]
    result = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    return result


def weights(checkpoint, name):
    return load_file(checkpoint / name / WEIGHTS)


def assert_trained_alike(one, two, *, within=1e-7):
    """The same networks, averages and buffers in two checkpoints."""
    states = [json.loads((folder / "training_state.json").read_text()) for folder in (one, two)]
    assert [state.pop("num_processes") for state in states] == [1, 2] and states[0] == states[1]
    for name in NETWORKS:
        expected, found = weights(one, name), weights(two, name)
        assert expected.keys() == found.keys()
        differences = {key: (expected[key] - found[key]).abs().max().item() for key in expected}
        assert {key: value for key, value in differences.items() if value > within} == {}


def assert_moved(before, after, *, by=1e-5):
    """There was something to differ in."""
    for name in NETWORKS:
        first, last = weights(before, name), weights(after, name)
        moved = [key for key in first if (last[key] - first[key]).abs().max() > by]
        assert len(moved) > len(first) / 2


def test_two_updates(run, tmp_path, monkeypatch):
    data = write_imagefolder(tmp_path / "pairs", count=8)  # two updates an epoch
    train(2, tmp_path, *options(data, tmp_path / "two", "--train_batch_size", 2, steps=2))
    read = PairedImageDataset.__getitem__
    in_double = lambda self, index: {  # noqa: E731
        name: value.double() if value.is_floating_point() else value for name, value in read(self, index).items()
    }
    monkeypatch.setattr(PairedImageDataset, "__getitem__", in_double)
    torch.set_default_dtype(torch.float64)
    try:
        result = run(*options(data, tmp_path / "one", "--train_batch_size", 4, "--checkpointing_steps", 1, steps=2))
    finally:
        torch.set_default_dtype(torch.float32)
    assert result.status == 0
    assert_moved(tmp_path / "one" / "checkpoint-1", tmp_path / "one" / "checkpoint-2")
    assert_trained_alike(*(tmp_path / name / "checkpoint-2" for name in ("one", "two")))


def test_the_prior_weighs_as_much_in_parts_of_a_batch(start, tmp_path):
    """It is the one loss that is a sum over the batch. By a large epsilon a step is proportional to the gradient."""
    data = write_imagefolder(tmp_path / "pairs", count=4)
    alone = ("--adversarial_weight", 0, "--feature_matching_weight", 0, "--perceptual_weight", 0,
             "--adam_epsilon", 1e6, "--learning_rate", 1e7)  # fmt: skip
    moved = []
    for batch, parts in ((4, 1), (2, 2)):
        more = ("--train_batch_size", batch, "--gradient_accumulation_steps", parts)
        started = start(*options(data, tmp_path / "out", *alone, *more, steps=1))
        bias = started.game.generator_side.unwrapped["style_encoder"].linear_mean.bias.detach()
        before = bias.clone()
        started.train(1)
        moved.append(bias - before)
    whole, parts = moved
    assert whole.norm() > 1e-4
    torch.testing.assert_close(parts, whole, rtol=0.1, atol=0)


@pytest.mark.slow
def test_five_updates(tmp_path):
    data = write_imagefolder(tmp_path / "pairs", count=8)
    train(1, tmp_path, *options(data, tmp_path / "one", "--train_batch_size", 4, steps=STEPS))
    train(2, tmp_path, *options(data, tmp_path / "two", "--train_batch_size", 2, steps=STEPS))
    assert checkpoints(tmp_path / "two") == {"checkpoint-2", "checkpoint-4", "checkpoint-5"}
    assert_moved(tmp_path / "one" / "checkpoint-2", tmp_path / "one" / "checkpoint-5")
    assert_trained_alike(*(tmp_path / name / f"checkpoint-{STEPS}" for name in ("one", "two")))


@pytest.mark.slow
def test_five_updates_in_single_precision(tmp_path):
    """With an epsilon of 1e-2, because Adam's default makes steps out of rounding errors, and those a drift.

    Some gradients are exactly zero: of biases before batch norm, of the discriminator's last bias while no logit is
    beyond the hinge. In float32 they come out as 1e-9 to 1e-7, with a sign that the splitting of the batch decides,
    and Adam divides a gradient by its own size: with its epsilon of 1e-8 such parameters differ by up to two full
    steps after one update. With 1e-4 all agree to 1e-5 for three updates; in the fourth one unit of the discriminator
    falls on the other side of LeakyReLU's kink, and the 256 weights of its channel get another gradient. With 1e-2 the
    parameters differ by 1e-8, the statistics of the batches by 1e-6.

    Kinks remain: with this seed, and with 4, no unit meets one; with 0 and 2 one does, and what differs then grows
    tenfold an update. Should other kernels meet one here, it is the seed that has to change, not the bound.
    """
    data = write_imagefolder(tmp_path / "pairs", count=8)
    more = ("--seed", 3, "--adam_epsilon", 1e-2, "--checkpointing_steps", 1, "--checkpoints_total_limit", STEPS)
    for name, processes in (("one", 1), ("two", 2)):
        given = options(data, tmp_path / name, "--train_batch_size", 4 // processes, *more, steps=STEPS)
        train(processes, tmp_path, *given, in_double=False)
    assert_moved(tmp_path / "one" / "checkpoint-1", tmp_path / "one" / f"checkpoint-{STEPS}", by=1e-4)
    assert_trained_alike(*(tmp_path / name / f"checkpoint-{STEPS}" for name in ("one", "two")), within=1e-5)
