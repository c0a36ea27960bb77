"""Files of evaluation networks, in folders or on the Hub."""

import json
from pathlib import Path

from huggingface_hub import snapshot_download


FILES = ["*.json", "*.safetensors", "*inception*.pth"]


def fetch(name: str) -> Path:
    """Return the folder of a network; download it from the Hub if `name` is not a folder.

    Raises:
        ValueError: If the download fails.
    """
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name!r} is not a folder, and can't be downloaded from the Hub: {error}") from error


def inception_weights(folder: Path) -> Path | None:
    """Find the weights file of an Inception-v3, by its name or in timm's folder layout; `None` if there is none."""
    named = sorted(file for suffix in ("safetensors", "pth") for file in folder.glob(f"*inception*.{suffix}"))
    if named:
        return named[0]
    config = folder / "config.json"
    try:
        architecture = json.loads(config.read_text(encoding="utf-8")).get("architecture", "")
    except (OSError, ValueError, AttributeError):
        return None
    return folder / "model.safetensors" if str(architecture).startswith("inception_v3") else None
