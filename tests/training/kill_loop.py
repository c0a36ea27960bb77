"""Kill a training run at random moments until it is done, and compare it with one that nobody disturbed.

    python -m tests.training.kill_loop --kills 20 --seed 0

SIGKILL comes at any moment: while data are read, in the middle of an update, while a checkpoint is written. The
resumed run must end with the same weights, averages and optimizer states, bit by bit.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..examples.programs import ROOT, SMALL, TRAIN
from ..examples.test_exact_resume import assert_same
from ..training_data import write_imagefolder


def start(data: Path, output: Path, steps: int) -> subprocess.Popen:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        "ACCELERATE_USE_CPU": "1",
    }
    options = (
        "--dataset_name", data, "--output_dir", output, "--max_train_steps", steps, "--checkpointing_steps", 1,
        "--checkpoints_total_limit", 2, "--gradient_accumulation_steps", 2, "--dataloader_num_workers", 1,
        "--validation_steps", 10_000, "--resume_from_checkpoint", "latest",
    )  # fmt: skip
    command = [sys.executable, str(TRAIN), *SMALL, *map(str, options)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def steps_done(output: Path) -> int:
    done = [path.name.removeprefix("checkpoint-") for path in output.glob("checkpoint-*")]
    return max([int(step) for step in done if step.isdigit()], default=0)


def main(kills: int, seed: int) -> None:
    rng = random.Random(seed)
    steps = 3 * kills
    with tempfile.TemporaryDirectory() as folder:
        data = write_imagefolder(Path(folder, "pairs"), count=7)
        whole, broken = Path(folder, "whole"), Path(folder, "broken")
        error = start(data, whole, steps).communicate()[1]
        assert steps_done(whole) == steps, error
        for kill in range(kills):
            before, process = steps_done(broken), start(data, broken, steps)
            while steps_done(broken) == before and process.poll() is None:  # until it trains: saves take half its time
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.4))
            finished = process.poll() is not None
            process.kill()
            process.communicate()
            partial = ", ".join(path.name for path in broken.glob("*.partial")) or "-"
            print(f"kill {kill + 1}: after update {steps_done(broken)} of {steps}; unfinished: {partial}")
            if finished:
                break
        process = start(data, broken, steps)
        error = process.communicate()[1]
        assert process.returncode == 0, error
        assert_same(whole / f"checkpoint-{steps}", broken / f"checkpoint-{steps}")
        print(f"{kill + 1} kills, {steps} updates: all states are bit-equal to the unbroken run's")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.kills, arguments.seed)
