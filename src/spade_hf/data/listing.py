"""Lists the files of a folder or a zip file, and reads them. Hidden files are left out; linked folders are entered."""

import functools
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..images.suffixes import is_hidden


def list_files(folder: str, part: str = "", *, is_deep: bool) -> dict[str, str]:
    """List the files of a folder or zip file.

    Args:
        folder (`str`): Its path.
        part (`str`, defaults to `""`): Subfolder whose files are listed instead.
        is_deep (`bool`): Also list the files of subfolders.

    Returns:
        `dict[str, str]`: Name below the folder, with `/`, -> path, or `zip://` address for [`read_file`]; sorted.

    Raises:
        ValueError: If it is neither a folder nor a zip file, or cannot be read.
    """
    if zipfile.is_zipfile(folder):
        prefix = f"{part}/" if part else ""
        entries = [entry for entry in _entries(folder) if entry.startswith(prefix) and not entry.endswith("/")]
        address = Path(folder).resolve().as_posix()
        files = {entry.removeprefix(prefix): f"zip://{entry}::{address}" for entry in entries}
    else:
        root = Path(folder, part)
        if not root.is_dir():
            raise ValueError(
                f"{folder} is neither a folder nor a zip file. Give the folders of the images and of their masks."
            )
        files = dict(_walk(root, "", (), is_deep=is_deep))
    return {name: files[name] for name in sorted(files) if not is_hidden(name) and (is_deep or "/" not in name)}


def has_folder(folder: str, name: str) -> bool:
    """Return whether a folder or zip file has a subfolder of that name."""
    if zipfile.is_zipfile(folder):
        return any(entry.startswith(f"{name}/") for entry in _entries(folder))
    return Path(folder, name).is_dir()


def read_text(folder: str, name: str) -> str | None:
    """Read the text of a file in a folder or zip file; return `None` if there is no such file.

    Raises:
        ValueError: If it is not UTF-8.
    """
    if zipfile.is_zipfile(folder):
        with _archive(folder) as archive:
            return archive.read(name).decode("utf-8-sig") if name in archive.namelist() else None
    path = Path(folder, name)
    return path.read_text(encoding="utf-8-sig") if path.is_file() else None


def read_file(path: str) -> bytes:
    """Read a file by a path or address of [`list_files`]; raise an OSError, KeyError or BadZipFile if that fails."""
    if not path.startswith("zip://"):
        return Path(path).read_bytes()
    entry, _, address = path.removeprefix("zip://").partition("::")
    return _kept_archive(address, os.getpid()).read(entry)


@functools.lru_cache(maxsize=8)
def _kept_archive(address: str, process: int) -> zipfile.ZipFile:
    """Open a zip file once per process: its directory is long, and forked processes would share a file's position."""
    return zipfile.ZipFile(address)


@contextmanager
def _archive(folder: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(folder) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise ValueError(f"{folder} cannot be read as a zip file: {error}. Copy or export it again.") from error


def _entries(folder: str) -> list[str]:
    with _archive(folder) as archive:
        entries = archive.namelist()
    # `::` separates a file from the archive, or the server, that holds it; `datasets` would fetch from there.
    if chained := [entry for entry in entries if "::" in entry]:
        raise ValueError(f"{folder} has a file called {chained[0]!r}; names with `::` are not read. Rename it.")
    return entries


def _walk(
    root: Path, below: str, ancestors: tuple[tuple[int, int], ...], *, is_deep: bool
) -> Iterator[tuple[str, str]]:
    """Yield name and path of each file; a link to a folder that it lies in is not entered again."""
    try:
        status = root.stat()
        here = (status.st_dev, status.st_ino)
        if here in ancestors:
            return
        with os.scandir(root) as found:
            for entry in found:
                name = f"{below}{entry.name}"
                if not entry.is_dir():
                    yield name, str(root / entry.name)
                elif is_deep and not is_hidden(entry.name):
                    yield from _walk(root / entry.name, f"{name}/", (*ancestors, here), is_deep=True)
    except OSError as error:
        raise ValueError(f"{root} cannot be read: {error.strerror}. Give a folder that you may read.") from error
