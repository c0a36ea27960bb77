"""Paint uniform masks (Park et al. 2019, figure 3): ordinary normalization loses their labels, SPADE keeps them.

    python research/uniform_masks.py
    python research/uniform_masks.py --output uniform_masks.png

Two masks, each of a single label, go through untrained generators, in the same style. Instance norm turns the constant
activation of either mask into zero, so that pix2pixHD's generator paints both masks alike. The picture has one row per
mask: the mask (sky, grass), SPADE's image, pix2pixHD's image.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from spade_hf import LabelSet, Pix2PixHDGenerator, SPADEGenerator


LANDSCAPES = LabelSet.from_name("landscapes")


def main() -> None:
    """Print both generators' mean absolute difference between the two masks' images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_labels", type=int, default=12)
    parser.add_argument("--base_channels", type=int, default=16, help="width of both generators; the paper's is 64")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="also draw the images")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    z = torch.randn(1, 256).expand(2, -1)  # one style for both masks
    sky_and_grass = torch.stack([torch.full((args.image_size, args.image_size), label) for label in (0, 5)])
    generators = {
        "SPADEGenerator": SPADEGenerator(
            num_labels=args.num_labels,
            image_size=args.image_size,
            base_channels=args.base_channels,
            norm_type="instance",
            use_spectral_norm=False,
        ),
        "Pix2PixHDGenerator": Pix2PixHDGenerator(
            num_labels=args.num_labels, base_channels=args.base_channels, norm_type="instance"
        ),
    }
    colors = torch.tensor(LANDSCAPES.palette[[0, 5]]) / 127.5 - 1  # (2, 3), in [-1, 1]
    columns = [colors[:, :, None, None].expand(-1, -1, args.image_size, args.image_size)]  # the masks
    print("mean absolute difference between the images of two uniform masks, pixels in [-1, 1]")
    for name, generator in generators.items():
        generator.eval().apply(make_visible)
        with torch.no_grad():
            inputs = (sky_and_grass, z) if name == "SPADEGenerator" else (sky_and_grass,)
            images = generator(*inputs).images  # (2, 3, H, W)
        print(f"{name:20} {(images[0] - images[1]).abs().mean():.2e}")
        columns.append(images)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        draw(columns).save(args.output)


def draw(columns: list[Tensor]) -> Image.Image:
    """Arrange columns of images, each `(2, 3, H, W)` in [-1, 1], with white lines between them."""
    tiles = torch.stack(columns, dim=1)  # (2, columns, 3, H, W)
    tiles = torch.nn.functional.pad(tiles, (0, 4, 0, 4), value=1.0)
    pixels = tiles.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)[:-4, :-4]  # (rows, columns, 3)
    return Image.fromarray(((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy())


def make_visible(module: torch.nn.Module) -> None:
    """Draw random weights and soften norms, so that untrained images show whether the architecture keeps the mask."""
    if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear):
        # Xavier's own gain: the recipe's 0.02 would make any untrained image nearly gray.
        torch.nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            torch.nn.init.normal_(module.bias, std=0.1)
    elif isinstance(module, torch.nn.InstanceNorm2d):
        # With the usual 1e-5, each of pix2pixHD's norms would multiply the rounding errors of a constant activation by
        # 300, until the images differ by noise. The label is lost either way.
        module.eps = 1.0


if __name__ == "__main__":
    main()
