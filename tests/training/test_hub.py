"""Uploads beside the training, to the tests' own Hub."""

import os
import time

import pytest

from spade_hf.hub.repositories import open_repository
from spade_hf.training.hub import RevisionUploads


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
    warnings = [record.getMessage() for record in caplog.records if record.name == "spade_hf.training.hub"]
    assert warnings == [
        f"Revision step-{number} is not uploaded to {uploads.repo_id}: the previous upload is still running. "
        f"Revision step-{number + 1} is next."
        for number in (1, 2)
    ]
