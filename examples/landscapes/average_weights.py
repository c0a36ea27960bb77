r"""Average the weights of pipelines that were fine-tuned from each other, and save the mean in half precision.

    python examples/landscapes/average_weights.py --models early late end --weights 0.25 0.5 0.25 \
        --dataset_name landscapes --output_dir averaged

The mean of a soft early and a too sharp late state of one training can paint better images than both (Wang et al.
2018, ESRGAN, section 3.4). Batch statistics are not averaged: they are estimated again, on training pairs.
"""

import argparse
from collections.abc import Iterator

import datasets
import torch
from torch import Tensor

from spade_hf import SPADEPipeline
from spade_hf.training import estimate_statistics


BATCH_SIZE, NUM_BATCHES = 4, 24


def main() -> None:
    """Write the averaged pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, help="folders or Hub ids of equally built pipelines")
    parser.add_argument("--weights", nargs="+", type=float, required=True, help="one per model; their sum is 1")
    parser.add_argument("--dataset_name", required=True, help="training pairs, with columns `image` and `label` (ids)")
    parser.add_argument("--output_dir", required=True)
    args = parser.parse_args()
    if len(args.models) != len(args.weights) or abs(sum(args.weights) - 1) > 1e-6:
        parser.error("--weights takes one number per model, and their sum must be 1.")

    pipelines = [SPADEPipeline.from_pretrained(model).to(torch.float32) for model in args.models]
    averaged = pipelines[0]
    for name in ("generator", "style_encoder"):
        states = [getattr(pipeline, name).state_dict() for pipeline in pipelines]
        getattr(averaged, name).load_state_dict(mean(states, args.weights))
    rows = datasets.load_dataset(args.dataset_name, split="train").shuffle(seed=0)
    estimate_statistics(averaged.generator, calls(averaged, rows))
    averaged.to(torch.float16).save_pretrained(args.output_dir)
    print(args.output_dir)


def mean(states: list[dict[str, Tensor]], weights: list[float]) -> dict[str, Tensor]:
    """Compute the weighted mean of state dicts; integers, which are counts, are taken from the first one."""
    return {
        key: sum(weight * state[key] for weight, state in zip(weights, states, strict=True))
        if value.is_floating_point()
        else value
        for key, value in states[0].items()
    }


def calls(pipeline: SPADEPipeline, rows: datasets.Dataset) -> Iterator[dict[str, Tensor | None]]:
    """Yield arguments of the generator: masks `(N, H, W)` and latents `(N, Z)`, the styles of their own images."""
    processor, rng = pipeline.image_processor, torch.Generator().manual_seed(0)
    for batch in rows.select(range(min(len(rows), BATCH_SIZE * NUM_BATCHES))).iter(BATCH_SIZE):
        label_maps, _ = processor.preprocess(batch["label"])
        images = torch.cat([processor.preprocess_image(image) for image in batch["image"]])
        with torch.no_grad():
            z = pipeline.style_encoder(images).latent_dist.sample(rng)
        yield {"segmap": label_maps, "z": z, "instance_edges": None}


if __name__ == "__main__":
    main()
