"""Names of networks and losses for the training program; a module of yours can add to them, see docs/extending.md.

The names of discriminators are in [`DISCRIMINATORS`].
"""

from collections.abc import Callable
from typing import Any

from ..labels.label_set import LabelSet
from ..losses import AdversarialLoss
from ..models import ConcatenationGenerator, Pix2PixHDGenerator, SPADEGenerator


# Classes with the arguments of `SPADEGenerator`; pix2pixHD has fewer.
GENERATORS: dict[str, Any] = {
    "spade": SPADEGenerator,
    "concatenation": ConcatenationGenerator,
    "pix2pixhd": Pix2PixHDGenerator,
}
# Losses of discriminators that have their own, by the discriminator's name. The others are trained with a GAN loss of
# the options.
ADVERSARIAL_LOSSES: dict[str, Callable[[LabelSet], AdversarialLoss]] = {}
