"""Names of image files."""

import functools

import PIL.Image


# Formats that Pillow names or reads, and that hold no picture of a camera, a paint program or an annotation tool.
OTHER_FORMATS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "PCD", "WMF"}


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of pictures that Pillow reads here, in lower case: `.png`, `.jpg`, ...

    Documents and data such as `.pdf` and `.h5`, which Pillow also registers, are not among them.
    """
    registered = PIL.Image.registered_extensions()  # also of formats that are written only, such as PDF
    return frozenset(
        suffix for suffix, name in registered.items() if name in PIL.Image.OPEN and name not in OTHER_FORMATS
    )


def is_hidden(name: str) -> bool:
    """Return whether a relative name with `/` is hidden: macOS leaves `._1.png` and `__MACOSX` beside pictures."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
