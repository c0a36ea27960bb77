"""Paint every mask in every style and lay the pictures out as a table; the picture in README.md is made by this.

python examples/style_grid.py
python examples/style_grid.py --masks mine.png --styles a.jpg b.jpg --model user/repo --output table.png
"""

import argparse
from pathlib import Path

from PIL import Image

from spade_hf import BUNDLED_MODEL, SPADEPipeline


ASSETS = Path(__file__).parent / "assets"


def main() -> None:
    """Write the table: masks on the left, styles on top."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", nargs="+", type=Path, default=sorted(ASSETS.glob("*_mask.png")))
    parser.add_argument("--styles", nargs="+", type=Path, default=sorted(ASSETS.glob("*_style.jpg")))
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--size", type=int, default=256, help="pixels of one picture in the table")
    parser.add_argument("--output", type=Path, default=Path("outputs/style_grid.jpg"))
    args = parser.parse_args()

    pipeline = SPADEPipeline.from_pretrained(args.model)
    styles = [str(path) for path in args.styles]
    rows = [[Image.new("RGB", (args.size, args.size), "white"), *(Image.open(path) for path in args.styles)]]
    for mask in args.masks:
        rows.append([*pipeline.image_processor.colorize(str(mask)), *pipeline(str(mask), style_image=styles).images])

    table = Image.new("RGB", (len(rows[0]) * args.size, len(rows) * args.size))
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            kind = Image.Resampling.NEAREST if left == 0 else Image.Resampling.BICUBIC
            table.paste(image.convert("RGB").resize((args.size, args.size), kind), (left * args.size, top * args.size))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    table.save(args.output, quality=92)
    print(args.output)


if __name__ == "__main__":
    main()
