"""Names of image files."""

import functools

import PIL.Image

from .inputs import RASTER_FORMATS


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of images that are read here, in lower case: `.png`, `.jpg`, ...

    Pillow registers more of them: documents and data such as `.pdf`, `.eps` and `.h5`.
    """
    registered = PIL.Image.registered_extensions()
    return frozenset(
        suffix for suffix, name in registered.items() if name in RASTER_FORMATS and name in PIL.Image.OPEN
    )


def is_hidden(name: str) -> bool:
    """Return whether a relative name with `/` is hidden: macOS leaves `._1.png` and `__MACOSX` beside images."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
