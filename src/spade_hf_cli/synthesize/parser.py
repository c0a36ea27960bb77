"""Command line of `spade-hf synthesize`. Nothing of the library is imported, so that `--help` is fast."""

import argparse
from collections.abc import Sequence

from ..options import as_typed, options_of
from ..parsing import OptionParser, count, natural, nonnegative, share
from ..unused import Rule, unused_option


RENAMED: dict[str, str] = {}  # parameters in the library's errors whose options have other names
RULES = (
    Rule(
        "outline_steps",
        lambda args: args.outline_strength == 0,
        "has no effect without --outline_strength. Leave it out.",
    ),
    Rule(
        "segmenter",
        lambda args: args.agreement_threshold is None,
        "has no effect without --agreement_threshold. Leave it out.",
    ),
    Rule("masks_per_file", lambda args: args.output_format == "folders", "belongs to --output_format parquet."),
)


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Build the parser with all options and their defaults."""
    description = "Paint each mask of a data set in several styles, and write the pictures as a data set."
    parser = OptionParser(prog=prog, description=description)
    parser.add_argument("--model", help="folder or Hub id; default: the bundled landscapes")
    parser.add_argument("--dataset_name", help="masks: Hub data set, local folder or parquet file")
    parser.add_argument("--dataset_config_name", help="configuration of the data set")
    parser.add_argument("--split", default="train", help="split of the data set, or a slice such as train[:100]")
    parser.add_argument("--mask_column", default="label", help="column of masks, as ids or in the model's colors")
    parser.add_argument("--instance_column", help="column of instance maps, for models with an edge channel")
    parser.add_argument("--condition_column", help="column of conditions, for models that read one")
    parser.add_argument(
        "--color_tolerance", type=nonnegative, help="map other colors to the nearest label within this RGB distance"
    )
    parser.add_argument(
        "--images_per_mask",
        dest="num_images_per_mask",
        type=count,
        default=1,
        help="pictures of each mask, each in its own style",
    )
    parser.add_argument(
        "--style",
        nargs="+",
        help="style pictures, or a folder of them, instead of random styles: a picture's seed decides which it gets",
    )
    parser.add_argument("--seed", type=natural, default=0, help="the seeds of all pictures are derived from it")
    parser.add_argument(
        "--outline_strength",
        type=share,
        default=0.0,
        help="give the masks natural outlines first, and fill what is not painted (255 or transparent): how loosely "
        "painted outlines are followed, up to 1; the refined map is written as the label",
    )
    parser.add_argument("--outline_steps", type=count, help="evaluations of the outline model; default: 4")
    parser.add_argument(
        "--agreement_threshold",
        type=share,
        help="write unknown in the label where the picture shows its label less surely than this, 0 to 1",
    )
    parser.add_argument(
        "--segmenter",
        help="segmenter for --agreement_threshold, of the model's labels: folder or Hub id; default: the model's",
    )
    parser.add_argument("--height", type=count, help="in pixels; default: in the mask's proportions")
    parser.add_argument("--width", type=count, help="in pixels; default: in the mask's proportions")
    parser.add_argument("--batch_size", type=count, default=8, help="pictures that are painted at once")
    parser.add_argument("--device", help="default: cuda if there is a GPU, else cpu")
    parser.add_argument("--output_dir", help="folder of the data set; a stopped run resumes there")
    parser.add_argument("--output_format", choices=("parquet", "folders"), default="parquet")
    parser.add_argument(
        "--masks_per_file", type=count, help="masks per parquet file; default: enough for 256 pictures"
    )
    parser.add_argument("--push_to_hub", action="store_true", help="upload the data set at the end")
    parser.add_argument(
        "--hub_dataset_id",
        dest="repo_id",
        help="name or owner/name of the repository; default: --output_dir's name",
    )
    parser.add_argument("--hub_private_repo", dest="private", action="store_true")
    return parser


def parse_args(arguments: Sequence[str] | None = None, *, prog: str | None = None) -> argparse.Namespace:
    """Read and check the options."""
    parser = build_parser(prog)
    args = parser.parse_args(arguments)
    if args.dataset_name is None or args.output_dir is None:
        parser.error("Give --dataset_name, where the masks are, and --output_dir, where the pictures go.")
    if problem := unused_option(args, RULES):
        parser.error(as_typed(problem, options_of(parser)))
    if not args.push_to_hub and (args.repo_id is not None or args.private):
        parser.error("--hub_dataset_id and --hub_private_repo belong to --push_to_hub, which is missing.")
    return args
