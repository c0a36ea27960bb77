"""A run's newest checkpoint on the Hub: one revision, replaced in one commit, to resume from on another machine.

The Hub's copy differs from the one on disk only in its options, which contain no path of the machine.
"""

import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download

# HTTPError is raised if the Hub cannot be reached; huggingface_hub's own HTTP errors derive from it
from huggingface_hub.errors import (
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..hub.model_card import without_folder
from .integrity import ARGUMENTS_FILE, CHECKSUMS_FILE, DamagedCheckpointError, checksum, verify_checkpoint, write_json


logger = logging.getLogger(__name__)
LAST_CHECKPOINT = "last-checkpoint"  # the branch
STAGED_PREFIX = ".upload-"
STAGED = re.compile(rf"{re.escape(STAGED_PREFIX)}[a-z0-9_]{{8}}")  # as `tempfile` names them


def stage_checkpoint(checkpoint: Path, folder: Path) -> None:
    """Copy a checkpoint for its upload, because the checkpoint can be deleted before the upload ends.

    Files are hard links where the disk supports them, and take no space. Paths in the options become their last parts.

    Args:
        checkpoint (`Path`): A complete checkpoint.
        folder (`Path`): A new folder beside it.
    """
    shutil.copytree(checkpoint, folder, copy_function=_link_or_copy, dirs_exist_ok=True)
    arguments = json.loads((checkpoint / ARGUMENTS_FILE).read_text())
    _replace_json(folder / ARGUMENTS_FILE, {name: without_folder(value) for name, value in arguments.items()})
    checksums = json.loads((checkpoint / CHECKSUMS_FILE).read_text())
    _replace_json(folder / CHECKSUMS_FILE, checksums | {ARGUMENTS_FILE: checksum(folder / ARGUMENTS_FILE)})


def delete_staged(output_dir: Path) -> None:
    """Delete the copies of a run that was killed during an upload."""
    for leftover in output_dir.glob(f"{STAGED_PREFIX}*"):
        if STAGED.fullmatch(leftover.name):
            shutil.rmtree(leftover)


def download_checkpoint(repo_id: str) -> Path:
    """Download the newest checkpoint that a run pushed, and verify it.

    Args:
        repo_id (`str`): "owner/name", or "name" of a repository of your own.

    Returns:
        `Path`: Its folder in the Hub's cache.

    Raises:
        ValueError: If the repository does not exist, has no checkpoint or cannot be reached, or (a
            `DamagedCheckpointError`) if a file is missing or damaged. An older download is never used.
    """
    api = HfApi()
    try:
        if "/" not in repo_id:
            repo_id = f"{api.whoami()['name']}/{repo_id}"
        # first get the commit: for a branch, the client answers from its cache if the Hub cannot be reached
        commit = api.model_info(repo_id, revision=LAST_CHECKPOINT).sha
        folder = Path(snapshot_download(repo_id, revision=commit))
    except RevisionNotFoundError as error:
        raise ValueError(
            f"The repository {repo_id!r} has no revision {LAST_CHECKPOINT!r} to resume from: no run pushed a "
            "checkpoint to it. Start without `resume_from_checkpoint`; `hub_strategy=checkpoint` pushes one."
        ) from error
    except RepositoryNotFoundError as error:
        raise ValueError(
            f"There is no repository {repo_id!r} to resume from, or it is private and you are not logged in. Name it "
            "with `hub_model_id`, log in with `hf auth login`, or start without `resume_from_checkpoint`."
        ) from error
    except (HTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        raise ValueError(
            f"The checkpoint on the Hub, revision {LAST_CHECKPOINT!r} of {repo_id!r}, cannot be downloaded: {error}. "
            "Name the repository as owner/name with `hub_model_id`, or log in with `hf auth login`."
        ) from error
    try:
        if not (folder / CHECKSUMS_FILE).is_file():  # only on disk are there older checkpoints without checksums
            raise DamagedCheckpointError(f"it has no {CHECKSUMS_FILE}")
        verify_checkpoint(folder)
    except DamagedCheckpointError as error:
        raise DamagedCheckpointError(
            f"Revision {LAST_CHECKPOINT!r} of {repo_id!r} (commit {commit}) is not a complete checkpoint: {error} "
            f"Delete its copy in {folder} and try again, or get an earlier one: `hf download {repo_id} --revision "
            "COMMIT --local-dir FOLDER`, then `resume_from_checkpoint=FOLDER`."
        ) from error
    logger.info("Downloaded the checkpoint of %s, revision %s, commit %s", repo_id, LAST_CHECKPOINT, commit)
    return folder


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a disk without hard links
        shutil.copyfile(source, target)


def _replace_json(file: Path, values: dict[str, Any]) -> None:
    """Replace a file by a new one, because the old one can be a hard link to the checkpoint's."""
    file.unlink()
    write_json(file, values)
