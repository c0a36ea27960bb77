"""Match a model's random styles to the styles of a data set's images, without changing images in those styles.

    python examples/align_styles.py --model my-model --dataset_name FOLDER_OR_HUB_ID --output_dir aligned

Try it if images in random styles look worse than images in the style of an image. It takes a minute.

The prior of styles is N(0, I), but after training the styles of images are not centered at 0, and vary along only a
few directions. Random styles are then rare in training. An affine map of the latents corrects this. It does not change
images in an encoded style, because the generator's first layer inverts the map of the encoder's means.

Legend: N images, Z latent.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator

import datasets
import torch
from torch import Tensor

from spade_hf import SPADEGenerator, SPADEPipeline, SPADEStyleEncoder
from spade_hf.data import load_rows


BATCH_SIZE = 16
LEAST_VARIANCE = 0.05  # of the styles along a direction; directions below carry no style


def main(arguments: list[str] | None = None) -> None:
    """Write the aligned pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or Hub id of a pipeline with style encoder")
    parser.add_argument("--dataset_name", required=True, help="its training images")
    parser.add_argument("--split", default="train")
    parser.add_argument("--image_column", default="image")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="type of the saved weights")
    parser.add_argument("--output_dir", required=True)
    args = parser.parse_args(arguments)
    pipeline = SPADEPipeline.from_pretrained(args.model)
    if pipeline.style_encoder is None:
        raise ValueError(f"{args.model} has no style encoder, so there are no styles to align with.")
    rows = load_rows(args.dataset_name, split=args.split).select_columns([args.image_column])
    align_latents(pipeline.generator, pipeline.style_encoder, read_images(pipeline, rows))
    pipeline.to(getattr(torch, args.dtype)).save_pretrained(args.output_dir)
    print(args.output_dir)


def read_images(pipeline: SPADEPipeline, rows: datasets.Dataset) -> Iterator[Tensor]:
    """Yield the data set's images `(N, 3, H, W)`, at the style encoder's size."""
    side = pipeline.style_encoder.config.image_size
    (column,) = rows.column_names
    for batch in rows.iter(BATCH_SIZE):
        yield pipeline.image_processor.preprocess_image(batch[column], size=(side, side))


@torch.no_grad()
def align_latents(generator: SPADEGenerator, style_encoder: SPADEStyleEncoder, batches: Iterable[Tensor]) -> None:
    """Map the latents, in place, so that the styles of these images have mean 0 and covariance I.

    Directions with a variance below `LEAST_VARIANCE` keep a variance below 1. The posterior's variances, which are
    used only in training, become constants: their mean over the images.

    Args:
        generator (`SPADEGenerator`): A generator with a latent.
        style_encoder (`SPADEStyleEncoder`): Its encoder.
        batches (`Iterable[Tensor]`): Images `(N, 3, H, W)` in [-1, 1], more than Z in all.

    Raises:
        ValueError: If there are too few images.
    """
    means, variances = [], []
    for images in batches:
        mean, logvar = style_encoder(images, return_dict=False)
        means.append(mean.double())
        variances.append(logvar.exp().double())
    if sum(map(len, means)) <= style_encoder.config.latent_dim:
        raise ValueError(
            f"{sum(map(len, means))} images were given; give more than {style_encoder.config.latent_dim}, the "
            "dimension of a style, and better ten times as many."
        )
    styles = torch.cat(means)  # (N, Z)
    center, covariance = styles.mean(dim=0), torch.cov(styles.T)
    powers, directions = torch.linalg.eigh(covariance)  # (Z,), (Z, Z): one column per direction
    scales = powers.clamp(min=LEAST_VARIANCE).sqrt()
    there, back = directions / scales, directions * scales  # old - center = back @ new; new = there.T @ (old - center)
    first, mean, logvar = generator.linear_in, style_encoder.linear_mean, style_encoder.linear_logvar
    weight = first.weight.double()
    first.bias.add_((weight @ center).to(first.bias.dtype))
    first.weight.copy_(weight @ back)
    mean.bias.copy_(there.T @ (mean.bias.double() - center))
    mean.weight.copy_(there.T @ mean.weight.double())
    logvar.weight.zero_()
    logvar.bias.copy_((there.T.square() @ torch.cat(variances).mean(dim=0)).log())


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
