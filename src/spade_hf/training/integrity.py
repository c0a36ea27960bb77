"""Files of a checkpoint, and their checksums."""

import hashlib
import itertools
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any


PREFIX, PARTIAL_SUFFIX, ABANDONED_SUFFIX = "checkpoint-", ".partial", ".abandoned"
STATE_FILE, ARGUMENTS_FILE, CHECKSUMS_FILE = "training_state.json", "arguments.json", "checksums.json"
DATA_FILE = "data.json"  # the fingerprint of the data
OWN_FILES = (STATE_FILE, ARGUMENTS_FILE, CHECKSUMS_FILE)
# Of a killed run: a checkpoint that was being written or deleted.
LEFTOVER = re.compile(rf"{PREFIX}\d+(\.deleted)?{re.escape(PARTIAL_SUFFIX)}")
ABANDONED = re.compile(rf"{PREFIX}\d+{re.escape(ABANDONED_SUFFIX)}(-\d+)?")


class DamagedCheckpointError(ValueError):
    """Error for a checkpoint that cannot be used, because one of its files is missing or damaged."""


def damaged(what: str, error: Exception) -> DamagedCheckpointError:
    """Build the error in one line; torch writes lists over several ones."""
    return DamagedCheckpointError(f"{what}: {' '.join(str(error).split())}")


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first; folders that no run of this library wrote are not any.

    A damaged checkpoint is one of them as long as one of its JSON files is there.
    """
    found = (path for path in output_dir.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit())
    return sorted(filter(is_own, found), key=step_of)


def is_own(folder: Path) -> bool:
    """Return whether a run of this library wrote a folder called like a checkpoint."""
    return any((folder / name).is_file() for name in OWN_FILES)


def step_of(checkpoint: Path) -> int:
    """Return the number of updates in a checkpoint's name."""
    return int(checkpoint.name.removeprefix(PREFIX))


def unused(path: Path) -> Path:
    """Return this path or, if it exists, the first free one of `path-2`, `path-3`, ..."""
    others = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], others) if not name.exists())


def remove(path: Path) -> None:
    """Delete a file or a folder; of a link only the link, because its target can be kept on purpose."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def remove_checkpoint(checkpoint: Path) -> None:
    """Delete a checkpoint; rename it first, so that a half-deleted folder does not count as one."""
    remove(checkpoint.rename(checkpoint.with_name(f"{checkpoint.name}.deleted{PARTIAL_SUFFIX}")))


def verify_checkpoint(checkpoint: Path) -> None:
    """Read every file of a checkpoint and verify its checksum.

    Raises:
        DamagedCheckpointError: If a file is missing or damaged; the message names it.
    """
    expected = {}
    for file in (STATE_FILE, CHECKSUMS_FILE):
        try:
            expected = json.loads((checkpoint / file).read_text())
        except FileNotFoundError as error:
            if file == CHECKSUMS_FILE:  # an older checkpoint without checksums
                return
            raise DamagedCheckpointError(f"{checkpoint} is not a complete checkpoint: it has no {file}.") from error
        except ValueError as error:
            raise damaged(f"{checkpoint / file} is damaged", error) from error
    for name, written in expected.items():
        file = checkpoint / name
        if not file.is_file():
            raise DamagedCheckpointError(f"{checkpoint} is damaged: it has no {name}.")
        if checksum(file) != written:
            raise DamagedCheckpointError(f"{file} is damaged: its checksum differs from the recorded one.")


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


def was_limited(checkpoint: Path) -> bool:
    """Return whether a checkpoint was written by a run that deletes old ones."""
    state = read_json(checkpoint / STATE_FILE) or {}
    older = read_json(checkpoint / ARGUMENTS_FILE) or {}
    return bool(state.get("total_limit", older.get("checkpoints_total_limit")))


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
