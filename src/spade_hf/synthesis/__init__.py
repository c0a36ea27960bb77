from .data_card import Summary, write_data_card
from .mask_reader import MaskReader, SourceMask
from .output import FolderOutput, Output, ParquetOutput
from .publishing import check_repository, push
from .row import Row, picture_seeds
from .settings import open_folder
from .synthesizer import Synthesizer


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
    "open_folder",
    "picture_seeds",
    "push",
    "write_data_card",
]
