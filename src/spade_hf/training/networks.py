"""Names of generators for the training program; a module of yours can add to them, see docs/extending.md.

Names of discriminators are in [`DISCRIMINATORS`], those of mask norms in [`MASK_NORMS`].
"""

from typing import Any

from ..models import ConcatenationGenerator, Pix2PixHDGenerator, SPADEGenerator


# Classes with the arguments of `SPADEGenerator`; pix2pixHD has fewer.
GENERATORS: dict[str, Any] = {
    "spade": SPADEGenerator,
    "concatenation": ConcatenationGenerator,
    "pix2pixhd": Pix2PixHDGenerator,
}
