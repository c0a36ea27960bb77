"""Files of a run that are whole: checksums of checkpoints, what is flushed to the disk, errors of a full disk."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError


STATE_FILE, ARGUMENTS_FILE, CHECKSUMS_FILE = "training_state.json", "arguments.json", "checksums.json"


class DamagedCheckpointError(ValueError):
    """Error for a checkpoint that cannot be used, because one of its files is missing or damaged."""


def one_line(error: Exception) -> str:
    """Return an error's message in one line; torch and the Hub write lists over several ones."""
    return " ".join(str(error).split())


def damaged(what: str, error: Exception) -> DamagedCheckpointError:
    """Build the error for a file that cannot be used."""
    return DamagedCheckpointError(f"{what}: {one_line(error)}")


def verify_checkpoint(checkpoint: Path) -> None:
    """Read every file of a checkpoint and verify its checksum.

    Raises:
        DamagedCheckpointError: If a file is missing or damaged; the message names it.
    """
    if not (checkpoint / STATE_FILE).exists():
        raise DamagedCheckpointError(f"{checkpoint} is not a complete checkpoint: it has no {STATE_FILE}.")
    _parse(checkpoint / STATE_FILE)
    if not (checkpoint / CHECKSUMS_FILE).exists():  # an older checkpoint without checksums
        return
    for name, recorded in _parse(checkpoint / CHECKSUMS_FILE).items():
        file = checkpoint / name
        if not file.is_file():
            raise DamagedCheckpointError(f"{checkpoint} is damaged: it has no {name}.")
        if checksum(file) != recorded:
            raise DamagedCheckpointError(f"{file} is damaged: its checksum differs from the recorded one.")


def _parse(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise damaged(f"{file} is damaged", error) from error


def checksums(folder: Path) -> dict[str, str]:
    """Compute the checksums of all files, by their path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): checksum(file) for file in files}


def checksum(file: Path) -> str:
    """Compute the SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_json(file: Path) -> dict[str, Any] | None:
    """Read one of a checkpoint's JSON files; `None` if it is not there, as in older checkpoints, or not readable."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Write a checkpoint's JSON file."""
    file.write_text(json.dumps(values, indent=2, default=str) + "\n")


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk, so that they survive a machine failure."""
    if path.is_file():
        with path.open("r+b") as content:  # Windows cannot sync a file that is opened read-only
            os.fsync(content.fileno())
    elif os.name != "nt":  # Windows cannot open folders
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def writing(what: str, folder: Path, *, advice: str) -> Iterator[None]:
    """Context in which errors of writing get a message for users.

    Args:
        what (`str`): Name of what is written.
        folder (`Path`): An existing folder on the disk that it is written to.
        advice (`str`): What to do, beside free space; ends with a period.

    Raises:
        OSError: Instead of the errors of the system, of safetensors and of `torch.save`.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):  # the writer of `torch.save`
            raise
        free = shutil.disk_usage(folder).free / 2**20  # MB
        raise OSError(
            f"{what} cannot be written to {folder}: {one_line(error)}. The disk has {free:,.0f} MB left. {advice}"
        ) from error
