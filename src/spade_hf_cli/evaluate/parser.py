"""Command line of `spade-hf evaluate`. Nothing of the library is imported, so that `--help` is fast."""

import argparse
from collections.abc import Sequence

from ..data_options import DataOptions, problem_with_data, problem_with_folders
from ..declaring import add_options
from ..options import as_typed, options_of
from ..parsing import OptionParser, count, natural, share
from ..unused import Rule, changed, unused_option


RENAMED: dict[str, str] = {}  # parameters in the library's errors whose options have other names
RULES = (
    Rule("update_model_card", lambda args: args.model is None, "belongs to --model, which is missing."),
    Rule(
        "image_channels value_range display_channels",
        lambda args: not args.real,
        "is for --real; a model knows its own. Leave it out.",
    ),
    Rule(
        "condition_channels condition_range",
        lambda args: True,
        "is for training; a model knows its own. Leave it out.",
    ),
    Rule(
        "condition_folder condition_column",
        lambda args: args.real,
        "is for models; real pictures are scored without conditions. Leave it out with --real.",
    ),
    Rule("reduce", lambda args: not args.real, "belongs to --real, which is missing."),
    Rule("painting_size", lambda args: args.real, "is for models. Leave it out with --real."),
    Rule(
        "painted_masks",
        lambda args: args.real,
        "is for models; real pictures have exact masks only. Leave it out with --real.",
    ),
    Rule(
        "outline_strength",
        lambda args: args.real or args.painted_masks is False,
        "is for a model's painted masks, which --real and --no-painted_masks leave out.",
        also_zero=True,
    ),
    Rule(
        "outline_steps", lambda args: args.outline_strength is None, "belongs to --outline_strength, which is missing."
    ),
    Rule(
        "split",
        lambda args: args.image_folder is not None,
        "is for --dataset_name and has no effect on folders. Leave it out.",
    ),
    Rule(
        "segmenter_dataset segmenter_split segmenter_image_folder segmenter_mask_folder segmenter_file_list "
        "segmenter_panoptic_json segmenter_steps",
        lambda args: args.segmenter != "train",
        "is for --segmenter train and has no effect on {segmenter}. Leave it out.",
    ),
    Rule(
        "ignored_pixels",
        lambda args: args.segmenter == "none",
        "{ignored_pixels} needs a segmenter and has no effect with --segmenter none. Leave it out.",
    ),
    Rule(
        "segmenter_labels",
        lambda args: args.segmenter in ("train", "none") or args.segmenter.endswith(".safetensors"),
        "belongs to a --segmenter that is a folder or Hub id.",
    ),
    Rule(
        "segmenter_split",
        lambda args: (
            args.segmenter_image_folder is not None or (args.segmenter_dataset is None and args.dataset_name is None)
        ),
        "is for a data set and has no effect on folders. Leave it out.",
    ),
)


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Build the parser with all options and their defaults."""
    description = "Score a model: does it paint what the mask says, and do its pictures look like the real ones?"
    parser = OptionParser(prog=prog, description=description)
    parser.add_argument("--model", help="folder or Hub id; default: the bundled landscapes")
    parser.add_argument("--real", action="store_true", help="score the real pictures instead of a model's")
    parser.add_argument("--reduce", type=count, help="with --real: reduce the shorter side to this, and enlarge again")
    add_options(parser, DataOptions)
    parser.add_argument("--split", help="of the data set; default: validation")
    parser.add_argument("--group_column", help="column of scenes, each shown in several styles; needed for light")
    parser.add_argument("--resolution", type=count, nargs="+", help="side, or height and width; default: the model's")
    parser.add_argument(
        "--painting_size",
        type=count,
        nargs="+",
        help="side, or height and width, at which the model paints, to compare models of different sizes: its "
        "pictures are resized to --resolution; default: that",
    )
    parser.add_argument("--num_images", type=count, help="number of rows, spread evenly over the split; default: all")
    parser.add_argument(
        "--painted_masks",
        action=argparse.BooleanOptionalAction,
        help="also score masks that are painted as by hand; default: a model's, if they fit it",
    )
    parser.add_argument(
        "--outline_strength",
        type=share,
        help="also score these masks with natural outlines: how loosely the model's outline model follows them, 0..1",
    )
    parser.add_argument("--outline_steps", type=count, default=4, help="evaluations of the outline model per mask")
    parser.add_argument(
        "--feature_network",
        default="efficientnet-lite2",
        help="efficientnet-lite1 or -lite2, inception-v3, or a folder or Hub id of an Inception-v3 or a backbone",
    )
    parser.add_argument(
        "--segmenter", default="train", help="train, none, a segmenter-*.safetensors file, or a folder or Hub id"
    )
    parser.add_argument(
        "--segmenter_labels",
        help='ade20k, coco-stuff or cityscapes, or a JSON file {"class of the segmenter": "label of the masks"}',
    )
    parser.add_argument(
        "--segmenter_dataset", help="data set of real pairs to train the segmenter on; default: --dataset_name"
    )
    parser.add_argument("--segmenter_split", help="of the segmenter's data set; default: train")
    of = ", for --segmenter_image_folder"
    parser.add_argument("--segmenter_image_folder", help="folder of images of other pairs")
    parser.add_argument(
        "--segmenter_mask_folder", help=f"folder of masks: ids or the label set's colors; or CVAT's zip file{of}"
    )
    parser.add_argument(
        "--segmenter_file_list", help=f"text file: read only these names, without suffix or extension{of}"
    )
    parser.add_argument(
        "--segmenter_panoptic_json", help=f"COCO's panoptic annotations of the files in these folders{of}"
    )
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


def parse_args(arguments: Sequence[str] | None = None, *, prog: str | None = None) -> argparse.Namespace:
    """Read and check the options."""
    parser = build_parser(prog)
    args = parser.parse_args(arguments)
    problem = problem_with_data(args) or problem_with_folders(args, "segmenter_") or _problem(args)
    if problem := problem or unused_option(args, RULES, changed(parser, args)):
        parser.error(as_typed(problem, options_of(parser)))
    for name in ("resolution", "painting_size"):
        if (size := getattr(args, name)) is not None:
            setattr(args, name, [size[0], size[-1]])
    if args.image_folder is None:
        args.split = args.split or "validation"
    return args


def _problem(args: argparse.Namespace) -> str | None:
    """Return an error message if options contradict each other, else `None`."""
    if args.real and args.model is not None:
        return "Give either --model or --real."
    for name in ("resolution", "painting_size"):
        if len(size := getattr(args, name) or []) > 2:
            return f"--{name} is {' '.join(map(str, size))}; give one side, or height and width."
    if args.segmenter != "train":
        return None
    if args.segmenter_image_folder is not None and args.segmenter_dataset is not None:
        return "Give either --segmenter_dataset, or --segmenter_image_folder with --segmenter_mask_folder."
    if args.segmenter_panoptic_json is not None and args.segmenter_file_list is not None:
        return "--segmenter_panoptic_json names the files of each pair. Leave --segmenter_file_list out."
    return None
