"""Upload of a synthesized data set to the Hub, in place of an earlier one."""

from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, upload_folder

from .settings import MASKS_FILE, SETTINGS_FILE, UNFINISHED


# Files of rows, whose names depend on the format and on the number of files: an earlier upload can have others.
ROW_FILES = ["data/*.parquet", "images/*", "labels/*", "instances/*", "metadata.jsonl"]


def check_repository(repo_id: str) -> None:
    """Raise a ValueError if a data set's repository holds rows that were not synthesized: a push would delete them."""
    files = HfApi().list_repo_files(repo_id, repo_type="dataset")
    rows = [name for name in files if any(fnmatch(name, pattern) for pattern in ROW_FILES)]
    if rows and SETTINGS_FILE not in files:
        raise ValueError(
            f"The repository {repo_id!r} has {rows[0]} but no {SETTINGS_FILE}, so it holds another data set, which "
            "would be deleted. Name another repository with `repo_id`."
        )


def push(folder: Path, repo_id: str) -> str:
    """Upload the folder in one commit, which also deletes the rows of an earlier data set; return its address."""
    commit = upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        repo_type="dataset",
        commit_message="A synthesized data set",
        ignore_patterns=[f"*{UNFINISHED}", MASKS_FILE],
        delete_patterns=ROW_FILES,
    )
    return str(commit.repo_url)
