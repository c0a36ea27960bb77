"""Put the demo on the Hugging Face Hub: `python spaces_demo/deploy.py USER/SPACE`.

Builds the package's wheel, assembles a Space folder (this folder's app.py, README.md, requirements.txt and pictures,
and the wheel's content, because the package is not on PyPI) and uploads it. Log in first: `hf auth login`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from huggingface_hub import HfApi


HERE = Path(__file__).resolve().parent
SPACE_FILES = ("app.py", "README.md", "requirements.txt", "*.png", "*.jpg")
HARDWARE = "zero-a10g"  # ZeroGPU
# The Hub's documentation, spaces-overview, July 2026.
PLANS = """A free account in good standing can host two Gradio Spaces on ZeroGPU (--hardware zero-a10g), and any number
of static Spaces: spaces_demo/browser/build.py makes one of this demo. Gradio Spaces on other hardware, such as a CPU
(--hardware cpu-basic), need a paid plan."""


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel in `folder`, and return its path."""
    # From a copy: otherwise setuptools leaves its build folder in the checkout, and reuses stale files in it.
    source = folder / "source"
    source.mkdir(parents=True)
    root = HERE.parent
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (root / name).exists():
            shutil.copy(root / name, source)
    shutil.copytree(root / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def assemble(folder: Path, wheel: Path) -> None:
    """Fill the folder of a Space.

    Args:
        folder (`Path`): Created if it does not exist.
        wheel (`Path`): From `build_wheel`. It is unpacked: when the Hub installs the requirements, a Space's own files
            do not exist yet, and those of a private Space cannot be fetched by URL.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in SPACE_FILES:
        for path in HERE.glob(pattern):
            shutil.copy(path, folder)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def upload(folder: Path, repo_id: str, *, private: bool = False, hardware: str = HARDWARE) -> str:
    """Create the Space if it does not exist, upload the folder in one commit, and return the Space's address."""
    api = HfApi()
    url = api.create_repo(
        repo_id, repo_type="space", space_sdk="gradio", space_hardware=hardware, private=private, exist_ok=True
    )
    api.upload_folder(
        repo_id=repo_id, repo_type="space", folder_path=folder, commit_message="Painting demo",
        delete_patterns=["spade_hf/**", "spade_hf_cli/**", "spade_hf-*/**"],  # files of an older version
    )  # fmt: skip
    return str(url)


def main(arguments: list[str] | None = None) -> None:
    """Build, assemble, upload."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repo_id", nargs="?", help="USER/SPACE on the Hub; omit it with --folder to look first")
    parser.add_argument("--folder", type=Path, help="assemble here and keep it; default: a temporary folder")
    parser.add_argument("--private", action="store_true", help="make a new Space private")
    parser.add_argument("--hardware", default=HARDWARE, help="hardware of a new Space; default: ZeroGPU")
    args = parser.parse_args(arguments)
    if args.repo_id is None and args.folder is None:
        parser.error("give USER/SPACE to upload, --folder to assemble, or both")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary, "space")
        assemble(folder, build_wheel(Path(temporary, "wheel")))
        if args.repo_id is None:
            print(folder)
            return
        print(PLANS, file=sys.stderr)
        print(upload(folder, args.repo_id, private=args.private, hardware=args.hardware))


if __name__ == "__main__":
    main()
