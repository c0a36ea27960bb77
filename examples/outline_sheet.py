"""Paint masks as they are and with natural outlines, side by side: the figures in docs/outlines.md and README.md.

python examples/outline_sheet.py --output examples/assets/outlines.jpg
python examples/outline_sheet.py --overview --size 512 --output examples/assets/landscapes.jpg
python examples/outline_sheet.py --masks mine.png --strengths 0.3 0.6 0.9 --model user/repo --output sheet.png
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

from spade_hf import BUNDLED_MODEL, SPADEOutlineModel, SPADEPipeline
from spade_hf.images.channels import to_rgb_images
from spade_hf.images.sheets import add_headings


ASSETS = Path(__file__).parent / "assets"
STROKES = ASSETS / "strokes"
OVERVIEW = [STROKES / f"{name}.png" for name in ("meadow", "forest", "storm")]


def main() -> None:
    """Write the sheet: a row for each mask; the mask and its image, then both at each strength, or `--overview`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", nargs="+", type=Path, help="default: all of strokes/, or three for --overview")
    parser.add_argument("--style", type=Path, default=ASSETS / "noon_style.jpg")
    parser.add_argument("--strengths", nargs="+", type=float, help="default: 0.5 and 0.8, or 0.8 for --overview")
    parser.add_argument("--overview", action="store_true", help="only strokes, natural outlines and their image")
    parser.add_argument("--steps", type=int, default=4, help="evaluations of the outline model")
    parser.add_argument("--seed", type=int, default=0, help="seed of the outlines")
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--outline_model", help="another one than that of --model: folder or Hub id")
    parser.add_argument("--size", type=int, default=256, help="pixels of one picture's width in the sheet")
    parser.add_argument("--quality", type=int, default=75, help="of a JPEG")
    parser.add_argument("--output", type=Path, default=Path("outputs/outline_sheet.jpg"))
    args = parser.parse_args()
    masks = args.masks or (OVERVIEW if args.overview else sorted(STROKES.glob("*.png")))
    strengths = args.strengths or ([0.8] if args.overview else [0.5, 0.8])

    pipeline = SPADEPipeline.from_pretrained(args.model)
    pipeline.set_progress_bar_config(disable=True)
    if args.outline_model is not None:
        pipeline.register_modules(outline_model=SPADEOutlineModel.from_pretrained(args.outline_model))
    processor = pipeline.image_processor
    latents = pipeline.encode_style(str(args.style))

    def painted(maps: str | list[Image.Image]) -> list[Image.Image]:
        images = pipeline(maps, latents=latents, output_type="pt").images  # in [0, 1]
        return to_rgb_images(processor.show(images * 2 - 1))

    rows = []
    for mask in map(str, masks):
        row = processor.colorize(mask)
        if not args.overview:
            row += painted(mask)
        for strength in strengths:
            rng = torch.Generator().manual_seed(args.seed)
            maps = pipeline.refine_mask(mask, strength, args.steps, rng)
            row += [*processor.colorize(maps), *painted(maps)]
        rows.append(row)

    width, height = args.size, round(args.size * rows[0][-1].height / rows[0][-1].width)
    sheet = Image.new("RGB", (len(rows[0]) * width, len(rows) * height))
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            is_map = left % 2 == 0 or args.overview and left == 1
            method = Image.Resampling.NEAREST if is_map else Image.Resampling.LANCZOS
            sheet.paste(image.resize((width, height), method), (left * width, top * height))
    headings = ["as painted"] if args.overview else ["as painted", "its image"]
    for strength in strengths:
        headings += [f"strength {strength:g}", "its image"]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    add_headings(sheet, headings).save(args.output, quality=args.quality)
    print(args.output)


if __name__ == "__main__":
    main()
