"""The command line `spade-hf`: paint a mask, train, convert public weights, print a label set, start the demo."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from . import BUNDLED_MODEL, LabelSet, SPADEImageProcessor, SPADEPipeline, __version__, convert_nvlabs_checkpoint
from .checkpoint_conversion import NUM_UPSAMPLING_LAYERS
from .legend import draw_legend
from .model_card import printable, write_converted_model_card
from .project import install_command
from .scripts import run_script


USER_ERROR = 2  # exit status, as argparse's own
SCRIPTS = {"train": "train_spade.py"}  # commands that are scripts, with options of their own


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what goes wrong is one line on stderr and exit status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if arguments[:1] and arguments[0] in SCRIPTS:
            run_script(SCRIPTS[arguments[0]], arguments[1:])
        else:
            args = build_parser().parse_args(arguments)
            args.run(args)
    except (ValueError, OSError, ImportError) as error:
        print(f"spade-hf: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return 130  # as a shell reports a program that ended by Ctrl-C
    return 0


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(prog="spade-hf", description="Turn label maps into pictures.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    generate = commands.add_parser("generate", help="paint a mask")
    generate.add_argument("mask", help="image of label ids or in the labels' colours: a path or URL")
    generate.add_argument("--style", help="picture whose light and colours to take")
    generate.add_argument("--instance-map", help="image of instance ids, for models with instance edges")
    generate.add_argument("--seed", type=int, default=0, help="of random styles, when no --style is given")
    generate.add_argument("--num-images", type=int, default=1, help="pictures in as many random styles")
    generate.add_argument("--model", default=BUNDLED_MODEL, help="folder or Hub id; default: the bundled landscapes")
    generate.add_argument("--height", type=int, help="in pixels; default: in the mask's proportions")
    generate.add_argument("--width", type=int, help="in pixels; default: in the mask's proportions")
    generate.add_argument("--color-tolerance", type=float, help="take colours this near to a label's for it")
    generate.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    generate.add_argument("--output", type=Path, default=Path("output.png"), help="several get -0, -1 ... in the name")
    generate.set_defaults(run=run_generate)

    commands.add_parser("train", help="train on your own masks (needs the extra `train`)")  # see SCRIPTS

    convert = commands.add_parser("convert", help="turn public SPADE weights (latest_net_G.pth) into a pipeline")
    convert.add_argument("generator", help="latest_net_G.pth")
    convert.add_argument("output", help="folder to write")
    convert.add_argument("--style-encoder", help="latest_net_E.pth")
    labels_of = convert.add_mutually_exclusive_group(required=True)
    labels_of.add_argument(
        "--label-set", help=f"{', '.join(LabelSet.built_in_names())}, or a JSON file or table of colours"
    )
    labels_of.add_argument("--num-labels", type=int, help="number of classes, without unknown and edges")
    convert.add_argument("--use-unknown-label", action="store_true", default=None, help="with --num-labels")
    convert.add_argument("--use-instance-edges", action="store_true")
    convert.add_argument("--image-size", type=int, nargs="+", required=True, help="side, or height and width")
    convert.add_argument("--num-upsampling-layers", choices=sorted(NUM_UPSAMPLING_LAYERS), default="normal")
    convert.add_argument("--norm-type", choices=("sync_batch", "batch", "instance"), default="sync_batch")
    convert.set_defaults(run=run_convert)

    labels = commands.add_parser("labels", help="print a label set with its colours")
    labels.add_argument(
        "label_set", nargs="?", help="name, JSON file, table of colours or model folder; default: the bundled model"
    )
    labels.add_argument("--image", type=Path, help="also draw the legend to this file")
    labels.set_defaults(run=run_labels)

    demo = commands.add_parser("demo", help="paint masks in the browser (needs the extra `demo`)")
    demo.add_argument("--model", help="folder or Hub id; default: $SPADE_MODEL_ID, or the bundled landscapes")
    demo.add_argument("--host", help="address to listen on; default: this machine only")
    demo.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    demo.set_defaults(run=run_demo)
    return parser


def run_generate(args: argparse.Namespace) -> None:
    """Paint a mask and print the path of each picture."""
    pipeline = SPADEPipeline.from_pretrained(args.model).to(args.device)
    output = pipeline(
        args.mask,
        style_image=args.style,
        instance_map=args.instance_map,
        num_images_per_mask=args.num_images,
        height=args.height,
        width=args.width,
        color_tolerance=args.color_tolerance,
        generator=torch.Generator().manual_seed(args.seed),
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(output.images):
        path = args.output
        if len(output.images) > 1:
            path = path.with_stem(f"{path.stem}-{number}")
        image.save(path)
        print(path)


def run_convert(args: argparse.Namespace) -> None:
    """Convert public weights, save the pipeline with a model card, and print its folder."""
    if len(args.image_size) > 2:
        raise ValueError(f"--image-size has {len(args.image_size)} numbers; give one side, or height and width.")
    pipeline = convert_nvlabs_checkpoint(
        args.generator,
        style_encoder_path=args.style_encoder,
        label_set=None if args.label_set is None else read_label_set(args.label_set),
        num_labels=args.num_labels,
        use_unknown_label=args.use_unknown_label,
        use_instance_edges=args.use_instance_edges,
        image_size=(args.image_size[0], args.image_size[-1]),
        num_upsampling_layers=args.num_upsampling_layers,
        norm_type=args.norm_type,
    )
    pipeline.save_pretrained(args.output)
    write_converted_model_card(pipeline, Path(args.output), source=Path(args.generator).name)
    print(args.output)


def run_labels(args: argparse.Namespace) -> None:
    """Print a label set, a line a label."""
    label_set = read_label_set(args.label_set or BUNDLED_MODEL)
    print(f"{printable(label_set.name)}: {label_set.num_labels} labels")
    for channel, label in enumerate(label_set.labels):
        red, green, blue = label_set.palette[channel].tolist()
        swatch = f"\x1b[48;2;{red};{green};{blue}m  \x1b[0m " if sys.stdout.isatty() else ""
        unknown = " (unknown)" if label.id == label_set.unknown_id else ""
        print(f"{label.id:>5}  {swatch}#{red:02x}{green:02x}{blue:02x}  {printable(label.name)}{unknown}")
    if args.image is not None:
        args.image.parent.mkdir(parents=True, exist_ok=True)
        draw_legend(label_set).save(args.image)
        print(args.image)


def run_demo(args: argparse.Namespace) -> None:
    """Serve the painting demo until it is interrupted."""
    try:
        from .demo import main as serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ImportError(f"the demo needs gradio: {install_command('demo')}") from error
    serve(args.model, host=args.host, port=args.port)


def read_label_set(name: str) -> LabelSet:
    """A built-in label set, one in a JSON file, or the one of a saved pipeline."""
    if name in LabelSet.built_in_names():
        return LabelSet.from_name(name)
    if Path(name).is_dir():
        return SPADEImageProcessor.from_pretrained(name, subfolder="image_processor").label_set
    if Path(name).is_file():
        return LabelSet.from_file(name)
    raise ValueError(
        f"{name!r} is no label set: give {', '.join(LabelSet.built_in_names())}, a JSON file, a table of colours "
        "or a model's folder."
    )


if __name__ == "__main__":
    sys.exit(main())
