"""The tests' Hub server, asked by the real client."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi, get_token, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


CONFIG = b'{"width": 4}\n'
WEIGHTS = bytes(range(256)) * 100


@pytest.fixture
def api(hub) -> HfApi:
    return HfApi(token=hub.token)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "upload"
    (folder / "unet").mkdir(parents=True)
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "unet" / "model.safetensors").write_bytes(WEIGHTS)
    return folder


def test_client_is_directed_to_the_server(hub):
    assert HfApi().endpoint == hub.url
    assert get_token() is None


def test_upload_and_download(hub, api, folder, tmp_path):
    repo_id = f"{hub.user}/roundtrip"
    assert api.create_repo(repo_id).repo_id == repo_id
    commit = api.upload_folder(repo_id=repo_id, folder_path=folder)
    assert hub.repos["models", repo_id].commits[commit.oid]["unet/model.safetensors"].is_lfs

    path = hf_hub_download(repo_id, "unet/model.safetensors", cache_dir=tmp_path / "a")  # LFS, without a token
    assert Path(path).read_bytes() == WEIGHTS
    snapshot = Path(snapshot_download(repo_id, cache_dir=tmp_path / "b"))
    assert (snapshot / "config.json").read_bytes() == CONFIG
    assert (snapshot / "unet" / "model.safetensors").read_bytes() == WEIGHTS

    info = api.model_info(repo_id)
    assert info.sha == commit.oid
    assert [sibling.rfilename for sibling in info.siblings] == [
        ".gitattributes",
        "config.json",
        "unet/model.safetensors",
    ]


def test_replaced_repo_is_not_taken_from_the_cache(hub):
    for content in (b"first", b"second"):
        hub.add_repo("bob/replaced", {"config.json": content})
        assert Path(hf_hub_download("bob/replaced", "config.json")).read_bytes() == content
        assert Path(hf_hub_download("bob/replaced", "config.json", local_files_only=True)).read_bytes() == content


def test_create_repo_twice(hub, api):
    repo_id = f"{hub.user}/twice"
    api.create_repo(repo_id)
    assert api.create_repo(repo_id, exist_ok=True).repo_id == repo_id
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(repo_id)


def test_unchanged_files_are_not_uploaded_again(hub, api, folder):
    repo_id = f"{hub.user}/unchanged"
    api.create_repo(repo_id)
    api.upload_folder(repo_id=repo_id, folder_path=folder)
    before = len(hub.requests)
    api.upload_folder(repo_id=repo_id, folder_path=folder)
    assert not [request for request in hub.requests[before:] if "/cdn/" in request or "/commit/" in request]


def test_revisions(hub, api, tmp_path):
    repo_id = f"{hub.user}/revisions"
    api.create_repo(repo_id)
    api.upload_file(repo_id=repo_id, path_or_fileobj=b"one", path_in_repo="text.txt")
    api.create_tag(repo_id, tag="v1")
    api.create_branch(repo_id, branch="dev/x")
    api.upload_file(repo_id=repo_id, path_or_fileobj=b"two", path_in_repo="text.txt")
    api.upload_file(repo_id=repo_id, path_or_fileobj=b"three", path_in_repo="text.txt", revision="dev/x")

    for revision, content in {"v1": b"one", "main": b"two", "dev/x": b"three"}.items():
        path = hf_hub_download(repo_id, "text.txt", revision=revision, cache_dir=tmp_path)
        assert Path(path).read_bytes() == content
    with pytest.raises(RevisionNotFoundError, match="v2"):
        hf_hub_download(repo_id, "text.txt", revision="v2", cache_dir=tmp_path)


def test_a_branch_is_made_once(hub, api):
    repo_id = f"{hub.user}/branch-twice"
    api.create_repo(repo_id)
    api.create_branch(repo_id, branch="step-1")
    api.upload_file(repo_id=repo_id, path_or_fileobj=b"one", path_in_repo="text.txt", revision="step-1")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(repo_id, branch="step-1")
    api.create_branch(repo_id, branch="step-1", exist_ok=True)
    assert "text.txt" in api.list_repo_files(repo_id, revision="step-1")


def test_delete_file(hub, api):
    repo_id = f"{hub.user}/delete"
    api.create_repo(repo_id)
    api.upload_file(repo_id=repo_id, path_or_fileobj=b"one", path_in_repo="text.txt")
    api.delete_file("text.txt", repo_id=repo_id)
    assert api.list_repo_files(repo_id) == [".gitattributes"]


def test_private_repo_needs_the_token(hub, api, tmp_path):
    repo_id = f"{hub.user}/private"
    api.create_repo(repo_id, private=True)
    api.upload_file(repo_id=repo_id, path_or_fileobj=b"secret", path_in_repo="text.txt")
    with pytest.raises(RepositoryNotFoundError, match="401"):
        hf_hub_download(repo_id, "text.txt", cache_dir=tmp_path)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        hf_hub_download(repo_id, "text.txt", cache_dir=tmp_path, token="hf_wrong")
    path = hf_hub_download(repo_id, "text.txt", cache_dir=tmp_path, token=hub.token)
    assert Path(path).read_bytes() == b"secret"


def test_writing_needs_the_token(hub, api):
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi().create_repo(f"{hub.user}/anonymous")
    api.create_repo(f"{hub.user}/read-only")
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi().upload_file(repo_id=f"{hub.user}/read-only", path_or_fileobj=b"x", path_in_repo="x.txt")


def test_missing_file_and_repo(hub, api, tmp_path):
    repo_id = f"{hub.user}/missing"
    api.create_repo(repo_id)
    with pytest.raises(EntryNotFoundError, match="absent.txt"):
        hf_hub_download(repo_id, "absent.txt", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError, match="Repository Not Found"):
        hf_hub_download(f"{hub.user}/absent", "config.json", cache_dir=tmp_path, token=hub.token)


def test_dataset_repo(hub, api, tmp_path):
    datasets = pytest.importorskip("datasets")
    repo_id = f"{hub.user}/numbers"
    datasets.Dataset.from_dict({"x": [1, 2, 3]}).to_parquet(tmp_path / "train.parquet")
    api.create_repo(repo_id, repo_type="dataset")
    api.upload_file(
        repo_id=repo_id,
        repo_type="dataset",
        path_or_fileobj=tmp_path / "train.parquet",
        path_in_repo="data/train.parquet",
    )
    assert datasets.load_dataset(repo_id, cache_dir=str(tmp_path / "cache"))["train"]["x"][:] == [1, 2, 3]
