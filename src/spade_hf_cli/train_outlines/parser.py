"""The command line of training an outline model: config files, and checks before anything is loaded."""

from collections.abc import Sequence

from ..parsing import OptionParser
from ..train.network_parser import parse_network_args, parser_of
from ..train.parser import RENAMED
from ..unused import Rule
from .options import OutlineOptions


__all__ = ["RENAMED", "build_parser", "parse_args"]
RULES = (
    Rule(
        "dataset_config_name mask_column train_split cache_dir",
        lambda options: options.mask_folder is not None,
        "belongs to --dataset_name; a folder has none. Leave it out.",
    ),
    Rule(
        "mask_suffix mask_prefix",
        lambda options: options.mask_folder is None,
        "belongs to --mask_folder, which is missing.",
    ),
    Rule(
        "block_out_channels num_attention_heads",
        lambda options: options.pretrained_model_name_or_path is not None,
        "has no effect with --pretrained_model_name_or_path, which decides. Leave it out.",
    ),
)


def build_parser(prog: str | None = None) -> OptionParser:
    """Build the parser of all options."""
    description = "Train an outline model, which makes natural label maps of painted ones, on label maps."
    return parser_of(OutlineOptions, description=description, prog=prog)


def parse_args(input_args: Sequence[str] | None = None, *, prog: str | None = None) -> OutlineOptions:
    """Parse and check the options; the command line overrides `--config`, which overrides the defaults."""
    return parse_network_args(OutlineOptions, input_args, lambda: build_parser(prog), RULES, problem_with)


def problem_with(options: OutlineOptions) -> str | None:
    """Return an error message if the options are invalid, else `None`."""
    if (options.dataset_name is None) == (options.mask_folder is None):
        return "Give either --dataset_name or --mask_folder."
    if len(options.resolution) > 2 or any(side < 8 or side % 8 for side in options.resolution):
        return (
            f"--resolution is {' '.join(map(str, options.resolution))}; give one side, or height and width, each a "
            "multiple of 8."
        )
    return None
