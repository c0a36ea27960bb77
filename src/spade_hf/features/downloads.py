"""Networks of others: folders, or downloads from the Hub."""

from pathlib import Path

from huggingface_hub import snapshot_download


NETWORK_FILES = ["*.json", "*.safetensors", "*inception*.pth"]  # that are downloaded


def fetch(name: str) -> Path:
    """Return the folder of a network; download it from the Hub if `name` is not a folder.

    Raises:
        ValueError: If the download fails.
    """
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, allow_patterns=NETWORK_FILES))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name!r} is not a folder, and can't be downloaded from the Hub: {error}") from error
