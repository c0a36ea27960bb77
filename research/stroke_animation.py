"""Animate a scene that is painted stroke by stroke, and the picture after each stroke: the animation in README.md.

python research/stroke_animation.py --output examples/assets/strokes.webp

The strokes are those that `paint_strokes.py` paints on the page, drawn here without it.
"""

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from stroke_scenes import SCENES, Stroke, hand_path

from spade_hf import BUNDLED_MODEL, LabelSet, SPADEPipeline


ASSETS = Path(__file__).parents[1] / "examples" / "assets"
CANVAS = 384  # pixels of the canvas: the unit of a brush
FIRST, LAST, EACH = 900, 3000, 700  # ms that a frame is shown


def main() -> None:
    """Write an animated WebP: on the left the strokes, on the right the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", choices=SCENES, default="river")
    parser.add_argument("--style", type=Path, default=ASSETS / "noon_style.jpg")
    parser.add_argument("--strength", type=float, default=0.8, help="how freely outlines are drawn")
    parser.add_argument("--size", type=int, default=256, help="side of the mask and of the picture in the animation")
    parser.add_argument("--quality", type=int, default=75)
    parser.add_argument("--output", type=Path, default=Path("outputs/strokes.webp"))
    args = parser.parse_args()
    pipeline = SPADEPipeline.from_pretrained(BUNDLED_MODEL)
    pipeline.set_progress_bar_config(disable=True)
    labels = pipeline.image_processor.label_set
    latents = pipeline.encode_style(str(args.style))
    frames = []
    for ids in masks(SCENES[args.scene], labels, random.Random(args.scene)):
        seeded = torch.Generator().manual_seed(0)  # the same for each frame, so that outlines move little
        image = pipeline(ids, latents=latents, outline_strength=args.strength, generator=seeded).images[0]
        drawn = Image.fromarray(labels.colorize(ids)).resize((args.size, args.size), Image.Resampling.LANCZOS)
        frame = Image.new("RGB", (2 * args.size, args.size))
        frame.paste(drawn)
        frame.paste(image.resize((args.size, args.size), Image.Resampling.LANCZOS), (args.size, 0))
        frames.append(frame)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    times = [FIRST, *[EACH] * (len(frames) - 2), LAST]
    frames[0].save(
        args.output, save_all=True, append_images=frames[1:], duration=times, loop=0, quality=args.quality, method=6
    )
    print(f"{args.output}: {len(frames)} frames, {args.output.stat().st_size / 1000:.0f} kB")


def masks(strokes: list[Stroke], labels: LabelSet, rng: random.Random) -> list[np.ndarray]:
    """Return the ids `(H, W)` of a cleared canvas, half sky and half grass, and after each stroke."""
    ids = np.full((CANVAS, CANVAS), labels.id_of("sky"), dtype=np.uint8)
    ids[CANVAS // 2 :] = labels.id_of("grass")
    canvas = Image.fromarray(ids)
    found = [ids]
    for label, size, places in strokes:
        pen, draw = labels.id_of(label), ImageDraw.Draw(canvas)
        path = [(x * CANVAS, y * CANVAS) for x, y in hand_path(places, rng)]
        draw.line(path, fill=pen, width=size)
        for x, y in path:  # a round brush
            draw.ellipse([x - size / 2, y - size / 2, x + size / 2, y + size / 2], fill=pen)
        found.append(np.array(canvas))
    return found


if __name__ == "__main__":
    main()
