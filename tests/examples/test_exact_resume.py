"""A run that was stopped, in whatever way, goes on to the same numbers, bit by bit.

`make test` stops a run in an epoch and at its end, by SIGKILL in a save and by SIGTERM. The other ways take minutes:

    make slow
    python -m tests.training.kill_loop --kills 20
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spade_hf import SPADEGenerator, SPADEPipeline

from ..training_data import mask, write_imagefolder
from ..waiting import LONGEST
from .programs import ROOT, SMALL, TRAIN, checkpoints
from .test_processes import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_imagefolder(tmp_path_factory.mktemp("data") / "pairs", count=7)  # three batches of two an epoch


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Everything that training goes on from: networks, averages, optimizers, schedules, random states."""
    found = {}
    for file in checkpoint.rglob("*"):
        name = str(file.relative_to(checkpoint))
        if file.suffix == ".safetensors":
            found |= {f"{name}:{key}": value for key, value in load_file(file).items()}
        elif file.name.startswith("optimizer"):
            for index, values in torch.load(file, weights_only=True)["state"].items():
                found |= {f"{name}:{index}.{key}": value for key, value in values.items()}
        elif file.name.startswith("scheduler"):
            found[name] = torch.tensor(torch.load(file, weights_only=True)["_last_lr"])
    return found


def assert_same(first: Path, second: Path) -> None:
    expected, found = tensors(first), tensors(second)
    assert expected.keys() == found.keys() and len(expected) > 200
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    for name in ("training_state.json",):
        assert (first / name).read_text() == (second / name).read_text()


def options(data, output, *more, steps=5):
    return [*SMALL, "--dataset_name", data, "--output_dir", output, "--max_train_steps", steps,
            "--checkpointing_steps", 1, "--validation_steps", 1000, *more]  # fmt: skip


class Killed(BaseException):
    """As SIGKILL: no handler in the script sees it."""


@pytest.mark.parametrize(
    ("more", "stops"),
    [
        pytest.param((), (2, 3), id="plain"),  # in an epoch and at its end
        pytest.param(
            ("--discriminator", "segmentation", "--augment_discriminator", "translation"), (2,), id="segmentation"
        ),
        pytest.param(("--discriminator", "projected", "--reuse_fakes"), (2,), id="projected"),
        pytest.param(
            ("--discriminator", "segmentation", "--discriminator_backbone", "none"),
            (3,),
            id="segmentation from scratch",
            marks=pytest.mark.slow,
        ),
        pytest.param(("--seed", 1), (1, 4), id="other moments", marks=pytest.mark.slow),  # 4: the next one has begun
        pytest.param(
            ("--gradient_accumulation_steps", 2, "--dataloader_num_workers", 2, "--max_grad_norm", 0.5),
            (2, 4),
            id="accumulation and workers",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("--mixed_precision", "bf16", "--norm_type", "batch", "--lr_warmup_steps", 3),
            (3,),
            id="bf16",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_resumed_runs_are_bit_equal(more, stops, run, data, tmp_path, monkeypatch):
    from spade_hf.training import CheckpointManager

    assert run(*options(data, tmp_path / "whole", *more)).status == 0
    save = CheckpointManager.save

    def save_and_die(self, state, pipeline):
        save(self, state, pipeline)
        if state.global_step in stops:
            raise Killed

    monkeypatch.setattr(CheckpointManager, "save", save_and_die)
    for _ in stops:
        with pytest.raises(Killed):
            run(*options(data, tmp_path / "broken", *more, "--resume_from_checkpoint", "latest"))
    assert run(*options(data, tmp_path / "broken", *more, "--resume_from_checkpoint", "latest")).status == 0
    assert_same(tmp_path / "whole" / "checkpoint-5", tmp_path / "broken" / "checkpoint-5")
    whole, broken = (load_file(tmp_path / name / "generator" / "diffusion_pytorch_model.safetensors")
                     for name in ("whole", "broken"))  # fmt: skip
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_rates_and_order_hold_for_another_number_of_processes(before, after, run, tmp_path, caplog):
    """Of two processes with two pairs each, one with two is left (or the other way round), after 3 of 8 updates."""
    data = write_imagefolder(tmp_path / "pairs", count=16)
    given = options(data, tmp_path / "out", "--checkpoints_total_limit", 0, "--lr_warmup_steps", 2, steps=8)
    train(before, tmp_path, *given, in_double=False)
    expected = [rates_in(tmp_path / "out" / f"checkpoint-{step}") for step in range(1, 9)]
    for step in range(4, 9):
        shutil.rmtree(tmp_path / "out" / f"checkpoint-{step}")
    result = train(after, tmp_path, *given, "--resume_from_checkpoint", "latest", in_double=False)
    assert f"Checkpoint of {before} processes, now {after}: the learning rates go on after update 3" in result.stderr
    assert [rates_in(tmp_path / "out" / f"checkpoint-{step}") for step in range(1, 9)] == expected
    states = [json.loads((tmp_path / "out" / f"checkpoint-{step}" / "training_state.json").read_text())
              for step in (3, 4, 8)]  # fmt: skip
    done = [state["epoch"] * 16 + state["samples_done"] for state in states]
    position = -(-3 * 2 * before // (2 * after)) * 2 * after  # of the next whole batch
    assert done == [3 * 2 * before, *(position + 2 * after * updates for updates in (1, 5))]


def rates_in(checkpoint: Path) -> list[float]:
    """The rates of the next update: those of the schedules and of the optimizers are equal."""
    schedules, optimizers = (
        [torch.load(checkpoint / f"{name}{end}.bin", weights_only=True) for end in ("", "_1")]
        for name in ("scheduler", "optimizer")
    )
    rates = [schedule["_last_lr"][0] for schedule in schedules]
    assert rates == [optimizer["param_groups"][0]["lr"] for optimizer in optimizers]
    return rates


def test_the_comparison_can_fail(run, data, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        run(*options(data, tmp_path / name, "--seed", seed, steps=1))
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "a" / "checkpoint-1", tmp_path / "b" / "checkpoint-1")


def test_gradient_checkpointing_changes_no_bit(run, data, tmp_path, monkeypatch):
    assert run(*options(data, tmp_path / "without", steps=2)).status == 0
    used, enable = [], SPADEGenerator.enable_gradient_checkpointing
    monkeypatch.setattr(SPADEGenerator, "enable_gradient_checkpointing", lambda self: used.append(enable(self)))
    assert run(*options(data, tmp_path / "with", "--gradient_checkpointing", steps=2)).status == 0
    assert len(used) == 1
    assert_same(*(tmp_path / name / "checkpoint-2" for name in ("without", "with")))


def start(code: str, *arguments) -> subprocess.Popen:
    """The script as a job of its own (a session of processes), after some Python code."""
    code = f"import runpy, sys\n{code}\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    search_path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PYTHONPATH": search_path,
        "ACCELERATE_USE_CPU": "1",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    command = [sys.executable, "-c", code, str(TRAIN), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("killed_at", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_sigkill_while_a_checkpoint_is_written(killed_at, run, data, tmp_path):
    code = (
        "import os, signal\n"
        "from spade_hf import MultiscaleDiscriminator\n"
        "save, calls = MultiscaleDiscriminator.save_pretrained, []\n"
        "def save_and_die(*args, **kwargs):\n"
        "    save(*args, **kwargs)\n"
        "    calls.append(1)\n"
        f"    len(calls) == {killed_at} and os.kill(os.getpid(), signal.SIGKILL)\n"
        "MultiscaleDiscriminator.save_pretrained = save_and_die"
    )
    steps = killed_at + 1
    kept = ("--checkpoints_total_limit", 0)
    process = start(code, *options(data, tmp_path / "broken", *kept, steps=steps))
    process.communicate(timeout=LONGEST)
    assert process.returncode == -signal.SIGKILL
    whole = {f"checkpoint-{step}" for step in range(1, killed_at)}
    assert checkpoints(tmp_path / "broken") == whole | {f"checkpoint-{killed_at}.partial"}
    resumed = (*kept, "--resume_from_checkpoint", "latest")
    assert run(*options(data, tmp_path / "broken", *resumed, steps=steps)).status == 0
    assert checkpoints(tmp_path / "broken") == {f"checkpoint-{step}" for step in range(1, steps + 1)}
    assert run(*options(data, tmp_path / "whole", *kept, steps=steps)).status == 0
    assert_same(*(tmp_path / name / f"checkpoint-{steps}" for name in ("whole", "broken")))


def steps_done(output: Path) -> int:
    return max((int(name.split("-")[1]) for name in checkpoints(output) if name[-1].isdigit()), default=0)


@pytest.fixture
def job(data, tmp_path):
    """A run with a data worker that has written its first checkpoint, in a session of processes of its own."""
    more = ("--checkpoints_total_limit", 1, "--dataloader_num_workers", 1)
    process = start("", *options(data, tmp_path / "out", *more, steps=10_000))
    deadline = time.monotonic() + LONGEST
    while not steps_done(tmp_path / "out") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("number", "hint"),
    [(signal.SIGTERM, ""), (signal.SIGINT, " Ctrl-C again quits at once.")],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_to_the_whole_job_saves_and_exits(number, hint, job, tmp_path):
    """As a scheduler or a terminal ends a job: every process gets the signal, the loader's workers, too."""
    output = tmp_path / "out"
    os.killpg(job.pid, number)
    printed, error = job.communicate(timeout=LONGEST)
    assert job.returncode == 128 + number, error
    assert "Traceback" not in error and f"{number.name}: finishing the update and saving.{hint}\n" in error
    (left,) = checkpoints(output)
    assert printed.splitlines()[2:] == [
        f"{number.name}: stopped after {steps_done(output)} of 10000 updates; saved {output / left}",
        "Continue: the same command with --resume_from_checkpoint latest",
        f"Paint with it: spade-hf generate MASK --model {output / left}",
    ]
    assert SPADEPipeline.from_pretrained(str(output / left))(mask(0)).images[0].size == (32, 32)


def test_a_second_ctrl_c_quits_at_once(data, tmp_path):
    """While the first one's checkpoint is being written, which takes for ever here."""
    endless = (
        "import time\nfrom spade_hf import SPADEPipeline\nSPADEPipeline.save_pretrained = lambda *_: time.sleep(1000)"
    )
    process = start(endless, *options(data, tmp_path / "out", "--checkpointing_steps", 10_000, steps=10_000))
    for line in process.stderr:
        if " step 10/" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    for line in process.stderr:
        if "Ctrl-C again quits at once" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=LONGEST) == -signal.SIGINT  # what a shell reports as 130
    assert steps_done(tmp_path / "out") == 0
