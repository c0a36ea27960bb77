"""Repositories on the Hub to push to."""

from huggingface_hub import HfApi, create_repo

# HTTPError is from huggingface_hub's HTTP library, for an unreachable Hub; huggingface_hub's own errors derive from it
from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError


def open_repository(repo_id: str, *, private: bool, repo_type: str = "model") -> str:
    """Create a repository to push to, if it does not exist yet, and return its full name.

    Args:
        repo_id (`str`): "name" or "owner/name".
        private (`bool`): Whether the repository must be private; an existing one is not changed.
        repo_type (`str`, defaults to `"model"`): `"model"` or `"dataset"`.

    Raises:
        ValueError: If the Hub refuses, or a public repository exists although it must be private.
    """
    try:
        name = create_repo(repo_id, private=private, exist_ok=True, repo_type=repo_type).repo_id
        is_public = private and not HfApi().repo_info(name, repo_type=repo_type).private
    except (HTTPError, HFValidationError, LocalTokenNotFoundError) as error:
        raise ValueError(
            f"The repository {repo_id!r} cannot be created: {error}. Log in with `hf auth login`, or name another one "
            "with `repo_id`."
        ) from error
    if is_public:
        raise ValueError(
            f"`private`: the repository {name!r} already exists and is public. Name another one with "
            "`repo_id`, or make it private in its settings on the Hub."
        )
    return name
