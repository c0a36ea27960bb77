"""A run that was stopped, in whatever way, goes on to the same numbers, bit by bit.

`make test` stops a run by SIGKILL, with files and uploads half written, and by SIGTERM and Ctrl-C; it goes on in an
epoch and at its end, on its own machine and on another one. The other ways take minutes:

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
from spade_hf.training.monitoring import read_metrics

from ..training_data import mask, write_imagefolder
from ..waiting import LONGEST
from .programs import ROOT, SMALL, TRAIN, TRAINED, checkpoints, environment
from .test_processes import train


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    """Seven pairs: three batches of two an epoch, and one pair left."""
    return write_imagefolder(tmp_path_factory.mktemp("data") / "pairs", count=7)


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
    states = [json.loads((folder / "training_state.json").read_text()) for folder in (first, second)]
    for state in states:
        del state["total_limit"]
    assert states[0] == states[1]


def options(data, output, *more, steps=5):
    return [*SMALL, "--dataset_name", data, "--output_dir", output, "--max_train_steps", steps,
            "--checkpointing_steps", 1, "--validation_steps", 1000, *more]  # fmt: skip


class Killed(BaseException):
    """As SIGKILL: no handler in the script sees it."""


@pytest.mark.slow
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
        ),
        pytest.param(("--seed", 1), (1, 4), id="other moments"),  # 4: the next one has begun
        pytest.param(
            ("--gradient_accumulation_steps", 2, "--dataloader_num_workers", 2, "--max_grad_norm", 0.5),
            (2, 4),
            id="accumulation and workers",
        ),
        pytest.param(
            ("--mixed_precision", "bf16", "--norm_type", "batch", "--lr_warmup_steps", 3),
            (3,),
            id="bf16",
        ),
    ],
)
def test_resumed_runs_are_bit_equal(more, stops, run, seven, tmp_path, monkeypatch):
    from spade_hf.training import CheckpointManager

    assert run(*options(seven, tmp_path / "whole", *more)).status == 0
    save = CheckpointManager.save

    def save_and_die(self, state, pipeline):
        save(self, state, pipeline)
        if state.global_step in stops:
            raise Killed

    monkeypatch.setattr(CheckpointManager, "save", save_and_die)
    for _ in stops:
        with pytest.raises(Killed):
            run(*options(seven, tmp_path / "broken", *more, "--resume_from_checkpoint", "latest"))
    assert run(*options(seven, tmp_path / "broken", *more, "--resume_from_checkpoint", "latest")).status == 0
    assert_same(tmp_path / "whole" / "checkpoint-5", tmp_path / "broken" / "checkpoint-5")
    whole, broken = (load_file(tmp_path / name / "generator" / "diffusion_pytorch_model.safetensors")
                     for name in ("whole", "broken"))  # fmt: skip
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


@pytest.mark.parametrize(
    "more",
    [
        ("--discriminator", "segmentation", "--augment_discriminator", "translation"),
        ("--discriminator", "projected", "--reuse_fakes"),
    ],
    ids=["segmentation", "projected"],
)
def test_a_game_of_another_discriminator_goes_on_bit_equal(more, start, seven, tmp_path):
    """After two of three updates, by the next process's networks, optimizers and data."""
    whole = start(*options(seven, tmp_path, *more, steps=3))
    whole.train(2)
    whole.save()
    whole.train(1)
    expected = whole.save().rename(tmp_path / "whole")
    resumed = start(*options(seven, tmp_path, *more, "--resume_from_checkpoint", "checkpoint-2", steps=3))
    assert resumed.state.global_step == 2
    resumed.train(1)
    assert_same(expected, resumed.save())


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


def test_the_comparison_can_fail(trained, tmp_path):
    """By one bit of one optimizer's state."""
    checkpoint = trained[0] / "checkpoint-5"
    shutil.copytree(checkpoint, tmp_path / "other")
    assert_same(checkpoint, tmp_path / "other")
    values = torch.load(tmp_path / "other" / "optimizer_1.bin", weights_only=True)
    first = values["state"][0]["exp_avg"].view(-1)
    first[0] = torch.nextafter(first[0], torch.tensor(1.0))
    torch.save(values, tmp_path / "other" / "optimizer_1.bin")
    with pytest.raises(AssertionError, match=r"optimizer_1.bin:0.exp_avg"):
        assert_same(checkpoint, tmp_path / "other")


def test_gradient_checkpointing_changes_no_bit(start, seven, tmp_path, monkeypatch):
    used, enable = [], SPADEGenerator.enable_gradient_checkpointing
    monkeypatch.setattr(SPADEGenerator, "enable_gradient_checkpointing", lambda self: used.append(enable(self)))
    saved = []
    for name, more in (("without", ()), ("with", ("--gradient_checkpointing",))):
        started = start(*options(seven, tmp_path / name, *more, steps=2))
        started.train(2)
        saved.append(started.save())
    assert len(used) == 1
    assert_same(*saved)


def start_job(code: str, *arguments, **more: str) -> subprocess.Popen:
    """The script as a job of its own (a session of processes), after some code, with more in its environment."""
    code = f"import runpy, sys\n{code}\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(TRAIN), *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment() | more, start_new_session=True, **streams)


KILLED_IN_THE_THIRD_UPLOAD = """
import os, signal
from huggingface_hub import HfApi
from spade_hf.training import RevisionUploads
start, commit, commits = RevisionUploads.start, HfApi.create_commit, []
def start_and_wait(self, *args, **more):
    start(self, *args, **more)
    self.wait()
def commit_or_die(self, repo_id, operations, **more):
    commits.append(1)
    if len(commits) == 3:
        additions = [operation for operation in operations if hasattr(operation, "path_or_fileobj")]
        self.preupload_lfs_files(repo_id, additions, revision=more["revision"])
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(self, repo_id, operations, **more)
RevisionUploads.start, HfApi.create_commit = start_and_wait, commit_or_die
"""


def machine(folder: Path) -> list:
    """The options of the `trained` run on another machine, with its newest checkpoint on the Hub."""
    return [*TRAINED, "--dataset_name", folder / "pairs", "--output_dir", folder / "moved", "--checkpointing_steps", 1,
            "--push_to_hub", "--hub_strategy", "checkpoint"]  # fmt: skip


@pytest.fixture(scope="module")
def killed(data, hub, tmp_path_factory):
    """The machine of a run that SIGKILL ended after its third checkpoint, with half of that on the Hub."""
    folder = tmp_path_factory.mktemp("first")
    shutil.copytree(data, folder / "pairs")
    process = start_job(KILLED_IN_THE_THIRD_UPLOAD, *machine(folder), HF_TOKEN=hub.token)
    _, error = process.communicate(timeout=LONGEST)
    assert process.returncode == -signal.SIGKILL, error
    assert checkpoints(folder / "moved") == {"checkpoint-1", "checkpoint-2", "checkpoint-3"}
    return folder


def test_a_killed_run_goes_on_from_its_newest_checkpoint(killed, trained, run, data, tmp_path, caplog):
    """At the end of an epoch; a limit deletes the checkpoints before."""
    caplog.set_level("INFO")
    output = tmp_path / "run"
    shutil.copytree(killed / "moved", output)
    shutil.copytree(output / "checkpoint-3", output / "checkpoint-4.partial")  # killed in a save as well
    more = ("--resume_from_checkpoint", "latest", "--checkpoints_total_limit", 2, "--checkpointing_steps", 1)
    result = run(*TRAINED, "--dataset_name", data, "--output_dir", output, *more)
    assert result.status == 0 and f"Resumed from {output / 'checkpoint-3'}" in caplog.text
    assert "Other options than the checkpoint's" not in caplog.text and "Other data" not in caplog.text
    assert checkpoints(output) == {"checkpoint-4", "checkpoint-5"}
    assert [row["step"] for row in read_metrics(output / "metrics.csv")] == [1, 2, 3, 4, 5]
    assert_same(trained[0] / "checkpoint-5", output / "checkpoint-5")
    whole, broken = (load_file(folder / "generator" / "diffusion_pytorch_model.safetensors")
                     for folder in (trained[0], output))  # fmt: skip
    assert whole.keys() == broken.keys() and all(torch.equal(whole[name], broken[name]) for name in whole)


def test_a_killed_run_goes_on_on_another_machine(killed, trained, run, data, hub, monkeypatch, tmp_path):
    """In an epoch, as its last checkpoint is half uploaded; the second machine has nothing but the Hub."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    repo = hub.repos["models", f"{hub.user}/moved"]
    assert set(repo.refs) == {"main", "last-checkpoint"}
    assert set(repo.commits[repo.refs["main"]]) == {".gitattributes"}
    shutil.copytree(data, tmp_path / "pairs")
    result = run(*machine(tmp_path), "--resume_from_checkpoint", "hub")
    assert result.status == 0, result.stderr
    assert checkpoints(tmp_path / "moved") == {"checkpoint-3", "checkpoint-4", "checkpoint-5"}
    assert_same(trained[0] / "checkpoint-5", tmp_path / "moved" / "checkpoint-5")

    pipeline = SPADEPipeline.from_pretrained(f"{hub.user}/moved", revision="last-checkpoint")
    assert pipeline(mask(0)).images[0].size == (64, 64)
    files = {name: file.data for commit in repo.commits.values() for name, file in commit.items()}
    assert "optimizer.bin" in files and "samples/final.png" in files
    folders = [str(folder).encode() for folder in (killed, tmp_path)]
    names = [name for name, data in files.items() if any(text in data for text in (*folders, b"pytest-of-"))]
    assert names == []
    arguments = json.loads(repo.commits[repo.refs["last-checkpoint"]]["arguments.json"].data)
    assert (arguments["dataset_name"], arguments["output_dir"]) == ("pairs", "moved")
    assert not list((tmp_path / "moved").glob(".upload-*"))


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [2, 3])
def test_sigkill_while_a_checkpoint_is_written(killed_at, run, seven, tmp_path):
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
    process = start_job(code, *options(seven, tmp_path / "broken", *kept, steps=steps))
    process.communicate(timeout=LONGEST)
    assert process.returncode == -signal.SIGKILL
    whole = {f"checkpoint-{step}" for step in range(1, killed_at)}
    assert checkpoints(tmp_path / "broken") == whole | {f"checkpoint-{killed_at}.partial"}
    resumed = (*kept, "--resume_from_checkpoint", "latest")
    assert run(*options(seven, tmp_path / "broken", *resumed, steps=steps)).status == 0
    assert checkpoints(tmp_path / "broken") == {f"checkpoint-{step}" for step in range(1, steps + 1)}
    assert run(*options(seven, tmp_path / "whole", *kept, steps=steps)).status == 0
    assert_same(*(tmp_path / name / f"checkpoint-{steps}" for name in ("whole", "broken")))


def steps_done(output: Path) -> int:
    return max((int(name.split("-")[1]) for name in checkpoints(output) if name[-1].isdigit()), default=0)


@pytest.fixture
def job(seven, tmp_path):
    """Start a run with a data worker, in a session of processes of its own, and wait for its first checkpoint."""
    jobs = []

    def job(*more, code="", **environment):
        more = ("--checkpoints_total_limit", 1, "--dataloader_num_workers", 1, *more)
        jobs.append(start_job(code, *options(seven, tmp_path / "stopped", *more, steps=10_000), **environment))
        deadline = time.monotonic() + LONGEST
        while not steps_done(tmp_path / "stopped") and jobs[0].poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        return jobs[0]

    yield job
    for process in jobs:
        process.kill()
        process.communicate()


def stop_job(process: subprocess.Popen, number: signal.Signals, output: Path) -> tuple[str, list[str], str]:
    """End a job as a scheduler or a terminal does: every process gets the signal, the loader's workers, too.

    Returns what it said of its end on stdout, the lines that are expected there on any machine, and its stderr.
    """
    os.killpg(process.pid, number)
    printed, error = process.communicate(timeout=LONGEST)
    assert process.returncode == 128 + number, error
    assert "Traceback" not in error
    (left,) = checkpoints(output)
    assert SPADEPipeline.from_pretrained(str(output / left))(mask(0)).images[0].size == (32, 32)
    expected = [
        f"{number.name}: stopped after {steps_done(output)} of 10000 updates; saved {output / left}",
        "Continue: the same command with --resume_from_checkpoint latest",
        f"Paint with it: spade-hf generate MASK --model {output / left}",
    ]
    return printed.splitlines()[2:], expected, error


def test_ctrl_c_saves_and_exits(job, tmp_path):
    printed, expected, error = stop_job(job(), signal.SIGINT, tmp_path / "stopped")
    assert printed == expected
    assert "SIGINT: finishing the update and saving. Ctrl-C again quits at once.\n" in error


TRACKED = f"""
sys.path.insert(0, {str(ROOT)!r})
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from tests.file_tracker import FileTracker
LOGGER_TYPE_TO_CLASS[FileTracker.name] = FileTracker
"""


def test_sigterm_saves_uploads_and_exits(job, hub, tmp_path):
    """The last checkpoint goes to the Hub, and a tracker sees the end of the run."""
    push = ("--push_to_hub", "--hub_strategy", "checkpoint", "--report_to", "file")
    process = job(*push, code=TRACKED, HF_TOKEN=hub.token)
    printed, expected, error = stop_job(process, signal.SIGTERM, tmp_path / "stopped")
    expected.insert(2, "On another machine: the same command with --resume_from_checkpoint hub")
    assert printed == expected
    assert "SIGTERM: finishing the update and saving.\n" in error
    repo = hub.repos["models", f"{hub.user}/stopped"]
    state = json.loads(repo.commits[repo.refs["last-checkpoint"]]["training_state.json"].data)
    assert state["global_step"] == steps_done(tmp_path / "stopped")
    assert (tmp_path / "stopped" / "logs" / "finished").exists()


def test_a_second_ctrl_c_quits_at_once(seven, tmp_path):
    """While the first one's checkpoint is being written, which takes for ever here."""
    endless = (
        "import time\nfrom spade_hf import SPADEPipeline\nSPADEPipeline.save_pretrained = lambda *_: time.sleep(1000)"
    )
    process = start_job(endless, *options(seven, tmp_path / "out", "--checkpointing_steps", 10_000, steps=10_000))
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
