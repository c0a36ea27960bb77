from .paired_dataset import PairedImageDataset
from .seeding import derive_seed
from .sources import load_folders, load_label_set, load_rows
from .transforms import PairedTransform, simplify_label_map


__all__ = [
    "PairedImageDataset",
    "PairedTransform",
    "derive_seed",
    "load_folders",
    "load_label_set",
    "load_rows",
    "simplify_label_map",
]
