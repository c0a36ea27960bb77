"""Render a data set of landscapes: images with label maps, or label maps alone, in a folder for `load_dataset`.

    python examples/landscapes/render.py --output_dir landscapes --first 1000 --layouts 384 --validation_layouts 12
    python examples/landscapes/render.py --output_dir judge --first 9000 --layouts 100 --styles 1
    python examples/landscapes/render.py --output_dir maps --first 1000 --layouts 8000 --labels_only

A stopped run resumes when it is started again with the same options. The same layout in the same style and size is
always the same image; another size shows the same scene.
"""

import argparse
from pathlib import Path

from vocabulary import KINDS, STYLES, TRAINING_LAYOUTS


DEFAULT_STYLES = 4
LAST_LAYOUT = 99999  # file names have five digits
SMALLEST, LARGEST = 32, 1024  # pixels per side


def main() -> None:
    """Read the options, and render the missing layouts."""
    parser = build_parser()
    args = parser.parse_args()
    if error := find_error(args):
        parser.error(error)
    try:
        # imported here, so that wrong options are reported at once, and a missing package in one line
        from rendering_run import RenderingRun

        run = RenderingRun(
            args.output_dir,
            choose_splits(args),
            size=args.size,
            samples_per_pixel=args.samples_per_pixel,
            styles=1 if args.labels_only else args.styles or DEFAULT_STYLES,
            style_names=args.style_names,
            kind=args.kind,
            labels_only=args.labels_only,
        )
    except ModuleNotFoundError as error:
        parser.error(f"{error}. Remedy: pip install -r {Path(__file__).parent / 'requirements.txt'}")
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    run.render_missing()
    if args.sheet:
        run.save_sheet(args.sheet)
    rendered = len(run.missing)
    print(f"{args.output_dir}: {rendered} layouts rendered, {args.layouts - rendered} were complete before")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="folder of the data set, new or to be resumed")
    parser.add_argument("--first", type=int, default=TRAINING_LAYOUTS.start, help="number of the first layout")
    parser.add_argument("--layouts", type=int, default=8, help="number of layouts")
    parser.add_argument(
        "--styles", type=int, help=f"pictures per layout, each in another light; by default {DEFAULT_STYLES}"
    )
    parser.add_argument(
        "--labels_only", action="store_true", help="one label map per layout and no pictures, without path tracing"
    )
    parser.add_argument("--size", type=int, default=256, help="pixels per side; the scenes do not depend on it")
    parser.add_argument("--samples_per_pixel", type=int, default=16, help="paths per pixel, before denoising")
    parser.add_argument("--kind", choices=KINDS, help="kind of all layouts; by default a layout's number decides")
    parser.add_argument(
        "--style_names", nargs="+", choices=list(STYLES), help="taken in turn; by default each layout shuffles all"
    )
    parser.add_argument("--validation_layouts", type=int, default=0, help="how many of the last go to validation")
    parser.add_argument("--sheet", type=Path, help="write the pictures and label maps of this run as one image")
    return parser


def find_error(args: argparse.Namespace) -> str | None:
    """Return an error message for wrong options, else `None`."""
    if args.layouts < 1:
        return f"--layouts is {args.layouts}; at least 1 is needed"
    last = args.first + args.layouts - 1
    if args.first < 0 or last > LAST_LAYOUT:
        return f"--first and --layouts ask for layouts {args.first} to {last}; 0 to {LAST_LAYOUT} are allowed"
    if args.labels_only and (args.styles is not None or args.style_names):
        return "--labels_only makes no pictures: --styles and --style_names cannot be given with it"
    if args.styles is not None and args.styles < 1:
        return f"--styles is {args.styles}; at least 1 is needed"
    if args.size % 2 or not SMALLEST <= args.size <= LARGEST:
        return f"--size is {args.size}; even numbers from {SMALLEST} to {LARGEST} are allowed"
    if args.samples_per_pixel < 1:
        return f"--samples_per_pixel is {args.samples_per_pixel}; at least 1 is needed"
    if args.style_names and len(set(args.style_names)) < len(args.style_names):
        return f"--style_names {' '.join(args.style_names)} has a name twice; --styles says how many pictures are made"
    if not 0 <= args.validation_layouts <= args.layouts:
        return f"--validation_layouts is {args.validation_layouts}; 0 to --layouts ({args.layouts}) are allowed"
    if args.validation_layouts and not set(layout_numbers(args)) <= set(TRAINING_LAYOUTS):
        return (
            f"--validation_layouts is {args.validation_layouts}, but layouts below {TRAINING_LAYOUTS.start} and from "
            f"{TRAINING_LAYOUTS.stop} up are not for training: they are all in the split `test`"
        )
    return None


def layout_numbers(args: argparse.Namespace) -> range:
    """Return the numbers of the layouts to render."""
    return range(args.first, args.first + args.layouts)


def choose_splits(args: argparse.Namespace) -> dict[int, str]:
    """Choose the split of each layout."""
    numbers = layout_numbers(args)
    splits = {number: "train" if number in TRAINING_LAYOUTS else "test" for number in numbers}
    validation = numbers[args.layouts - args.validation_layouts :]
    return splits | dict.fromkeys(validation, "validation")


if __name__ == "__main__":
    main()
