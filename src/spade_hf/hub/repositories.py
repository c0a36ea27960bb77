"""Repositories on the Hub that a run pushes to."""

from huggingface_hub import HfApi, create_repo

# HTTPError is that of the library beneath huggingface_hub, for a Hub that cannot be reached; its own derive from it
from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError


def open_repository(repo_id: str, *, private: bool, repo_type: str = "model") -> str:
    """Make sure, before the work, that there is a repository to push to; its full name.

    Args:
        repo_id (`str`): "name" or "owner/name".
        private (`bool`): Whether it must be; one that is there is not changed.
        repo_type (`str`, defaults to `"model"`): `"model"` or `"dataset"`.

    Raises:
        ValueError: If the Hub refuses, or the repository is there and public although it must be private.
    """
    try:
        name = create_repo(repo_id, private=private, exist_ok=True, repo_type=repo_type).repo_id
        is_public = private and not HfApi().repo_info(name, repo_type=repo_type).private
    except (HTTPError, HFValidationError, LocalTokenNotFoundError) as error:
        raise ValueError(
            f"The repository {repo_id!r} cannot be made: {error}. Log in with `hf auth login`, or name another one "
            "with `repo_id`."
        ) from error
    if is_public:
        raise ValueError(
            f"`private`: the repository {name!r} is there already, and public. Name another one with "
            "`repo_id`, or make it private in its settings on the Hub."
        )
    return name
