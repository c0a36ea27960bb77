from .adversarial import (
    AdversarialObjective,
    HingeObjective,
    RelativisticObjective,
    hinge_discriminator_loss,
    hinge_generator_loss,
    relativistic_loss,
)
from .color import color_loss
from .feature_matching import feature_matching_loss
from .kl import kl_loss
from .masked import masked_l1_loss
from .objective import Objective
from .segmentation import SegmentationObjective
from .terms import TERMS, GeneratorOutputs, Term


__all__ = [
    "TERMS",
    "AdversarialObjective",
    "GeneratorOutputs",
    "HingeObjective",
    "Objective",
    "RelativisticObjective",
    "SegmentationObjective",
    "Term",
    "color_loss",
    "feature_matching_loss",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "kl_loss",
    "masked_l1_loss",
    "relativistic_loss",
]
