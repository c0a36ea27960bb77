"""Forms in which data sets store masks: each module opens the rows, and says how their masks are decoded."""

from .class_masks import CLASS_MASKS, SOFT_CLASS_MASKS
from .panoptic import PANOPTIC


FORMATS = (CLASS_MASKS, SOFT_CLASS_MASKS, PANOPTIC)
