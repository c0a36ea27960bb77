"""Errors of a full disk and the like, in one line that says what to do."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def writing(what: str, folder: Path, *, advice: str) -> Iterator[None]:
    """Context in which errors of writing get a message for users.

    Args:
        what (`str`): Name of what is written.
        folder (`Path`): An existing folder on the disk that it is written to.
        advice (`str`): What to do, beside free space; ends with a period.

    Raises:
        OSError: Instead of the errors of the system, of safetensors and of `torch.save`.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):  # the writer of `torch.save`
            raise
        free = shutil.disk_usage(folder).free / 2**20
        raise OSError(
            f"{what} cannot be written to {folder}: {' '.join(str(error).split())}. The disk has {free:,.0f} MB left. "
            f"{advice}"
        ) from error
