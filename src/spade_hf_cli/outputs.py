"""Output files of the commands: checked before the work starts, and written atomically."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image

from spade_hf.files import atomic


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
PHOTO_SUFFIXES = (*IMAGE_SUFFIXES, ".npy")  # of what models make


def check_file(
    path: Path, *, option: str, suffixes: tuple[str, ...], inputs: Iterable[str | None], overwrite: bool
) -> None:
    """Raise a ValueError unless a file can be saved there.

    Args:
        path (`Path`): The file; its folder can be missing.
        option (`str`): The option that names it, for messages.
        suffixes (`tuple[str, ...]`): Suffixes of the formats that can be written.
        inputs (`Iterable[str | None]`): Files that the command reads, which are never overwritten.
        overwrite (`bool`): Whether an existing file can be replaced.
    """
    if path.is_dir():
        raise ValueError(
            f"{option} is {path}, which is a folder. Give a file in it, such as {path / ('file' + suffixes[0])}."
        )
    if path.suffix.lower() not in suffixes:
        raise ValueError(
            f"{option} is {path}, which ends in {path.suffix or 'no suffix'!r}; allowed are "
            f"{', '.join(suffixes)}, which set the file's format."
        )
    _check_place(path, option=option, inputs=inputs)
    if path.exists() and not overwrite:
        raise ValueError(f"{option} is {path}, which exists. Give another name, or --overwrite to replace it.")


def check_image_file(
    path: Path,
    *,
    option: str,
    inputs: Iterable[str | None],
    overwrite: bool,
    suffixes: tuple[str, ...] = IMAGE_SUFFIXES,
) -> None:
    """Raise a ValueError unless an image can be saved there; see `check_file`."""
    check_file(path, option=option, suffixes=suffixes, inputs=inputs, overwrite=overwrite)


def check_folder(path: Path, *, option: str, inputs: Iterable[str | None], overwrite: bool) -> None:
    """Raise a ValueError unless files can be saved in this folder; the arguments are those of `check_file`."""
    _check_place(path, option=option, inputs=inputs)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{option} is {path}, which is a file. Give a folder.")
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise ValueError(f"{option} is {path}, which is not empty. Give another folder, or --overwrite.")


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Open a temporary folder beside `path`; move its files to `path` at the block's end, or delete them on error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{path.name}.unfinished-", dir=path.parent) as name:
        unfinished = Path(name)
        yield unfinished
        for file in sorted(one for one in unfinished.rglob("*") if one.is_file()):
            target = path / file.relative_to(unfinished)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)


def save_image(image: PIL.Image.Image | np.ndarray, path: Path) -> None:
    """Save an image, or numbers `(H, W, I)`, atomically in the format of its suffix, and create its folder."""
    suffix = path.suffix.lower()
    with atomic(path) as unfinished, open(unfinished, "wb") as file:
        if isinstance(image, PIL.Image.Image) and suffix != ".npy":
            image.save(file, format=PIL.Image.registered_extensions()[suffix])
            return
        from spade_hf.images.photo_files import write_photo  # loads torch, which `spade-hf labels` does without

        write_photo(image, file, suffix=suffix)


def _check_place(path: Path, *, option: str, inputs: Iterable[str | None]) -> None:
    for source in filter(None, inputs):
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise ValueError(f"{option} is {path}, which this command reads. Give another name.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())  # missing ones will be created
    if not folder.is_dir():
        raise ValueError(f"{option} is {path}, but {folder} is not a folder.")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{option} is {path}, but {folder} is not writable.")
