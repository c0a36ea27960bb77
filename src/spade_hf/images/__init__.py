"""From users' masks and images to tensors and back, and the one rule by which labels are resized."""

from .processor import SPADEImageProcessor
from .resize import resize_labels


__all__ = ["SPADEImageProcessor", "resize_labels"]
