"""Label sets of masks: their files and tables, colors and legend."""

from .label_set import Label, LabelSet


__all__ = ["Label", "LabelSet"]
