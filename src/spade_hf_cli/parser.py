"""The parsers of the short commands, one function each; programs (`train` and so on) have their own.

An option's `dest` is the name of the library's parameter, so that an error about the parameter can name the option.
"""

import argparse
import os
import re
from pathlib import Path
from typing import Any

from .data_options import DataOptions
from .declaring import add_options
from .options import options_of
from .parsing import OptionParser, count, natural, share
from .program import PROGRAMS
from .unused import Rule


PACKAGE = Path(__file__).parents[1] / "spade_hf"
LABEL_SETS = ", ".join(sorted(path.stem for path in (PACKAGE / "labels" / "tables").glob("*.json")))
PRESETS = ("ade20k", "coco", "cityscapes")  # of `spade-hf convert`, see conversion/presets.py
# Options that do something only with another one.
RULES = {
    "generate": (
        Rule(
            "mask_column instance_column condition_column split",
            lambda args: args.dataset is None,
            "belongs to --dataset, which is missing.",
        ),
        Rule("blend", lambda args: args.style_image is None, "belongs to --style, which is missing."),
        Rule(
            "outline_steps outline_model",
            lambda args: args.outline_strength == 0,
            "has no effect without --outline-strength. Leave it out.",
        ),
        Rule("batch_size", lambda args: args.output_dir is None, "belongs to --output-dir, which is missing."),
    ),
    "segment": (
        Rule(
            "image_column split",
            lambda args: args.dataset_name is None,
            "belongs to --dataset-name, which is missing.",
        ),
        Rule(
            "segmenter_labels label_set",
            lambda args: args.segmenter is None,
            "belongs to --segmenter, which is missing.",
        ),
    ),
    "check": (
        Rule("split", lambda args: args.dataset_name is None, "belongs to --dataset_name, which is missing."),
        Rule(
            "overwrite",
            lambda args: args.sheet is None and args.json is None,
            "belongs to --sheet or --json, which is missing.",
        ),
    ),
    "export": (
        Rule("size modulation mask", lambda args: args.output is None, "belongs to --output, which is missing."),
        Rule("repo_id", lambda args: args.standalone is None, "belongs to --standalone, which is missing."),
    ),
    "labels": (Rule("overwrite", lambda args: args.image is None, "belongs to --image, which is missing."),),
    "edit": (
        Rule("region shift", lambda args: args.paste is None, "belongs to --paste, which is missing."),
        Rule("outline_steps model seed", lambda args: args.natural is None, "belongs to --natural, which is missing."),
    ),
}
Commands = Any  # what `add_subparsers` returns has no public type


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands and their options."""
    parser = OptionParser(prog="spade-hf", description="Turn label maps into images.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_generate(commands)
    for name, (help_text, _) in PROGRAMS.items():  # listed here; `program.py` parses their options
        commands.add_parser(name, help=help_text)
    _add_segment(commands)
    _add_check(commands)
    _add_convert(commands)
    _add_export(commands)
    _add_labels(commands)
    _add_edit(commands)
    _add_demo(commands)
    for name, command in commands.choices.items():
        command.set_defaults(options=options_of(command), rules=RULES.get(name, ()))
    # a style image is read as the image processor's `image`
    commands.choices["generate"].get_default("options")["image"] = "--style"
    return parser


def _version() -> str:
    """Read the version without importing the library, which takes seconds."""
    text = (PACKAGE / "version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "(.+)"', text)
    assert found is not None
    return found[1]


def _add_generate(commands: Commands) -> None:
    command = commands.add_parser("generate", help="paint one or more masks")
    command.add_argument(
        "mask",
        nargs="*",
        help="image of label ids or in the labels' colors: paths, or folders with --output-dir",
    )
    command.add_argument("--dataset", help="Hub data set, local folder or parquet file of masks, instead of files")
    command.add_argument("--mask-column", help="masks of --dataset; default: label")
    command.add_argument("--instance-column", help="instance maps of --dataset, for models with edges")
    command.add_argument("--condition-column", help="conditions of --dataset, for models that read them")
    command.add_argument("--split", help="split of --dataset; default: train")
    command.add_argument(
        "--style",
        dest="style_image",
        nargs="+",
        help="picture whose light and colors are used; for many masks, one for all or one per mask",
    )
    command.add_argument(
        "--latents",
        help="style, instead of --style: a file that a painting page saves as its style or scene, or .npy (M, Z); "
        "several of them paint several pictures, or for many masks one each",
    )
    command.add_argument("--blend", action="store_true", help="interpolate the --style pictures over the masks")
    command.add_argument(
        "--instance-map", help="image of instance ids, for models with instance edges; a folder of them for many masks"
    )
    command.add_argument(
        "--condition",
        help="depth map, edges, picture or whatever the model reads beside the mask, or in its place if it has no "
        "labels; a folder of them for many masks",
    )
    command.add_argument(
        "--seed", type=int, help="seed of random styles, without --style or --latents, and of outlines; default: 0"
    )
    command.add_argument(
        "--num-images", dest="num_images_per_mask", type=int, default=1, help="pictures per mask, in random styles"
    )
    command.add_argument("--model", help="folder or Hub id; default: the bundled landscapes")
    command.add_argument("--height", type=int, help="in pixels; default: from the mask's proportions")
    command.add_argument("--width", type=int, help="in pixels; default: from the mask's proportions")
    command.add_argument(
        "--color-tolerance", type=float, help="map other colors to the nearest label within this RGB distance"
    )
    command.add_argument(
        "--ids-in-red",
        action="store_true",
        help="masks are RGB with the ids in the red channel, as CARLA saves them, or in three equal channels",
    )
    command.add_argument(
        "--outline-strength",
        type=share,
        default=0.0,
        help="give the masks natural outlines first, and fill what is not painted (255 or transparent): how loosely "
        "painted outlines are followed, up to 1; 0: the mask decides every pixel",
    )
    command.add_argument("--outline-steps", type=count, help="evaluations of the outline model; default: 4")
    command.add_argument("--outline-model", help="folder or Hub id; default: that of --model")
    command.add_argument("--device", help="default: cuda if there is a GPU, else cpu")
    command.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="type of the weights"
    )
    command.add_argument("--output", type=Path, help="default: output.png; several get -0, -1 ... in the name")
    command.add_argument(
        "--output-dir", type=Path, help="folder for the pictures of many masks; existing ones are skipped"
    )
    command.add_argument("--batch-size", type=count, help="masks per batch of --output-dir; default: 8")
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _add_segment(commands: Commands) -> None:
    command = commands.add_parser("segment", help="make masks of photographs, to paint or to train with")
    command.add_argument("photos", nargs="*", help="photographs, or folders of them")
    command.add_argument("--dataset-name", help="Hub data set, local folder or parquet file, instead of files")
    command.add_argument("--image-column", help="photographs of --dataset-name; default: image")
    command.add_argument("--split", help="split of --dataset-name; default: train")
    command.add_argument("--output-dir", type=Path, required=True, help="folder for the masks; those there are kept")
    command.add_argument("--model", help="folder or Hub id of a model with a segmenter; default: the bundled one")
    command.add_argument(
        "--segmenter",
        help="another segmenter: folder or Hub id of one of this library, or of a semantic segmentation model of "
        "transformers; default: that of --model",
    )
    command.add_argument(
        "--segmenter-labels",
        help="for a --segmenter of transformers whose classes have other names than the labels: ade20k, coco-stuff or "
        'cityscapes, or a JSON file {"class of the segmenter": "label"}',
    )
    command.add_argument(
        "--label-set",
        help="labels of --segmenter: name, JSON file, table of colors or model folder; default: the model's",
    )
    command.add_argument("--device", help="default: cuda if there is a GPU, else cpu")
    command.add_argument("--overwrite", action="store_true", help="replace masks that exist")


def _add_check(commands: Commands) -> None:
    command = commands.add_parser("check", help="read every pair of your data, and report problems (needs `train`)")
    add_options(command, DataOptions)
    command.add_argument("--split", help="split of --dataset_name; default: train")
    command.add_argument(
        "--resolution",
        type=count,
        nargs="+",
        help="side, or height and width, of the crop; default: the first image's proportions, with a side of 256",
    )
    command.add_argument("--num_workers", type=natural, default=os.cpu_count() or 1, help="default: one per core")
    command.add_argument("--sheet", type=Path, help="also draw some pairs to this file, each mask over its image")
    command.add_argument("--json", type=Path, help="also write the numbers of pairs, bad ones and warnings here")
    command.add_argument(
        "--overwrite", action="store_true", help="replace the files of --sheet and --json if they exist"
    )


def _add_convert(commands: Commands) -> None:
    command = commands.add_parser("convert", help="turn public SPADE weights (latest_net_G.pth) into a pipeline")
    command.add_argument("generator", help="latest_net_G.pth")
    command.add_argument("output", type=Path, help="folder to write")
    command.add_argument("--style-encoder", dest="style_encoder_path", help="latest_net_E.pth")
    command.add_argument(
        "--discriminator",
        dest="discriminator_path",
        help="latest_net_D.pth, for training; also saved in the folder",
    )
    labels_of = command.add_mutually_exclusive_group(required=True)
    labels_of.add_argument(
        "--preset", choices=PRESETS, help="the public checkpoint of this data set; sets all options below"
    )
    labels_of.add_argument("--label-set", help=f"{LABEL_SETS}, or a JSON file or table of colors")
    labels_of.add_argument("--num-labels", type=int, help="number of classes, without unknown and edges")
    command.add_argument("--use-unknown-label", action="store_true", default=None, help="with --num-labels")
    command.add_argument("--use-instance-edges", action="store_true", default=None)
    command.add_argument(
        "--image-size", type=int, nargs="+", help="side, or height and width; needed without --preset"
    )
    command.add_argument("--num-upsampling-layers", choices=("normal", "more", "most"))
    command.add_argument("--norm-type", choices=("sync_batch", "batch", "instance"), help="default: sync_batch")
    command.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")


def _add_export(commands: Commands) -> None:
    command = commands.add_parser(
        "export", help="write a model as an ONNX file (needs the extra `export`), or with its code beside it"
    )
    command.add_argument("--model", help="folder or Hub id; default: the bundled landscapes")
    command.add_argument("--output", type=Path, help="write the generator to this file, such as generator.onnx")
    command.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="fixed size, one mask per call; default: any"
    )
    command.add_argument(
        "--dtype", choices=("float32", "float16", "int8"), default="float32", help="type of the weights in the file"
    )
    command.add_argument(
        "--modulation",
        choices=("dense", "sparse"),
        help="default: dense; sparse: the inputs include distinct label neighborhoods, see docs/export.md",
    )
    command.add_argument("--style-encoder", type=Path, help="write the style encoder to this file")
    command.add_argument("--outline", type=Path, help="write the outline model to this file")
    command.add_argument("--segmenter", type=Path, help="write the segmenter to this file")
    command.add_argument(
        "--standalone",
        type=Path,
        metavar="FOLDER",
        help="add the code that runs it without spade_hf to the model in this folder, or in a new one to --model",
    )
    command.add_argument(
        "--repo-id", help="the repository that --standalone will be pushed to, which Modular Diffusers loads from"
    )
    command.add_argument("--mask", nargs="+", default=[], help="check with these masks; default: random ones")
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _add_labels(commands: Commands) -> None:
    command = commands.add_parser("labels", help="print a label set with its colors")
    command.add_argument(
        "label_set", nargs="?", help="name, JSON file, table of colors or model folder; default: the bundled model"
    )
    command.add_argument("--image", type=Path, help="also draw the legend to this file")
    command.add_argument("--overwrite", action="store_true", help="replace the file of --image if it exists")


def _add_edit(commands: Commands) -> None:
    command = commands.add_parser("edit", help="make a new mask from one or two")
    command.add_argument("mask", help="image of label ids or in the labels' colors")
    command.add_argument(
        "--label-set", help="name, JSON file, table of colors or model folder; default: the bundled model"
    )
    command.add_argument("--paste", help="another mask, from which --region is copied")
    command.add_argument("--region", help="label of --paste, by name or id: all of its pixels are copied")
    command.add_argument(
        "--shift", type=int, nargs=2, metavar=("DOWN", "RIGHT"), help="move the pasted part, in pixels"
    )
    command.add_argument(
        "--replace", nargs="+", default=[], metavar="OLD=NEW", help="labels, by name or id, all at once"
    )
    command.add_argument(
        "--size", type=count, nargs=2, metavar=("HEIGHT", "WIDTH"), help="size of the result, by nearest pixel"
    )
    command.add_argument(
        "--painted", type=int, metavar="SEED", help="repaint it as if by hand (needs the extra `train`)"
    )
    command.add_argument(
        "--natural",
        type=share,
        metavar="STRENGTH",
        help="give it natural outlines, and fill what is not painted (255 or transparent): how loosely painted "
        "outlines are followed, in 0..1",
    )
    command.add_argument("--outline-steps", type=count, help="evaluations of the outline model; default: 4")
    command.add_argument("--model", help="folder or Hub id, for --natural; default: the bundled landscapes")
    command.add_argument("--seed", type=natural, help="seed of the outlines of --natural; default: 0")
    command.add_argument("--output", type=Path, required=True, help="PNG file of label ids")
    command.add_argument("--instances", type=Path, help="also number connected areas of equal label in this PNG file")
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _add_demo(commands: Commands) -> None:
    command = commands.add_parser("demo", help="paint masks in the browser (needs the extra `demo`)")
    command.add_argument("--model", help="folder or Hub id; default: $SPADE_MODEL_ID, or the bundled landscapes")
    command.add_argument("--host", help="address to listen on; default: this machine only")
    command.add_argument("--port", type=int, help="default: the first free port from 7860 on")
    command.add_argument(
        "--mcp", action="store_true", help="also offer its functions as tools to agents (needs the extra `mcp`)"
    )
