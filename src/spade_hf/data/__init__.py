from .paired_dataset import PairedImageDataset, load_rows
from .seeding import derive_seed
from .transforms import PairedTransform, simplify_label_map


__all__ = ["PairedImageDataset", "PairedTransform", "derive_seed", "load_rows", "simplify_label_map"]
