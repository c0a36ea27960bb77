"""Draw the modulation that one SPADE layer predicts from a mask. This script makes the figure in docs/spade.md.

    python research/modulation_maps.py
    python research/modulation_maps.py --model street_model --mask street/masks/0001.png --block 5

From the left: the mask, one channel of the normalized activation, its gamma and beta, and the modulated channel
(Park et al. 2019, equation 1). Red is positive, blue negative, white 0; each map has its own scale.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from spade_hf import BUNDLED_MODEL, SPADEPipeline


ASSETS = Path(__file__).resolve().parents[1] / "examples" / "assets"
SIDE, CAPTION = 232, 30  # pixels of a tile and of the caption above it


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=BUNDLED_MODEL, help="folder or Hub id")
    parser.add_argument("--mask", type=Path, default=ASSETS / "lake_mask.png")
    parser.add_argument("--block", type=int, default=5, help="number of the residual block, from 0")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random style")
    parser.add_argument("--output", type=Path, default=Path("outputs/modulation_maps.png"))
    args = parser.parse_args()

    pipeline = SPADEPipeline.from_pretrained(args.model)
    generator = pipeline.generator
    generator.set_modulation_backend("dense")  # whole maps, in one call of each layer
    generator.disable_tiling()
    layer, calls = generator.blocks[args.block].norm1, []
    layer.register_forward_hook(lambda layer, inputs, output: calls.append(inputs))
    pipeline(str(args.mask), generator=torch.Generator().manual_seed(args.seed))
    ((x, mask),) = calls

    with torch.no_grad():
        normalized = layer.param_free_norm(x)  # (1, C, H, W)
        hidden = F.relu(layer.conv_mask(mask.segmap_at((x.shape[-2], x.shape[-1])).to(x.dtype)))  # (1, D, H, W)
        gamma, beta = layer.conv_gamma_beta(hidden).chunk(2, dim=1)  # (1, C, H, W) each
        modulated = normalized * (1 + gamma) + beta  # equation 1
    channel = int(gamma.std(dim=(2, 3)).argmax())  # the one whose scale the mask changes most
    maps = {"normalized": normalized, "gamma": gamma, "beta": beta, "modulated": modulated}

    processor = pipeline.image_processor
    colors = processor.colorize(processor.preprocess_mask(str(args.mask)))[0]
    tiles = {"mask": colors, **{name: diverging(values[0, channel]) for name, values in maps.items()}}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    in_a_row(tiles).save(args.output)
    print(f"Block {args.block}, {x.shape[-1]}x{x.shape[-2]}, channel {channel}: {args.output}")


def diverging(values: Tensor) -> Image.Image:
    """Color a map `(H, W)` from blue over white (0) to red; the largest 1 % of magnitudes are clipped."""
    scaled = (values / values.abs().quantile(0.99)).clamp(-1, 1).float().numpy()
    red, blue = np.minimum(1 + scaled, 1), np.minimum(1 - scaled, 1)
    return Image.fromarray((np.stack([red, 1 - np.abs(scaled), blue], axis=-1) * 255).round().astype(np.uint8))


def in_a_row(tiles: dict[str, Image.Image]) -> Image.Image:
    """Place pictures side by side, each below its name."""
    picture = Image.new("RGB", (len(tiles) * (SIDE + 8) - 8, SIDE + CAPTION), "white")
    draw = ImageDraw.Draw(picture)
    for number, (name, tile) in enumerate(tiles.items()):
        left = number * (SIDE + 8)
        draw.text((left + 2, 4), name, fill="black", font=ImageFont.load_default(18))
        picture.paste(tile.resize((SIDE, SIDE), Image.Resampling.NEAREST), (left, CAPTION))
    return picture


if __name__ == "__main__":
    main()
