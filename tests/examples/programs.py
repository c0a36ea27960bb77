"""The programs that the tests of this folder run, and the smallest model to train."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from ..waiting import LONGEST


ROOT = Path(__file__).resolve().parents[2]
TRAIN, EVALUATE, SYNTHESIZE = (
    ROOT / "examples" / f"{name}.py" for name in ("train_spade", "evaluate_spade", "synthesize_dataset")
)
LAUNCH = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no")  # fmt: skip
# Smaller than the tiny preset, so that a run is little more than its imports.
SMALL = (
    "--preset tiny --resolution 32 --base_channels 4 --discriminator_base_channels 4 --spade_hidden_channels 4 "
    "--latent_dim 4 --style_encoder_image_size 32 --style_encoder_channel_mult 1 1 1 --train_batch_size 2 "
    "--num_validation_images 2 --perceptual_model none --dataloader_num_workers 0"
).split()
# The run that most tests look at.
TRAINED = "--preset tiny --perceptual_model none --train_batch_size 2 --max_train_steps 5 --log_steps 1".split()


def environment() -> dict[str, str]:
    """For a process that trains on the CPU with this clone's library, to the same bits as this process."""
    search_path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    num_threads = str(torch.get_num_threads())
    return {**os.environ, "PYTHONPATH": search_path, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": num_threads}


def launch(*options) -> subprocess.CompletedProcess:
    """Run the training script through `accelerate launch`, as people do."""
    command = [sys.executable, *LAUNCH, str(TRAIN), *map(str, options)]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 0, result.stderr
    return result


def checkpoints(folder):
    return {path.name for path in folder.glob("checkpoint-*")}
