"""What a mask holds: label sets, the files and tables they are read from, their colours, a legend."""

from .label_set import Label, LabelSet


__all__ = ["Label", "LabelSet"]
