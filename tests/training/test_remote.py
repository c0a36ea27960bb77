"""Uploads beside the training, to the tests' own Hub."""

import os
import time

import pytest

from spade_hf.hub.repositories import open_repository
from spade_hf.training import RevisionUploads, upload


@pytest.fixture(autouse=True)
def login(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)


def model(folder):
    folder.mkdir()
    (folder / "README.md").write_text(folder.name)
    return folder


def test_a_repository_that_must_be_private(hub):
    name = open_repository("secret-photos", private=True)
    assert hub.repos["models", name].is_private
    assert open_repository("secret-photos", private=True) == name  # a second run
    assert open_repository("shown-photos", private=False) == f"{hub.user}/shown-photos"
    message = f"`private`: the repository '{hub.user}/shown-photos' already exists and is public"
    with pytest.raises(ValueError, match=message):
        open_repository("shown-photos", private=True)


def test_a_branch_holds_exactly_the_folders_files(hub, tmp_path):
    """Files of the commit before are gone: a pipeline of two versions would load, and paint nonsense."""
    uploads = RevisionUploads(open_repository("exact", private=False))
    for number in range(2):
        folder = model(tmp_path / f"copy-{number}")
        (folder / f"weights-{number}.safetensors").write_bytes(b"%d" % number)
        uploads.start(folder, "step-1")
        assert uploads.wait()
    repo = hub.repos["models", uploads.repo_id]
    assert set(repo.commits[repo.refs["step-1"]]) == {".gitattributes", "README.md", "weights-1.safetensors"}


def test_a_failed_upload_costs_a_warning(hub, tmp_path, caplog):
    uploads = RevisionUploads(open_repository("refused", private=False))
    hub.repos["models", uploads.repo_id].refs["step-1"] = "lost"  # a branch whose commit is gone
    results = []
    for step in ("step-1", "step-2"):
        uploads.start(model(tmp_path / step), step)
        results.append(uploads.wait())
    assert results == [False, True] and os.listdir(tmp_path) == []
    (warning,) = [text for text in caplog.messages if "was not uploaded" in text]
    assert warning.startswith(f"Revision step-1 was not uploaded to {uploads.repo_id}: ") and "404" in warning


def test_only_what_a_run_publishes_is_uploaded(hub, tmp_path):
    """Logs can be anywhere in the folder, also in its root, and other files be anyone's."""
    names = (
        "README.md",
        "model_index.json",
        "generator/config.json",
        "samples/final.png",
        "samples/gallery-1-mask.png",
        "losses.png",
    )
    private = (
        *("logs/hparams.yml", "spade/events", "notes.txt", "samples/step-0000001.png", "generator/code.py"),
        *("checkpoint-1/optimizer.bin", ".upload-abcdefgh/x"),
    )
    for name in (*names, *private):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "README.md").write_text("---\nlibrary_name: spade-hf\n---\n")
    repo_id = open_repository("published", private=False)
    upload(tmp_path, repo_id)
    repo = hub.repos["models", repo_id]
    assert set(repo.commits[repo.refs["main"]]) == {".gitattributes", *names}
    repo.refs["main"] = "lost"
    with pytest.raises(
        OSError, match=rf"was not uploaded to {repo_id}: .*404.* with `resume_from_checkpoint=latest`\."
    ):
        upload(tmp_path, repo_id)


def test_no_upload_waits_for_another(hub, tmp_path, caplog):
    """While the Hub hangs, one upload runs and the newest one waits; those between are left out, and said to be."""
    uploads = RevisionUploads(open_repository("slow", private=False))
    folders = [model(tmp_path / f"step-{number}") for number in range(4)]
    begun = f"POST /api/models/{uploads.repo_id}/branch/step-0"
    with hub.lock:
        uploads.start(folders[0], "step-0")
        while begun not in hub.requests:
            time.sleep(0.01)
        for folder in folders[1:]:
            uploads.start(folder, folder.name)  # would hang here, as the Hub does
        assert [folder.exists() for folder in folders] == [True, False, False, True]
    uploads.wait()
    assert set(hub.repos["models", uploads.repo_id].refs) == {"main", "step-0", "step-3"}
    assert os.listdir(tmp_path) == []
    warnings = [record.getMessage() for record in caplog.records if record.name == "spade_hf.training.remote"]
    assert warnings == [
        f"Revision step-{number} is not uploaded to {uploads.repo_id}: the previous upload is still running. "
        f"Revision step-{number + 1} is next."
        for number in (1, 2)
    ]
