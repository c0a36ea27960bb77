"""Networks that judge, in folders or on the Hub."""

import json
from pathlib import Path

from huggingface_hub import snapshot_download


FILES = ["*.json", "*.safetensors", "*inception*.pth"]


def fetch(name: str) -> Path:
    """The folder of a network; downloads it from the Hub if it is not a folder.

    Raises:
        ValueError: If that fails.
    """
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name!r} is not a folder, and can't be downloaded from the Hub: {error}") from error


def inception_weights(folder: Path) -> Path | None:
    """The weights file of an Inception-v3, in a folder as timm has them or by its name; `None` if there is none."""
    named = sorted(file for suffix in ("safetensors", "pth") for file in folder.glob(f"*inception*.{suffix}"))
    if named:
        return named[0]
    config = folder / "config.json"
    try:
        architecture = json.loads(config.read_text(encoding="utf-8")).get("architecture", "")
    except (OSError, ValueError, AttributeError):
        return None
    return folder / "model.safetensors" if str(architecture).startswith("inception_v3") else None
