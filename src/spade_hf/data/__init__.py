from .paired_dataset import PairedImageDataset, load_rows
from .transforms import PairedTransform, simplify_label_map


__all__ = ["PairedImageDataset", "PairedTransform", "load_rows", "simplify_label_map"]
