"""Label maps of photographs, with [`SPADESegmenter`].

Legend: N photographs, L labels, H W height and width of a photograph.
"""

from ..labels.label_set import LabelSet
from ..models import SPADESegmenter
from .arguments import check_network_labels


def check_segmenter(segmenter: SPADESegmenter | None, labels: LabelSet) -> None:
    """Raise a ValueError unless there is a segmenter, with the labels of a label set."""
    if segmenter is None:
        raise ValueError(
            "This model has no `segmenter`, so it cannot tell the labels of a photograph. Add one, as "
            "docs/segmenter.md shows."
        )
    check_segmenter_labels(segmenter, labels)


def check_segmenter_labels(segmenter: SPADESegmenter, labels: LabelSet) -> None:
    """Raise a ValueError if a segmenter knows other labels than a label set."""
    check_network_labels(segmenter, labels, name="segmenter")
