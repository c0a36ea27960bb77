from .loading import build_loader, preview_samples
from .pair_reader import PairReader
from .paired_dataset import PairedImageDataset
from .seeding import derive_seed
from .sources import load_folders, load_label_set, load_rows
from .streamed_dataset import StreamedImageDataset
from .transforms import PairedTransform, simplify_label_map


__all__ = [
    "PairReader",
    "PairedImageDataset",
    "PairedTransform",
    "StreamedImageDataset",
    "build_loader",
    "derive_seed",
    "preview_samples",
    "load_folders",
    "load_label_set",
    "load_rows",
    "simplify_label_map",
]
