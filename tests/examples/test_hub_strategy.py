"""What the training script pushes on the way: a revision for each checkpoint, or the newest checkpoint, to resume."""

import json
import resource
import shutil
import signal
import tempfile

import pytest
import torch
from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, hf_hub_download
from huggingface_hub.errors import HTTPError

from spade_hf import SPADEGenerator, SPADEPipeline
from spade_hf.training import CheckpointManager, RevisionUploads, StopOnSignal, download_checkpoint

from ..training_data import mask, write_imagefolder
from .programs import SMALL, checkpoints
from .test_exact_resume import assert_same, start


@pytest.fixture
def push(run, hub, monkeypatch, tmp_path):
    """Train two updates with a checkpoint after each, and push; the run's result, its repository and folder."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    data = write_imagefolder(tmp_path / "pairs")

    def push(name, *more):
        result = run(
            *SMALL, "--dataset_name", data, "--output_dir", tmp_path / name, "--max_train_steps", 2,
            "--checkpointing_steps", 1, "--push_to_hub", *more,
        )  # fmt: skip
        return result, f"{hub.user}/{name}", tmp_path / name

    return push


def load(repo_id, **options):
    return SPADEPipeline.from_pretrained(repo_id, **options)


def differing(first, second):
    """Names of parameters; batch statistics are estimated for each pipeline."""
    ours, others = dict(first.named_parameters()), dict(second.named_parameters())
    assert ours.keys() == others.keys()
    return [name for name in ours if not torch.allclose(ours[name], others[name], rtol=1e-6, atol=1e-7)]


def test_a_revision_for_each_checkpoint(push, hub):
    result, repo_id, output = push("steps", "--hub_strategy", "every_save")
    assert result.status == 0
    first, second = (load(repo_id, revision=f"step-000000{step}") for step in (1, 2))
    assert differing(first.generator, second.generator) and differing(first.style_encoder, second.style_encoder)
    assert differing(second.generator, load(repo_id).generator) == []  # the end of the run is the last checkpoint
    average = SPADEGenerator.from_pretrained(str(output / "checkpoint-1"), subfolder="generator_ema")
    average.fuse_spectral_norm()
    assert differing(first.generator, average) == []

    card = ModelCard.load(hf_hub_download(repo_id, "README.md", revision="step-0000001"))
    assert (
        f'from_pretrained("{repo_id}", revision="step-0000001")' in card.text and "1 updates on 6 pairs" in card.text
    )
    for revision in ("main", "step-0000001", "step-0000002"):
        files = HfApi().list_repo_files(repo_id, revision=revision)
        assert {"model_index.json", "samples/final.png"} <= set(files)
        assert not [name for name in files if "checkpoint-" in name or name.endswith((".bin", ".pkl"))]
    assert set(hub.repos["models", repo_id].refs) == {"main", "step-0000001", "step-0000002"}


def test_a_repeated_step_gets_a_new_commit(push):
    _, repo_id, output = push("again", "--hub_strategy", "every_save")
    before = load(repo_id, revision="step-0000001")
    shutil.rmtree(output)
    result, *_ = push("again", "--hub_strategy", "every_save", "--seed", 1)
    assert result.status == 0
    assert differing(before.generator, load(repo_id, revision="step-0000001").generator)


def test_a_failed_upload_costs_a_warning(push, hub, caplog):
    api = HfApi(token=hub.token)
    repo_id = api.create_repo("refused").repo_id
    hub.repos["models", repo_id].refs["step-0000001"] = "lost"  # a branch whose commit is gone
    result, *_ = push("refused", "--hub_strategy", "every_save")
    assert result.status == 0
    (warning,) = [record.getMessage() for record in caplog.records if "was not uploaded" in record.getMessage()]
    assert warning.startswith(f"Revision step-0000001 was not uploaded to {repo_id}: ") and "404" in warning
    assert differing(load(repo_id, revision="step-0000002").generator, load(repo_id).generator) == []


def test_pipelines_are_staged_beside_the_checkpoints(push, monkeypatch, tmp_path):
    """Not in the folder for temporary files, which can be small, and keeps what a killed run left."""
    left = tmp_path / "staged" / ".upload-abcdefgh"
    left.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "full"))  # it does not even exist
    result, repo_id, output = push("staged", "--hub_strategy", "every_save")
    assert result.status == 0 and not list(output.glob(".upload-*"))
    assert load(repo_id, revision="step-0000001").generator is not None


@pytest.mark.parametrize("strategy", ["every_save", "checkpoint"])
def test_a_copy_that_cannot_be_written_costs_a_warning(strategy, push, monkeypatch, caplog):
    """As on a full disk: no file of the copy can have a single byte."""
    before, mkdtemp = resource.getrlimit(resource.RLIMIT_FSIZE), tempfile.mkdtemp

    def full(*given, **options):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        return mkdtemp(*given, **options)

    def warn(self, name, error):
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        warned(self, name, error)

    warned = RevisionUploads.warn
    try:
        with monkeypatch.context() as patch:
            patch.setattr("spade_hf.training.publishing.tempfile.mkdtemp", full)
            patch.setattr(RevisionUploads, "warn", warn)
            result, repo_id, output = push(f"full-{strategy}".replace("_", "-"), "--hub_strategy", strategy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.status == 0 and checkpoints(output) == {"checkpoint-1", "checkpoint-2"}
    warnings = [text for text in caplog.messages if "was not uploaded" in text]
    names = {"every_save": "Revision step-000000{}", "checkpoint": "checkpoint-{}"}[strategy]
    assert [text.partition(" was not uploaded")[0] for text in warnings] == [names.format(step) for step in (1, 2)]
    assert "'s copy cannot be written to " in warnings[0] and "Training continues" in warnings[0]
    assert not list(output.glob(".upload-*"))
    assert set(load(repo_id).components)  # the end of the run is there


def test_only_the_end_by_default(push, hub):
    result, repo_id, _ = push("plain")
    assert result.status == 0 and set(hub.repos["models", repo_id].refs) == {"main"}


def test_the_upload_at_the_end_must_not_fail(push, hub):
    repo_id = HfApi(token=hub.token).create_repo("broken").repo_id
    hub.repos["models", repo_id].refs["main"] = "lost"
    result, *_ = push("broken")
    assert result.status == 2 and "Traceback" not in result.stderr
    assert f" was not uploaded to {repo_id}: 404 " in result.stderr.splitlines()[-1]


class Killed(BaseException):
    """As SIGKILL: no handler in the script sees it."""


@pytest.fixture
def machine(run, hub, monkeypatch, tmp_path):
    """Train five updates in the folder of a machine of its own, to be killed after an update's checkpoint."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    save, start, uploads = CheckpointManager.save, RevisionUploads.start, []
    monkeypatch.setattr(
        RevisionUploads, "start", lambda *args, **more: (uploads.append(args[0]), start(*args, **more))
    )
    for name in ("first", "second"):
        write_imagefolder(tmp_path / name / "pairs", count=7)

    def machine(name, *more, model="moved", killed_after=None):
        def save_and_die(self, state, pipeline):
            if state.global_step - 1 == killed_after:
                uploads[-1].wait()  # for the checkpoint before
                raise Killed
            return save(self, state, pipeline)

        monkeypatch.setattr(CheckpointManager, "save", save_and_die)
        return run(*machine.options(name, model), *more)

    machine.options = lambda name, model="moved": [
        *SMALL, "--dataset_name", tmp_path / name / "pairs", "--output_dir", tmp_path / name / model,
        "--max_train_steps", 5, "--checkpointing_steps", 1, "--push_to_hub", "--hub_strategy", "checkpoint",
    ]  # fmt: skip
    return machine


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


def test_a_run_goes_on_on_another_machine(machine, run, hub, tmp_path):
    """SIGKILL in an epoch, with the third checkpoint half uploaded; the second machine has nothing but the Hub."""
    process = start(KILLED_IN_THE_THIRD_UPLOAD, *machine.options("first"))
    _, error = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, error
    assert checkpoints(tmp_path / "first" / "moved") == {"checkpoint-1", "checkpoint-2", "checkpoint-3"}
    repo = hub.repos["models", f"{hub.user}/moved"]
    assert set(repo.refs) == {"main", "last-checkpoint"}
    assert set(repo.commits[repo.refs["main"]]) == {".gitattributes"}
    shutil.rmtree(tmp_path / "first")

    result = machine("second", "--resume_from_checkpoint", "hub")
    assert result.status == 0, result.stderr
    assert checkpoints(tmp_path / "second" / "moved") == {"checkpoint-3", "checkpoint-4", "checkpoint-5"}
    whole = run(
        *SMALL, "--dataset_name", tmp_path / "second" / "pairs", "--output_dir", tmp_path / "whole",
        "--max_train_steps", 5, "--checkpointing_steps", 1,
    )  # fmt: skip
    assert whole.status == 0
    assert_same(tmp_path / "whole" / "checkpoint-5", tmp_path / "second" / "moved" / "checkpoint-5")

    assert load(f"{hub.user}/moved", revision="last-checkpoint")(mask(0)).images[0].size == (32, 32)
    files = {name: file.data for commit in repo.commits.values() for name, file in commit.items()}
    assert "optimizer.bin" in files and "samples/final.png" in files
    names = [name for name, data in files.items() if str(tmp_path).encode() in data or b"pytest-of-" in data]
    assert names == []
    arguments = json.loads(repo.commits[repo.refs["last-checkpoint"]]["arguments.json"].data)
    assert (arguments["dataset_name"], arguments["output_dir"]) == ("pairs", "moved")
    assert not list((tmp_path / "second" / "moved").glob(".upload-*"))


def test_a_partial_upload_is_not_resumed_from(machine, hub, tmp_path):
    with pytest.raises(Killed):
        machine("first", model="torn", killed_after=2)
    repo = hub.repos["models", f"{hub.user}/torn"]
    newest = repo.commits[repo.refs["last-checkpoint"]]
    older = next(
        files for files in repo.commits.values() if files.get("optimizer.bin") not in (None, newest["optimizer.bin"])
    )
    torn = {
        "training_state.json is newer": older | {"training_state.json": newest["training_state.json"]},
        "optimizer.bin is newer": older | {"optimizer.bin": newest["optimizer.bin"]},
        "checksums.json is newer": older | {"checksums.json": newest["checksums.json"]},
        "a file is missing": {name: file for name, file in newest.items() if name != "optimizer.bin"},
        "no checksums": {name: file for name, file in newest.items() if name != "checksums.json"},
        "nothing yet": repo.commits[repo.refs["main"]],
    }
    for what, files in torn.items():
        repo.commit("last-checkpoint", files)
        result = machine("second", "--resume_from_checkpoint", "hub", model="torn")
        assert result.status == 2, what
        assert f"error: Revision 'last-checkpoint' of '{hub.user}/torn' (commit " in result.stderr, what
        assert "is not a complete checkpoint: " in result.stderr and "--resume_from_checkpoint FOLDER" in result.stderr
    assert not checkpoints(tmp_path / "second" / "torn")

    repo.commit("last-checkpoint", newest)
    assert machine("second", "--resume_from_checkpoint", "hub", model="torn").status == 0


def test_an_upload_that_fails_half_way_leaves_the_checkpoint_before(hub, monkeypatch, tmp_path, caplog):
    """The commit names all files at once: without it, the Hub shows none of what was uploaded."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    uploads = RevisionUploads(HfApi().create_repo("halfway").repo_id)
    for step in (1, 2):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"%d" % step)
        (folder / f"only-{step}.json").write_text("{}")
        if step == 2:
            monkeypatch.setattr(HfApi, "create_commit", fail_after_the_files)
        uploads.start(folder, "last-checkpoint", name=folder.name)
        assert uploads.wait() is (step == 1)
    repo = hub.repos["models", uploads.repo_id]
    assert b"2" in hub.lfs_objects.values()
    files = repo.commits[repo.refs["last-checkpoint"]]
    assert set(files) == {".gitattributes", "weights.safetensors", "only-1.json"}
    assert files["weights.safetensors"].data == b"1"
    assert "checkpoint-2 was not uploaded to alice/halfway: the line is dead." in caplog.text


def fail_after_the_files(api, repo_id, operations, *, revision, **_):
    additions = [operation for operation in operations if isinstance(operation, CommitOperationAdd)]
    api.preupload_lfs_files(repo_id, additions, revision=revision)
    raise ConnectionError("the line is dead")


def test_nothing_to_resume_from(machine, hub, monkeypatch):
    result = machine("second", "--resume_from_checkpoint", "hub", model="nowhere")
    assert result.status == 2
    assert result.stderr.splitlines()[-1].startswith(
        f"error: There is no repository '{hub.user}/nowhere' to resume from, or it is private and you are not logged "
        "in. Name it with --hub_model_id, log in with `hf auth login`, or start without --resume_from_checkpoint."
    )
    assert ("models", f"{hub.user}/nowhere") not in hub.repos

    HfApi().create_repo("fresh")
    result = machine("second", "--resume_from_checkpoint", "hub", model="fresh")
    assert result.status == 2
    assert f"The repository '{hub.user}/fresh' has no revision 'last-checkpoint' to resume from" in result.stderr

    result = machine("second", "--resume_from_checkpoint", "hub", "--hub_model_id", "bad name/x/y")
    assert result.status == 2 and "cannot be downloaded: Repo id must" in result.stderr
    monkeypatch.delenv("HF_TOKEN")
    result = machine("second", "--resume_from_checkpoint", "hub", model="fresh")
    assert result.status == 2 and "Name the repository as owner/name with --hub_model_id, or log in" in result.stderr


def test_no_old_download_while_the_hub_is_away(machine, hub, monkeypatch):
    with pytest.raises(Killed):
        machine("first", model="away", killed_after=2)
    download_checkpoint(f"{hub.user}/away")  # now it is in the cache
    monkeypatch.setattr(HfApi, "model_info", refuse)
    result = machine("second", "--resume_from_checkpoint", "hub", model="away")
    assert result.status == 2 and "cannot be downloaded: no network." in result.stderr


def refuse(*_, **__):
    raise HTTPError("no network")


def test_a_stopped_run_uploads_its_last_checkpoint(machine, hub, monkeypatch):
    monkeypatch.setattr(StopOnSignal, "check", lambda self: setattr(self, "is_requested", True) or True)
    result = machine("first", "--checkpointing_steps", 1000, model="stopped")
    assert result.status == 143
    assert "On another machine: the same command with --resume_from_checkpoint hub\n" in result.stdout
    repo = hub.repos["models", f"{hub.user}/stopped"]
    state = json.loads(repo.commits[repo.refs["last-checkpoint"]]["training_state.json"].data)
    assert state["global_step"] == 1
