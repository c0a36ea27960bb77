"""Generated pictures on disk: a stopped evaluation can resume, and another judge can score the same pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..files import atomic


@dataclass(frozen=True)
class PictureCache:
    """A folder of PNG files: `<kind>/<row>.png`, row with five digits.

    Args:
        folder (`Path`): Need not exist.
    """

    folder: Path

    def obtain(self, kind: str, rows: range, size: tuple[int, int], make: Callable[[], Tensor]) -> Tensor:
        """Read the pictures of rows, uint8 `(N, 3, H, W)`; if one is missing, make all of them and save them.

        Args:
            kind (`str`): Kind of pictures, which names the subfolder.
            rows (`range`): Rows of the data set.
            size (`tuple[int, int]`): H and W.
            make (`Callable`): Makes the pictures of all rows.

        Raises:
            ValueError: If a file is not a picture of that size.
        """
        files = [self.folder / kind / f"{row:05}.png" for row in rows]
        if all(file.is_file() for file in files):
            return torch.stack([read_picture(file, size) for file in files])
        pictures = make()
        for file, picture in zip(files, pictures, strict=True):
            write_picture(picture, file)
        return pictures


def read_picture(file: Path, size: tuple[int, int]) -> Tensor:
    """Read a PNG file as uint8 `(3, H, W)`."""
    try:
        with Image.open(file) as image:
            picture = torch.from_numpy(np.array(image.convert("RGB"))).movedim(-1, 0)
        if picture.shape[1:] != size:
            raise ValueError(f"it is {image.width}x{image.height}, not {size[1]}x{size[0]} (width x height)")
    except (OSError, SyntaxError, ValueError) as error:  # PIL has no specific error for a truncated PNG
        raise ValueError(f"{file} can't be read: {error}. Delete it, and give the same command again.") from error
    return picture


def write_picture(picture: Tensor, file: Path) -> None:
    """Write uint8 `(3, H, W)` as a PNG file, whole or not at all."""
    with atomic(file) as unfinished:
        Image.fromarray(picture.movedim(0, -1).cpu().numpy()).save(unfinished, format="PNG")
