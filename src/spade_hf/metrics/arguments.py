"""Command line of the evaluation script. This module imports nothing from its package, to keep `--help` fast."""

import argparse
from collections.abc import Sequence

from spade_hf_cli.options import OneLineParser, add_data_options, count, natural, problem_with_data


def build_parser() -> argparse.ArgumentParser:
    """Build the parser with all options and their defaults."""
    description = "Score a model: does it paint what the mask says, and do its pictures look like the real ones?"
    parser = OneLineParser(description=description, allow_abbrev=False)
    parser.add_argument("--model", help="folder or Hub id; default: the bundled landscapes")
    parser.add_argument("--real", action="store_true", help="score the real pictures instead of a model's")
    parser.add_argument("--reduce", type=count, help="with --real: reduce the shorter side to this, and enlarge again")
    add_data_options(parser)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--group_column", help="column of scenes, each shown in several styles; needed for light")
    parser.add_argument("--resolution", type=count, nargs="+", help="side, or height and width; default: the model's")
    parser.add_argument("--num_images", type=count, help="number of rows, spread evenly over the split; default: all")
    parser.add_argument(
        "--painted_masks",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also score masks that are painted as by hand",
    )
    parser.add_argument(
        "--feature_network",
        default="efficientnet-lite2",
        help="efficientnet-lite1 or -lite2, inception-v3, or a folder or Hub id of an Inception-v3 or a backbone",
    )
    parser.add_argument(
        "--segmenter", default="train", help="train, none, a segmenter-*.safetensors file, or a folder or Hub id"
    )
    parser.add_argument("--segmenter_labels", help='JSON file {"class of the segmenter": "label of the masks"}')
    parser.add_argument("--segmenter_dataset", help="real pairs to train the segmenter on; default: --dataset_name")
    parser.add_argument("--segmenter_split", default="train")
    parser.add_argument("--segmenter_steps", type=count, default=300, help="updates of 8 pairs")
    parser.add_argument(
        "--ignored_pixels",
        choices=("leave_out", "count"),
        default="leave_out",
        help="leave unknown pixels out, or count predictions there as wrong",
    )
    parser.add_argument("--batch_size", type=count, default=8)
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--device", help="default: cuda if there is a GPU, else cpu")
    parser.add_argument("--json", help="file to write the figures to")
    parser.add_argument(
        "--update_model_card",
        action="store_true",
        help="put the figures of exact masks into the metadata of --model's card: in its folder, or on the Hub",
    )
    parser.add_argument("--output_dir", help="folder for table.md, sheet.png, the pictures and the trained segmenter")
    return parser


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read and check the options."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    if args.real and args.model is not None:
        parser.error("Give either --model or --real.")
    if problem := problem_with_data(args):
        parser.error(problem)
    if args.update_model_card and args.model is None:
        parser.error("--update_model_card belongs to --model, which is missing.")
    if args.segmenter_labels is not None and (
        args.segmenter in ("train", "none") or args.segmenter.endswith(".safetensors")
    ):
        parser.error("--segmenter_labels belongs to a --segmenter that is a folder or Hub id.")
    if args.reduce is not None and not args.real:
        parser.error("--reduce belongs to --real, which is missing.")
    if args.resolution is not None:
        args.resolution = [args.resolution[0], args.resolution[-1]]
    return args
