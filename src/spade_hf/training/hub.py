"""A trained model's way to the Hub."""

import logging
import shutil
from concurrent.futures import Future
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, upload_folder

from .remote_checkpoints import STAGED_PREFIX


logger = logging.getLogger(__name__)
# What a run leaves beside its pipeline: states for resuming, trackers' files, the images along the way.
NOT_UPLOADED = ("checkpoint-*", "samples/step-*", f"{STAGED_PREFIX}*")


def upload(output_dir: Path, repo_id: str, *, logging_dir: str) -> None:
    """Push the pipeline, its card and its sample grid; checkpoints and logs stay here."""
    upload_folder(
        repo_id=repo_id,
        folder_path=output_dir,
        commit_message="A trained SPADE pipeline",
        ignore_patterns=[*NOT_UPLOADED, f"{logging_dir}/*"],
    )


def replace_revision(api: HfApi, folder: Path, repo_id: str, revision: str, *, commit_message: str) -> None:
    """Make a branch hold a folder's files and no others, in one commit: whoever reads it meets all of them or none.

    (`upload_folder` splits large folders over several commits.)
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
    """Uploads of folders on their way, one after another, each to a branch, while the training goes on.

    Neither a failed one nor a slow one costs the run more than a warning: the checkpoint is on the disk.

    Args:
        repo_id (`str`): "owner/name" of a repository that is there.
    """

    def __init__(self, repo_id: str) -> None:
        self.repo_id = repo_id
        self._api = HfApi()
        self._last: tuple[Future, Path, str] | None = None

    def start(self, folder: Path, revision: str, *, name: str | None = None) -> None:
        """Upload a folder and delete it, later.

        One upload runs and one waits its turn: a newer one takes the waiting one's place, so that neither the other
        processes wait for the Hub nor copies pile up on the disk.

        Args:
            folder (`Path`): The branch will hold its files and no others.
            revision (`str`): Name of the branch; one that is there already gets another commit.
            name (`str`, *optional*): What the log calls it, if not by its revision.
        """
        name = f"Revision {revision}" if name is None else name
        if self._last is not None:
            future, waiting, skipped = self._last
            if future.cancel():  # which no longer works once it runs
                shutil.rmtree(waiting)
                logger.warning(
                    "%s is not uploaded to %s: the upload before it is still running. %s comes next.",
                    skipped,
                    self.repo_id,
                    name,
                )
        self._last = self._api.run_as_future(self._upload, folder, revision, name), folder, name

    def wait(self) -> bool:
        """Return when everything is uploaded, or has failed: whether the last upload was successful."""
        return self._last is None or self._last[0].result()

    def _upload(self, folder: Path, revision: str, name: str) -> bool:
        try:
            replace_revision(self._api, folder, self.repo_id, revision, commit_message=name)
            return True
        except Exception as error:  # a network fails in many ways
            logger.warning(
                "%s was not uploaded to %s: %s. The training goes on; the checkpoint is on the disk.",
                name,
                self.repo_id,
                " ".join(str(error).split()),
            )
            return False
        finally:
            shutil.rmtree(folder)
