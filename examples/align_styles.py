"""Match a model's random styles to the styles of a data set's pictures, without changing pictures in those styles.

    python examples/align_styles.py --model my-model --dataset_name FOLDER_OR_HUB_ID --output_dir aligned

Try it if pictures in random styles look worse than pictures in the style of a picture. It takes a minute.
"""

import argparse
import sys
from collections.abc import Iterator

import datasets
import torch
from torch import Tensor

from spade_hf import SPADEPipeline
from spade_hf.data import load_rows
from spade_hf.training import align_latents


BATCH_SIZE = 16


def main(arguments: list[str] | None = None) -> None:
    """Write the aligned pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or Hub id of a pipeline with style encoder")
    parser.add_argument("--dataset_name", required=True, help="its training pictures")
    parser.add_argument("--split", default="train")
    parser.add_argument("--image_column", default="image")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="type of the saved weights")
    parser.add_argument("--output_dir", required=True)
    args = parser.parse_args(arguments)
    pipeline = SPADEPipeline.from_pretrained(args.model)
    if pipeline.style_encoder is None:
        raise ValueError(f"{args.model} has no style encoder, so there are no styles to align with.")
    rows = load_rows(args.dataset_name, split=args.split).select_columns([args.image_column])
    align_latents(pipeline.generator, pipeline.style_encoder, pictures(pipeline, rows))
    pipeline.to(getattr(torch, args.dtype)).save_pretrained(args.output_dir)
    print(args.output_dir)


def pictures(pipeline: SPADEPipeline, rows: datasets.Dataset) -> Iterator[Tensor]:
    """Yield the data set's pictures `(N, 3, H, W)`, at the style encoder's size."""
    side = pipeline.style_encoder.config.image_size
    (column,) = rows.column_names
    for batch in rows.iter(BATCH_SIZE):
        yield pipeline.image_processor.preprocess_image(batch[column], size=(side, side))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
