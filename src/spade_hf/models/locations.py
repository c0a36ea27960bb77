"""Where a saved model is: in a folder, or in a repository on the Hub."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download

from ..text import similar, suggestion


INDEX = "model_index.json"  # marks a folder or repository as a pipeline
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "revision", "token")  # of loading, and of a download


def check_location(name: str, *, given_as: str) -> None:
    """Raise a ValueError unless a name is that of a folder or can be a Hub id.

    Args:
        name (`str`): What the user gave.
        given_as (`str`): Where it was given, for the message, which lists folders with similar names.
    """
    folder = Path(name)
    if not folder.is_dir() and (folder.exists() or not HUB_ID.fullmatch(name)):
        raise ValueError(
            f"{given_as} is {name}, which is neither a folder nor a Hub id (user/name).{suggestion(similar(folder))}"
        )


def check_pipeline_location(name: str, *, given_as: str) -> None:
    """Raise a ValueError unless a name is that of a saved pipeline's folder or can be a Hub id."""
    check_location(name, given_as=given_as)
    folder = Path(name)
    if folder.is_dir() and not (folder / INDEX).is_file():
        pipelines = sorted(str(path.parent) for path in folder.glob(f"*/{INDEX}"))
        raise ValueError(
            f"{given_as} is {name}, a folder without {INDEX}, so it is not a saved pipeline.{suggestion(pipelines)}"
        )


def check_hub(name: str, *, given_as: str, **options: Any) -> None:
    """Raise a ValueError with the Hub's own reason unless it returns the index of a pipeline.

    Args:
        name (`str`): A Hub id.
        given_as (`str`): Where it was given, for the message.
        options: Options of `from_pretrained`; those of `HUB_OPTIONS` are used.
    """
    try:
        hf_hub_download(name, INDEX, **_hub_options(options))
    except OSError as error:  # no such repository, revision or file, no access, no network
        reason = str(error).rstrip(".")
        raise ValueError(
            f"{given_as} is {name}: there is no such folder.{suggestion(similar(Path(name)))} The Hub does not return "
            f"{name}/{INDEX}: {reason}."
        ) from error


def _hub_options(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in HUB_OPTIONS if name in options}
