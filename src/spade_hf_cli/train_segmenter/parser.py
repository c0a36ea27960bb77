"""The command line of training a segmenter: config files, and checks before anything is loaded."""

from collections.abc import Sequence

from ..data_options import problem_with_data
from ..parsing import OptionParser
from ..train.checks import problem_with_validation
from ..train.network_parser import parse_network_args, parser_of
from ..train.parser import RENAMED
from ..unused import Rule
from .options import SegmenterOptions


__all__ = ["RENAMED", "build_parser", "parse_args"]
RULES = (
    Rule(
        "instance_folder instance_suffix instance_prefix instance_column condition_folder condition_suffix "
        "condition_prefix condition_column condition_channels condition_range image_channels value_range "
        "display_channels soft_class_masks",
        lambda options: True,
        "is not for segmenters, which read RGB photographs and learn from hard masks. Leave it out.",
    ),
    Rule(
        "image_size width",
        lambda options: options.pretrained_model_name_or_path is not None,
        "has no effect with --pretrained_model_name_or_path, which decides. Leave it out.",
    ),
)


def build_parser(prog: str | None = None) -> OptionParser:
    """Build the parser of all options."""
    description = "Train a segmenter, which tells the labels of a photograph's pixels, on images and their label maps."
    return parser_of(SegmenterOptions, description=description, prog=prog)


def parse_args(input_args: Sequence[str] | None = None, *, prog: str | None = None) -> SegmenterOptions:
    """Parse and check the options; the command line overrides `--config`, which overrides the defaults."""
    return parse_network_args(SegmenterOptions, input_args, lambda: build_parser(prog), RULES, problem_with)


def problem_with(options: SegmenterOptions) -> str | None:
    """Return an error message if the options are invalid, else `None`."""
    if problem := problem_with_data(options) or problem_with_validation(options):
        return problem
    if len(options.resolution) > 1 or options.resolution[0] < 32:
        return f"--resolution is {' '.join(map(str, options.resolution))}; give one side of 32 or more."
    if options.image_size is not None and options.image_size < 32:
        return f"--image_size is {options.image_size}; give 32 or more."
    return None
