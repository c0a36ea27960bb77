"""A trained model's way to the Hub."""

import logging
import shutil
from concurrent.futures import Future
from pathlib import Path

from huggingface_hub import HfApi, upload_folder


logger = logging.getLogger(__name__)
# What a run leaves beside its pipeline: states for resuming, trackers' files, the images along the way.
NOT_UPLOADED = ("checkpoint-*", "samples/step-*")


def upload(output_dir: Path, repo_id: str, *, logging_dir: str) -> None:
    """Push the pipeline, its card and its sample grid; checkpoints and logs stay here."""
    upload_folder(
        repo_id=repo_id,
        folder_path=output_dir,
        commit_message="A trained SPADE pipeline",
        ignore_patterns=[*NOT_UPLOADED, f"{logging_dir}/*"],
    )


class RevisionUploads:
    """Uploads of models on their way, one after another, each to a branch of its own, while the training goes on.

    Neither a failed one nor a slow one costs the run more than a warning: the checkpoint is on the disk.

    Args:
        repo_id (`str`): "owner/name" of a repository that is there.
    """

    def __init__(self, repo_id: str) -> None:
        self.repo_id = repo_id
        self._api = HfApi()
        self._last: tuple[Future, Path, str] | None = None

    def start(self, folder: Path, revision: str) -> None:
        """Upload a folder and delete it, later.

        One upload runs and one waits its turn: a newer one takes the waiting one's place, so that neither the other
        processes wait for the Hub nor copies pile up on the disk.

        Args:
            folder (`Path`): A pipeline with its card.
            revision (`str`): Name of the branch; one that is there already gets another commit.
        """
        if self._last is not None:
            future, waiting, skipped = self._last
            if future.cancel():  # which no longer works once it runs
                shutil.rmtree(waiting)
                logger.warning(
                    "Revision %s is not uploaded to %s: the upload before it is still running. %s comes next.",
                    skipped,
                    self.repo_id,
                    revision,
                )
        self._last = self._api.run_as_future(self._upload, folder, revision), folder, revision

    def wait(self) -> None:
        """Return when everything is uploaded, or has failed."""
        if self._last is not None:
            self._last[0].result()

    def _upload(self, folder: Path, revision: str) -> None:
        try:
            self._api.create_branch(self.repo_id, branch=revision, exist_ok=True)
            self._api.upload_folder(
                repo_id=self.repo_id, folder_path=folder, revision=revision, commit_message=f"Checkpoint {revision}"
            )
        except Exception as error:  # a network fails in many ways
            logger.warning(
                "Revision %s was not uploaded to %s: %s. The training goes on; the checkpoint is on the disk.",
                revision,
                self.repo_id,
                " ".join(str(error).split()),
            )
        finally:
            shutil.rmtree(folder)
