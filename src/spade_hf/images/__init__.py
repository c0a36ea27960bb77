"""Conversion of users' masks and images to tensors and back, and the resizing of labels."""

from .processor import SPADEImageProcessor
from .resize import resize_labels


__all__ = ["SPADEImageProcessor", "resize_labels"]
