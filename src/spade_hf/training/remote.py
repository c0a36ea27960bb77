"""A run on the Hub: its trained model, uploads while it trains, and its newest checkpoint.

The checkpoint is one revision, replaced in one commit, to resume from on another machine. The Hub's copy differs from
the one on disk only in its options, which contain no path of the machine.
"""

import json
import logging
import os
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, snapshot_download, upload_folder

# HTTPError is raised if the Hub cannot be reached; huggingface_hub's own HTTP errors derive from it
from huggingface_hub.errors import (
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..hub.model_card import without_folder
from .integrity import (
    ARGUMENTS_FILE,
    CHECKSUMS_FILE,
    DamagedCheckpointError,
    checksum,
    one_line,
    verify_checkpoint,
    write_json,
)
from .monitoring import LOSSES
from .output_folder import FINAL_SAMPLES, README, own_files


logger = logging.getLogger(__name__)
LAST_CHECKPOINT = "last-checkpoint"  # the branch


def upload(output_dir: Path, repo_id: str) -> str:
    """Push the model, its card and the images that the card shows, and nothing else that is in the folder.

    Returns:
        `str`: The repository's address.

    Raises:
        OSError: If the upload fails.
    """
    try:
        commit = upload_folder(
            repo_id=repo_id,
            folder_path=output_dir,
            commit_message="A trained model",
            allow_patterns=[*own_files(output_dir), README, *FINAL_SAMPLES, LOSSES],
        )
        return str(commit.repo_url)
    except HTTPError as error:  # also if the Hub cannot be reached
        raise OSError(
            f"The model in {output_dir} was not uploaded to {repo_id}: {one_line(error)}. To upload it, "
            "repeat the command with `resume_from_checkpoint=latest`."
        ) from error


class RevisionUploads:
    """Background uploads of folders during training, one after another, each to a branch.

    A failed or slow upload only causes a warning: the checkpoint is on the disk.

    Args:
        repo_id (`str`): "owner/name" of an existing repository.
    """

    def __init__(self, repo_id: str) -> None:
        self.repo_id = repo_id
        self._api = HfApi()
        self._last: tuple[Future, Path, str] | None = None

    def start(self, folder: Path, revision: str, *, name: str | None = None) -> None:
        """Upload a folder in the background, then delete it.

        At most one upload runs and one waits. A new upload replaces the waiting one, so that no process waits for the
        Hub, and copies do not accumulate on the disk.

        Args:
            folder (`Path`): The branch will hold exactly its files.
            revision (`str`): Name of the branch; an existing branch gets another commit.
            name (`str`, *optional*): Name in the log; default: from the revision.
        """
        name = f"Revision {revision}" if name is None else name
        if self._last is not None:
            future, waiting, skipped = self._last
            if future.cancel():  # only works before it runs
                shutil.rmtree(waiting)
                logger.warning(
                    "%s is not uploaded to %s: the previous upload is still running. %s is next.",
                    skipped,
                    self.repo_id,
                    name,
                )
        self._last = self._api.run_as_future(self._upload, folder, revision, name), folder, name

    def warn(self, name: str, error: Exception) -> None:
        """Log that something is not uploaded, and why."""
        logger.warning(
            "%s was not uploaded to %s: %s. Training continues; the checkpoint is on the disk.",
            name,
            self.repo_id,
            one_line(error).removesuffix("."),
        )

    def wait(self) -> bool:
        """Wait for all uploads; return whether the last one succeeded."""
        return self._last is None or self._last[0].result()

    def _upload(self, folder: Path, revision: str, name: str) -> bool:
        """Make a branch hold exactly a folder's files, in one commit, so that a reader never gets a part of them.

        `upload_folder` would split large folders over several commits.
        """
        try:
            files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
            self._api.create_branch(self.repo_id, branch=revision, exist_ok=True)
            before = set(self._api.list_repo_files(self.repo_id, revision=revision)) - {".gitattributes"}
            operations = [
                *(CommitOperationDelete(other, is_folder=False) for other in sorted(before - set(files))),
                *(CommitOperationAdd(path, file) for path, file in files.items()),
            ]
            self._api.create_commit(self.repo_id, operations, revision=revision, commit_message=name)
            return True
        except Exception as error:  # networks fail in many ways
            self.warn(name, error)
            return False
        finally:
            shutil.rmtree(folder)


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
