"""Two processes with half a batch each train as one process with all of it."""

import os
import subprocess
import sys

from safetensors.torch import load_file

from ..training_data import write_imagefolder
from .test_train_spade import ROOT, SCRIPT, SMALL, checkpoints


STEPS, WEIGHTS = 5, "diffusion_pytorch_model.safetensors"
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


def train(processes: int, folder, data, output, *options):
    """Five updates on a CPU, in processes that speak over gloo."""
    driver = folder / "driver.py"
    driver.write_text(IN_DOUBLE)
    search_path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search_path, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", processes) if processes > 1 else ()
    command = [sys.executable, *torchrun, driver, SCRIPT, *SMALL, "--dataset_name", data, "--output_dir", output,
               "--max_train_steps", STEPS, "--checkpointing_steps", 2, "--adam_epsilon", 1e-6, *options]  # fmt: skip
    result = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    return result


def weights(checkpoint, name):
    return load_file(checkpoint / name / WEIGHTS)


def test_one_process_with_four_is_two_processes_with_two(tmp_path):
    data = write_imagefolder(tmp_path / "pairs", count=8)  # two updates an epoch
    train(1, tmp_path, data, tmp_path / "one", "--train_batch_size", 4)
    train(2, tmp_path, data, tmp_path / "two", "--train_batch_size", 2)
    assert checkpoints(tmp_path / "two") == {"checkpoint-2", "checkpoint-4", "checkpoint-5"}
    one, two = (tmp_path / name / f"checkpoint-{STEPS}" for name in ("one", "two"))
    assert (one / "training_state.json").read_text() == (two / "training_state.json").read_text()
    for name in ("generator", "generator_ema", "style_encoder", "style_encoder_ema", "discriminator"):
        expected, found = weights(one, name), weights(two, name)
        assert expected.keys() == found.keys()
        differences = {key: (expected[key] - found[key]).abs().max().item() for key in expected}
        assert {key: value for key, value in differences.items() if value > 1e-7} == {}
        before = weights(tmp_path / "one" / "checkpoint-2", name)
        moved = [key for key in before if (expected[key] - before[key]).abs().max() > 1e-5]
        assert len(moved) > len(before) / 2  # there was something to differ in
