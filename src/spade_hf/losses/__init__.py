from .adversarial import (
    AdversarialLoss,
    HingeObjective,
    RelativisticObjective,
    hinge_discriminator_loss,
    hinge_generator_loss,
    relativistic_loss,
)
from .segmentation import SegmentationObjective
from .terms import (
    TERMS,
    GeneratorOutputs,
    Objective,
    Term,
    color_loss,
    feature_matching_loss,
    kl_loss,
    masked_l1_loss,
)


AdversarialObjective = AdversarialLoss  # name of earlier versions

__all__ = [
    "TERMS",
    "AdversarialLoss",
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
