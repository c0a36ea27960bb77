from ..seeding import derive_seed
from .datasets import PairedImageDataset, StreamedImageDataset
from .formats.folders import load_folders
from .formats.panoptic import load_panoptic
from .loading import build_loader, preview_samples
from .pair_reader import PairReader
from .simplification import average_blocks, simplify_label_map
from .sources import load_label_set, load_rows
from .transforms import PairedTransform


paint_label_map = simplify_label_map  # its former name

__all__ = [
    "PairReader",
    "PairedImageDataset",
    "PairedTransform",
    "StreamedImageDataset",
    "average_blocks",
    "build_loader",
    "derive_seed",
    "preview_samples",
    "load_folders",
    "load_label_set",
    "load_panoptic",
    "load_rows",
    "paint_label_map",
    "simplify_label_map",
]
