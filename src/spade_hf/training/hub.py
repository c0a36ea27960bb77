"""Uploads of a trained model to the Hub."""

import logging
import shutil
from concurrent.futures import Future
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, upload_folder
from huggingface_hub.errors import HTTPError

from .monitoring import LOSSES
from .output_folder import FINAL_SAMPLES, PIPELINE_FILES, README


logger = logging.getLogger(__name__)


def upload(output_dir: Path, repo_id: str) -> None:
    """Push the pipeline, its card and the images that the card shows, and nothing else that is in the folder.

    Raises:
        OSError: If the upload fails.
    """
    try:
        upload_folder(
            repo_id=repo_id,
            folder_path=output_dir,
            commit_message="A trained SPADE pipeline",
            allow_patterns=[*PIPELINE_FILES, README, *FINAL_SAMPLES, LOSSES],
        )
    except HTTPError as error:  # also if the Hub cannot be reached
        raise OSError(
            f"The model in {output_dir} was not uploaded to {repo_id}: {' '.join(str(error).split())}. To upload it, "
            "repeat the command with `resume_from_checkpoint=latest`."
        ) from error


def replace_revision(api: HfApi, folder: Path, repo_id: str, revision: str, *, commit_message: str) -> None:
    """Make a branch hold exactly a folder's files, in one commit, so that a reader never gets a part of them.

    `upload_folder` would split large folders over several commits.
    """
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    api.create_branch(repo_id, branch=revision, exist_ok=True)
    others = set(api.list_repo_files(repo_id, revision=revision)) - set(files) - {".gitattributes"}
    operations = [
        *(CommitOperationDelete(name, is_folder=False) for name in sorted(others)),
        *(CommitOperationAdd(name, file) for name, file in files.items()),
    ]
    api.create_commit(repo_id, operations, revision=revision, commit_message=commit_message)


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
            " ".join(str(error).split()).removesuffix("."),
        )

    def wait(self) -> bool:
        """Wait for all uploads; return whether the last one succeeded."""
        return self._last is None or self._last[0].result()

    def _upload(self, folder: Path, revision: str, name: str) -> bool:
        try:
            replace_revision(self._api, folder, self.repo_id, revision, commit_message=name)
            return True
        except Exception as error:  # networks fail in many ways
            self.warn(name, error)
            return False
        finally:
            shutil.rmtree(folder)
