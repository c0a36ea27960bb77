"""Paint pairs that a model was not trained on, beside their photographs: the pictures of docs/beyond_rgb.md.

    python examples/beyond_rgb_sheet.py gray_model gray.jpg --images held_out/gray --masks held_out/masks
    python examples/beyond_rgb_sheet.py edges_model edges.jpg --images held_out/photos --conditions held_out/edges

Of images of more than three channels, the others follow as gray.
"""

import argparse
from pathlib import Path

import torch.nn.functional as F

from spade_hf import SPADEPipeline
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_folders
from spade_hf.training.samples import PHOTOGRAPH, paint_samples, sample_grid, save_image


COLUMNS = {"image": "image", "mask": "label", "condition": "condition"}


def main() -> None:
    """Write the sheet: a row per pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or Hub id")
    parser.add_argument("output", type=Path)
    parser.add_argument("--images", dest="image", required=True, help="folder")
    parser.add_argument("--masks", dest="mask", help="folder, for a model with labels")
    parser.add_argument("--conditions", dest="condition", help="folder, for a model that reads conditions")
    parser.add_argument("--count", type=int, default=5, help="pairs, evenly spread over the folder")
    parser.add_argument("--size", type=int, default=128, help="height of a picture in pixels")
    args = parser.parse_args()

    pipeline = SPADEPipeline.from_pretrained(args.model)
    processor = pipeline.image_processor
    given = {name: column for name, column in COLUMNS.items() if getattr(args, name) is not None}
    size = pipeline.generator.native_size
    reader = PairReader(
        **{f"{name}_column": given.get(name) for name in COLUMNS},
        instance_column=None,
        processor=processor,
        transform=PairedTransform(resolution=size, resize_ratio=1.0, center_crop=True, random_flip=False),
    )
    rows = load_folders({column: getattr(args, name) for name, column in given.items()})
    dataset = PairedImageDataset(rows, reader, seed=0)
    samples = [dataset[number * len(dataset) // args.count] for number in range(args.count)]
    columns = paint_samples(pipeline, samples)
    for channel in range(3, processor.config.image_channels):
        processor.register_to_config(display_channels=(channel,) * 3)
        again = [
            (name, images) for name, images in paint_samples(pipeline, samples) if name not in ("mask", "condition")
        ]
        columns += [(f"{'real' if name == PHOTOGRAPH else name} channel {channel + 1}", one) for name, one in again]
    scale = args.size / size[0]
    save_image(sample_grid([(name, F.interpolate(one, scale_factor=scale)) for name, one in columns]), args.output)
    print(args.output)


if __name__ == "__main__":
    main()
