"""Paint every mask in every style and show the images as a table. This script makes the image in docs/paint.md.

python examples/style_grid.py
python examples/style_grid.py --masks mine.png --styles a.jpg b.jpg --model user/repo --output table.png
python examples/style_grid.py --masks mine.png --styles a.jpg --random_styles 8      # figure 9 of the paper
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from spade_hf import BUNDLED_MODEL, SPADEPipeline
from spade_hf.images.channels import to_rgb_images


ASSETS = Path(__file__).parent / "assets"
# None is the mask of one of the style images: painting a mask in its own image's style would prove little.
MASKS = [Path(BUNDLED_MODEL).parent / "demo" / "assets" / f"{name}_mask.png" for name in ("river", "snow", "desert")]
DARK, LIGHT = (43, 52, 59), (214, 222, 228)  # readable on light and dark pages


def main() -> None:
    """Write the table: masks on the left, styles on top, random ones last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", nargs="+", type=Path, default=MASKS)
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
    processor = pipeline.image_processor
    styles = [str(path) for path in args.styles]
    random = caption(args.size, {(0.5, 0.5): "random style"})
    corner = caption(args.size, {(0.7, 0.3): "style", (0.3, 0.7): "mask"})
    given = [to_rgb_images(processor.show(processor.preprocess_image(style)))[0] for style in styles]

    def painted(mask: str, **style: Any) -> list[Image.Image]:
        images = pipeline(mask, output_type="pt", **style).images  # in [0, 1]
        return to_rgb_images(processor.show(images * 2 - 1))

    rows = [[corner, *given, *[random] * args.random_styles]]
    for mask in map(str, args.masks):
        row = [*processor.colorize(mask), *painted(mask, style_image=styles)]
        if args.random_styles:
            rng = torch.Generator().manual_seed(args.seed)
            row += painted(mask, num_images_per_mask=args.random_styles, generator=rng)
        rows.append(row)

    table = Image.new("RGB", (len(rows[0]) * args.size, len(rows) * args.size))
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            kind = Image.Resampling.NEAREST if left == 0 else Image.Resampling.BICUBIC
            table.paste(image.resize((args.size, args.size), kind), (left * args.size, top * args.size))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    table.save(args.output, quality=92)
    print(args.output)


def caption(size: int, texts: dict[tuple[float, float], str]) -> Image.Image:
    """Draw texts, each centered at a place in shares of the width and height; between two runs a diagonal line."""
    image = Image.new("RGB", (size, size), DARK)
    draw = ImageDraw.Draw(image)
    if len(texts) > 1:
        draw.line((0, 0, size, size), LIGHT, width=max(1, size // 128))
    for (x, y), text in texts.items():
        draw.text((x * size, y * size), text, LIGHT, ImageFont.load_default(size / 9), anchor="mm")
    return image


if __name__ == "__main__":
    main()
