from .data_card import Summary, write_data_card
from .mask_reader import MaskReader, SourceMask
from .output import FolderOutput, Output, ParquetOutput
from .publishing import check_repository, push
from .row import Row, image_seeds
from .settings import open_folder
from .synthesizer import Synthesizer


picture_seeds = image_seeds  # its former name

__all__ = [
    "FolderOutput",
    "MaskReader",
    "Output",
    "ParquetOutput",
    "Row",
    "SourceMask",
    "Summary",
    "Synthesizer",
    "check_repository",
    "image_seeds",
    "open_folder",
    "picture_seeds",
    "push",
    "write_data_card",
]
