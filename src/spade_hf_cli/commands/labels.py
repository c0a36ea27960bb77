"""`spade-hf labels`: print a label set, without torch and diffusers, which take seconds to load."""

import argparse
import sys

from spade_hf import BUNDLED_MODEL
from spade_hf.labels.legend import draw_legend
from spade_hf.text import printable

from ..label_sets import read_label_set
from ..outputs import check_image_file, save_image


def run(args: argparse.Namespace) -> None:
    """Print a label set, one line per label, and draw its legend if a file for it is given."""
    if args.image is not None:
        check_image_file(args.image, option="--image", inputs=(args.label_set,), overwrite=args.overwrite)
    label_set = read_label_set(args.label_set or BUNDLED_MODEL)
    print(f"{printable(label_set.name)}: {label_set.num_labels} labels")
    for channel, label in enumerate(label_set.labels):
        red, green, blue = label_set.palette[channel].tolist()
        swatch = f"\x1b[48;2;{red};{green};{blue}m  \x1b[0m " if sys.stdout.isatty() else ""
        unknown = " (unknown)" if label.id == label_set.unknown_id else ""
        print(f"{label.id:>5}  {swatch}#{red:02x}{green:02x}{blue:02x}  {printable(label.name)}{unknown}")
    if args.image is not None:
        save_image(draw_legend(label_set), args.image)
        print(args.image)
