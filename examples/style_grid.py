"""Paint every mask in every style and show the pictures as a table. This script makes the picture in README.md.

python examples/style_grid.py
python examples/style_grid.py --masks mine.png --styles a.jpg b.jpg --model user/repo --output table.png
python examples/style_grid.py --masks mine.png --styles a.jpg --random_styles 8      # figure 9 of the paper
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

from spade_hf import BUNDLED_MODEL, SPADEPipeline
from spade_hf.images.inputs import open_raster


ASSETS = Path(__file__).parent / "assets"


def main() -> None:
    """Write the table: masks on the left, styles on top, random ones last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", nargs="+", type=Path, default=sorted(ASSETS.glob("*_mask.png")))
    parser.add_argument("--styles", nargs="+", type=Path, default=sorted(ASSETS.glob("*_style.jpg")))
    parser.add_argument(
        "--random_styles", type=int, default=0, help="additional columns: the same random latents for all masks"
    )
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--seed", type=int, default=0, help="seed of the random styles")
    parser.add_argument("--size", type=int, default=256, help="pixels of one picture in the table")
    parser.add_argument("--output", type=Path, default=Path("outputs/style_grid.jpg"))
    args = parser.parse_args()

    pipeline = SPADEPipeline.from_pretrained(args.model)
    styles = [str(path) for path in args.styles]
    blank = Image.new("RGB", (args.size, args.size), "white")
    rows = [[blank, *map(open_raster, args.styles), *[blank] * args.random_styles]]
    for mask in map(str, args.masks):
        row = [*pipeline.image_processor.colorize(mask), *pipeline(mask, style_image=styles).images]
        if args.random_styles:
            rng = torch.Generator().manual_seed(args.seed)
            row += pipeline(mask, num_images_per_mask=args.random_styles, generator=rng).images
        rows.append(row)

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
