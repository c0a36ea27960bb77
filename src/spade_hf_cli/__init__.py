"""The console script `spade-hf`. It imports `spade_hf`, which takes seconds, only when a command runs.

An option's `dest` is the name of the library's parameter, so that an error about the parameter can name the option.
"""

import argparse
import importlib
import io
import os
import runpy
import select
import sys
from collections.abc import Sequence
from pathlib import Path

from .options import OneLineParser, add_data_options, as_typed, check_belonging, count, natural, options_of


PACKAGE = Path(__file__).parents[1] / "spade_hf"
LABEL_SETS = ", ".join(sorted(path.stem for path in (PACKAGE / "labels" / "tables").glob("*.json")))
# Commands that are scripts, and the files of their options, which import nothing of the package.
SCRIPTS = {"train": "train_spade.py", "evaluate": "evaluate_spade.py", "synthesize": "synthesize_dataset.py"}
PARSERS = {
    "train": "training/arguments.py",
    "evaluate": "metrics/arguments.py",
    "synthesize": "synthesis/arguments.py",
}
PRESETS = ("ade20k", "coco", "cityscapes")  # of `spade-hf convert`, see conversion/presets.py
# Options that do something only with another one.
BELONGING = {
    "generate": {
        "mask_column": ("dataset",),
        "instance_column": ("dataset",),
        "split": ("dataset",),
        "blend": ("style_image",),
        "batch_size": ("output_dir",),
    },
    "check": {"split": ("dataset_name",), "overwrite": ("sheet", "json")},
    "labels": {"overwrite": ("image",)},
    "edit": {"region": ("paste",), "shift": ("paste",)},
}
USER_ERROR = 2  # exit status, as argparse's own
INTERRUPTED = 130  # as a shell reports a program that ended by Ctrl-C
NO_READER = 141  # as a shell reports a program whose reader has ended, such as `head`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error is one line on stderr, with exit status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    open_streams()
    try:
        status = _run(arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        if not reader_is_gone():  # another pipe has broken
            raise
        status = NO_READER
    error = finish_output()
    if isinstance(error, BrokenPipeError):
        return NO_READER
    if error is not None and status == 0:
        print(f"error: stdout cannot be written: {error}", file=sys.stderr)
        return USER_ERROR
    return status


def open_streams() -> None:
    """Let stdout and stderr take any text, and replace those that the caller has closed.

    A file name can hold characters that the output's encoding lacks; they are printed as escapes.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def reader_is_gone() -> bool:
    """Return whether stdout is a pipe whose reader has ended."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def finish_output() -> OSError | None:
    """Write what is left of stdout; if that fails, return the error and forget the rest.

    Otherwise the interpreter tries it again at its end, and prints an error of several lines.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return error
    return None


def _run(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in SCRIPTS:
        if {"-h", "--help"} & set(arguments):
            parser = runpy.run_path(str(PACKAGE / PARSERS[arguments[0]]))["build_parser"]()
            parser.prog = f"spade-hf {arguments[0]}"
            parser.parse_args(["--help"])  # prints it and exits, as argparse does
        try:
            return importlib.import_module("spade_hf.scripts").run_script(SCRIPTS[arguments[0]], arguments[1:])
        except SystemExit as stop:
            if not isinstance(stop.code, str):
                raise
            print(stop.code, file=sys.stderr)  # a package is missing; Python itself would end with 1
            return USER_ERROR
    args = build_parser().parse_args(arguments)
    try:
        check_belonging(args)
        return importlib.import_module(f"spade_hf.cli.{args.command}").run(args) or 0
    except BrokenPipeError:  # see `main`
        raise
    except (ValueError, OSError, ImportError, RuntimeError, MemoryError) as error:  # RuntimeError: torch's
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {as_typed(message, args.options)}", file=sys.stderr)
        return USER_ERROR


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands and their options."""
    version = runpy.run_path(str(PACKAGE / "version.py"))["__version__"]
    parser = OneLineParser(prog="spade-hf", description="Turn label maps into images.")
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    generate = commands.add_parser("generate", help="paint one or more masks")
    generate.add_argument(
        "mask",
        nargs="*",
        help="image of label ids or in the labels' colours: paths, or folders with --output-dir",
    )
    generate.add_argument("--dataset", help="Hub data set, local folder or parquet file of masks, instead of files")
    generate.add_argument("--mask-column", help="masks of --dataset; default: label")
    generate.add_argument("--instance-column", help="instance maps of --dataset, for models with edges")
    generate.add_argument("--split", help="split of --dataset; default: train")
    generate.add_argument(
        "--style",
        dest="style_image",
        nargs="+",
        help="picture whose light and colours are used; for many masks, one for all or one per mask",
    )
    generate.add_argument("--blend", action="store_true", help="interpolate the --style pictures over the masks")
    generate.add_argument(
        "--instance-map", help="image of instance ids, for models with instance edges; a folder of them for many masks"
    )
    generate.add_argument("--seed", type=int, help="seed of random styles, without --style; default: 0")
    generate.add_argument(
        "--num-images", dest="num_images_per_mask", type=int, default=1, help="pictures per mask, in random styles"
    )
    generate.add_argument("--model", help="folder or Hub id; default: the bundled landscapes")
    generate.add_argument("--height", type=int, help="in pixels; default: from the mask's proportions")
    generate.add_argument("--width", type=int, help="in pixels; default: from the mask's proportions")
    generate.add_argument(
        "--color-tolerance", type=float, help="map other colours to the nearest label within this RGB distance"
    )
    generate.add_argument("--device", help="default: cuda if there is a GPU, else cpu")
    generate.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="type of the weights"
    )
    generate.add_argument("--output", type=Path, help="default: output.png; several get -0, -1 ... in the name")
    generate.add_argument(
        "--output-dir", type=Path, help="folder for the pictures of many masks; existing ones are skipped"
    )
    generate.add_argument("--batch-size", type=count, help="masks per batch of --output-dir; default: 8")
    generate.add_argument("--overwrite", action="store_true", help="replace files that exist")

    commands.add_parser("train", help="train on your own masks (needs the extra `train`)")  # see SCRIPTS
    commands.add_parser("evaluate", help="measure how good a model is (needs the extra `eval`)")
    commands.add_parser("synthesize", help="paint a data set of masks in many styles (needs the extra `train`)")

    check = commands.add_parser("check", help="read every pair of your data, and report problems (needs `train`)")
    add_data_options(check)
    check.add_argument("--split", help="split of --dataset_name; default: train")
    check.add_argument(
        "--resolution",
        type=count,
        nargs="+",
        help="side, or height and width, of the crop; default: the first image's proportions, with a side of 256",
    )
    check.add_argument("--num_workers", type=natural, default=os.cpu_count() or 1, help="default: one per core")
    check.add_argument("--sheet", type=Path, help="also draw some pairs to this file, each mask over its image")
    check.add_argument("--json", type=Path, help="also write the numbers of pairs, bad ones and warnings here")
    check.add_argument(
        "--overwrite", action="store_true", help="replace the files of --sheet and --json if they exist"
    )

    convert = commands.add_parser("convert", help="turn public SPADE weights (latest_net_G.pth) into a pipeline")
    convert.add_argument("generator", help="latest_net_G.pth")
    convert.add_argument("output", type=Path, help="folder to write")
    convert.add_argument("--style-encoder", dest="style_encoder_path", help="latest_net_E.pth")
    convert.add_argument(
        "--discriminator",
        dest="discriminator_path",
        help="latest_net_D.pth, for training; also saved in the folder",
    )
    labels_of = convert.add_mutually_exclusive_group(required=True)
    labels_of.add_argument(
        "--preset", choices=PRESETS, help="the public checkpoint of this data set; sets all options below"
    )
    labels_of.add_argument("--label-set", help=f"{LABEL_SETS}, or a JSON file or table of colours")
    labels_of.add_argument("--num-labels", type=int, help="number of classes, without unknown and edges")
    convert.add_argument("--use-unknown-label", action="store_true", default=None, help="with --num-labels")
    convert.add_argument("--use-instance-edges", action="store_true", default=None)
    convert.add_argument(
        "--image-size", type=int, nargs="+", help="side, or height and width; needed without --preset"
    )
    convert.add_argument("--num-upsampling-layers", choices=("normal", "more", "most"))
    convert.add_argument("--norm-type", choices=("sync_batch", "batch", "instance"), help="default: sync_batch")
    convert.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")

    export = commands.add_parser("export", help="write a model as an ONNX file (needs the extra `export`)")
    export.add_argument("--model", help="folder or Hub id; default: the bundled landscapes")
    export.add_argument("--output", type=Path, required=True, help="file to write, such as generator.onnx")
    export.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="fixed size, one mask per call; default: any"
    )
    export.add_argument(
        "--dtype", choices=("float32", "float16"), default="float32", help="type of the weights in the file"
    )
    export.add_argument(
        "--modulation",
        choices=("dense", "sparse"),
        default="dense",
        help="sparse: the inputs include distinct label neighbourhoods, see docs/export.md",
    )
    export.add_argument("--style-encoder", type=Path, help="also write the style encoder to this file")
    export.add_argument("--mask", nargs="+", default=[], help="check with these masks; default: random ones")
    export.add_argument("--overwrite", action="store_true", help="replace files that exist")

    labels = commands.add_parser("labels", help="print a label set with its colours")
    labels.add_argument(
        "label_set", nargs="?", help="name, JSON file, table of colours or model folder; default: the bundled model"
    )
    labels.add_argument("--image", type=Path, help="also draw the legend to this file")
    labels.add_argument("--overwrite", action="store_true", help="replace the file of --image if it exists")

    edit = commands.add_parser("edit", help="make a new mask from one or two")
    edit.add_argument("mask", help="image of label ids or in the labels' colours")
    edit.add_argument(
        "--label-set", help="name, JSON file, table of colours or model folder; default: the bundled model"
    )
    edit.add_argument("--paste", help="another mask, from which --region is copied")
    edit.add_argument("--region", help="label of --paste, by name or id: all of its pixels are copied")
    edit.add_argument("--shift", type=int, nargs=2, metavar=("DOWN", "RIGHT"), help="move the pasted part, in pixels")
    edit.add_argument("--replace", nargs="+", default=[], metavar="OLD=NEW", help="labels, by name or id, all at once")
    edit.add_argument(
        "--size", type=count, nargs=2, metavar=("HEIGHT", "WIDTH"), help="size of the result, by nearest pixel"
    )
    edit.add_argument("--painted", type=int, metavar="SEED", help="repaint it as if by hand (needs the extra `train`)")
    edit.add_argument("--output", type=Path, required=True, help="PNG file of label ids")
    edit.add_argument("--instances", type=Path, help="also number connected areas of equal label in this PNG file")
    edit.add_argument("--overwrite", action="store_true", help="replace files that exist")

    demo = commands.add_parser("demo", help="paint masks in the browser (needs the extra `demo`)")
    demo.add_argument("--model", help="folder or Hub id; default: $SPADE_MODEL_ID, or the bundled landscapes")
    demo.add_argument("--host", help="address to listen on; default: this machine only")
    demo.add_argument("--port", type=int, help="default: the first free port from 7860 on")

    for name, command in commands.choices.items():
        command.set_defaults(options=options_of(command), belonging=BELONGING.get(name, {}))
    generate.get_default("options")["image"] = "--style"  # a style picture is read as the image processor's `image`
    return parser
