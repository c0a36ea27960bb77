"""The Space: its card, its requirements, and the command that puts it on the Hub."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import gradio
import pytest
from huggingface_hub import RepoCard, snapshot_download
from packaging.requirements import Requirement

from ..demo.conftest import tiny_pipeline


ROOT = Path(__file__).parents[2]
SPACE = ROOT / "spaces_demo"


@pytest.fixture(scope="module")
def deploy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy", SPACE / "deploy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(deploy: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Space, assembled."""
    folder = tmp_path_factory.mktemp("space")
    deploy.assemble(folder, deploy.build_wheel(tmp_path_factory.mktemp("wheel")))
    return folder


def test_the_card_is_complete():
    card = RepoCard.load(SPACE / "README.md", ignore_metadata_errors=False)
    data = card.data.to_dict()
    expected = {
        "sdk": "gradio", "sdk_version": gradio.__version__, "app_file": "app.py", "license": "apache-2.0",
        "python_version": "3.12", "suggested_hardware": "zero-a10g",
    }  # fmt: skip
    assert expected.items() <= data.items()
    assert {"title", "emoji", "colorFrom", "colorTo", "short_description", "tags"} <= data.keys()
    assert len(data["short_description"]) <= 60  # the Hub's limit
    pictures = re.findall(r"!\[.*?\]\((.+?)\)|<img src=\"(.+?)\"", card.text)
    assert len(pictures) == 2
    for picture in map("".join, pictures):
        assert (SPACE / picture).stat().st_size < 300_000


def test_the_requirements_are_the_packages(folder):
    metadata = next(folder.glob("spade_hf-*.dist-info")).joinpath("METADATA").read_text()
    declared = re.findall(r"^Requires-Dist: (\S+?)(?:; extra == \"(\w+)\")?$", metadata, flags=re.MULTILINE)
    needed = {requirement for requirement, extra in declared if extra in ("", "demo")}
    lines = (SPACE / "requirements.txt").read_text().splitlines()
    asked = {line for line in lines if line and not line.startswith(("#", "--"))}
    (torch,) = (line for line in asked if line.startswith("torch=="))
    (ours,) = (requirement for requirement in needed if Requirement(requirement).name == "torch")
    assert Requirement(ours).specifier.contains(torch.removeprefix("torch=="))
    assert torch.removeprefix("torch==") in ("2.8.0", "2.9.1", "2.10.0", "2.11.0")  # what ZeroGPU takes
    assert asked - {torch} == needed - {ours}


def test_the_folder_runs_by_itself_and_without_network(folder, tmp_path):
    """In a process that knows the package from nowhere else, and where every connection but to this machine fails."""
    tiny_pipeline().save_pretrained(tmp_path / "model")
    code = (
        "import socket\n"
        "connect = socket.socket.connect\n"
        "def connect_here(self, address):\n"
        "    if isinstance(address, tuple) and address[0] not in ('127.0.0.1', 'localhost', '::1'):\n"
        "        print('CALLED', address, flush=True); raise OSError('no network')\n"
        "    return connect(self, address)\n"
        "socket.socket.connect = connect_here\n"
        "import app, gradio, spade_hf\n"
        "gradio.Blocks.block_thread = lambda self: print('SERVES', spade_hf.__file__, flush=True)\n"
        "app.main()\n"
    )
    environment = {**os.environ, "SPADE_MODEL_ID": str(tmp_path / "model"), "PYTHONPATH": ""}
    environment.pop("GRADIO_ANALYTICS_ENABLED", None)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert f"SERVES {folder}/spade_hf/__init__.py" in result.stdout, result.stderr
    assert "CALLED" not in result.stdout


def test_upload(deploy, folder, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    repo_id = f"{hub.user}/paint"
    url = deploy.upload(folder, repo_id)
    assert url == f"{hub.url}/spaces/{repo_id}"
    older = ("spade_hf/old.py", "spade_hf_cli/old.py", "spade_hf-0.0.dist-info/METADATA")
    for name in older:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    deploy.upload(folder, repo_id)
    for name in older:
        (folder / name).unlink()
    deploy.upload(folder, repo_id)

    pulled = Path(snapshot_download(repo_id, repo_type="space"))
    sent = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    sent = {name: path for name, path in sent.items() if "__pycache__" not in name and not name.startswith(".")}
    assert {"app.py", "README.md", "requirements.txt", "spade_hf/demo/page/mask_canvas.js"} <= sent.keys()
    for name, path in sent.items():
        assert (pulled / name).read_bytes() == path.read_bytes(), name
    assert not [name for name in older if (pulled / name).exists()]


def test_the_command(deploy, folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(deploy, "build_wheel", lambda _: next(tmp_path.glob("*.whl")))
    (tmp_path / "x.whl").write_bytes(b"PK\x05\x06" + b"\0" * 18)  # an empty archive
    deploy.main(["--folder", str(tmp_path / "out")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    assert (tmp_path / "out" / "app.py").exists()
    with pytest.raises(SystemExit, match="2"):
        deploy.main([])
    monkeypatch.setattr(deploy, "upload", lambda folder, repo_id, **options: f"{repo_id} {options}")
    deploy.main(["--folder", str(tmp_path / "out"), "alice/paint", "--hardware", "cpu-basic"])
    said = capsys.readouterr()
    assert said.out.strip() == "alice/paint {'private': False, 'hardware': 'cpu-basic'}"
    assert "A free account" in said.err and "static Spaces" in said.err
