"""Draw the pixels of a mask for which SPADE computes gamma and beta. This script makes the picture in docs/spade.md.

python research/distinct_neighborhoods.py
python research/distinct_neighborhoods.py --mask mine.png --label_set coco-stuff --output mine.png

The mask is on the left. On the right it is faded, and a dot marks the first pixel of each distinct 5x5 neighborhood
of labels: gamma and beta are computed only there, and looked up for all other pixels.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.layers.sparse.neighborhoods import LabelNeighborhoods


ASSETS = Path(__file__).resolve().parents[1] / "examples" / "assets"


def main() -> None:
    """Write the picture, print the share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mask", type=Path, default=ASSETS / "lake_mask.png")
    parser.add_argument("--label_set", default="landscapes")
    parser.add_argument("--size", type=int, default=256, help="the mask's side in pixels, after resizing")
    parser.add_argument("--output", type=Path, default=Path("outputs/distinct_neighborhoods.png"))
    args = parser.parse_args()

    labels = LabelSet.from_name(args.label_set)
    processor = SPADEImageProcessor(label_set=labels)
    label_map = processor.preprocess_mask(str(args.mask), height=args.size, width=args.size)
    neighborhoods = LabelNeighborhoods.from_codes(label_map, num_codes=labels.num_labels + 1, kernel_size=3)
    _, first = np.unique(neighborhoods.index.numpy(), return_index=True)

    mask = np.asarray(processor.colorize(label_map)[0])
    dots = 255 - (255 - mask) // 3
    dots.reshape(-1, 3)[first] = 0
    picture = Image.fromarray(np.concatenate([mask, np.full((args.size, 8, 3), 255, np.uint8), dots], axis=1))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST).save(args.output)
    share = neighborhoods.num_neighborhoods / label_map.numel()
    print(f"{neighborhoods.num_neighborhoods} of {label_map.numel()} pixels, {share:.1%}: {args.output}")


if __name__ == "__main__":
    main()
