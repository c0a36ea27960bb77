"""Files that are written whole or not at all."""

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


UNFINISHED = re.compile(r".*\.[0-9a-f]{16}\.unfinished", re.DOTALL)  # names that `atomic` gives
LEFTOVER_AGE = 24 * 3600.0  # in seconds: younger files can belong to a process that is still writing


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename what was written there to `path` at the block's end.

    After an error the temporary file is deleted, and a file at `path` is as before. The temporary name is the call's
    own, so processes can share a folder; it ends in `.unfinished`, so a writer that chooses a format by the suffix
    has to be told the format. A missing folder is created.

    Args:
        path (`str` or `os.PathLike`): The file to write or replace.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # 50 characters are at most 200 bytes, so any name that fits the file system gets a temporary one that fits.
    unfinished = path.with_name(f"{path.name[:50]}.{secrets.token_hex(8)}.unfinished")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text in UTF-8 with [`atomic`]."""
    with atomic(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Delete what killed processes left of [`atomic`] in a folder: files with its names, older than a day."""
    for path in Path(folder).iterdir():
        if UNFINISHED.fullmatch(path.name):
            try:
                if time.time() - path.stat().st_mtime > LEFTOVER_AGE:
                    path.unlink()
            except FileNotFoundError:  # another process was faster
                pass
