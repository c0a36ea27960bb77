"""Compare blocks under a half-size head with the same blocks under the paper's head, in one interleaved run.

python research/benchmark_head.py --masks examples/assets/*_mask.png --threads 2

On a busy machine: OMP_WAIT_POLICY=PASSIVE in the environment, and --processor_time.
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

import torch
from benchmark_tools import interleave, print_table, ratio
from diffusers.utils.logging import disable_progress_bar
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from spade_hf import BUNDLED_MODEL, SPADEGenerator, SPADEPipeline


@torch.inference_mode()
def main(args: argparse.Namespace) -> None:
    """Print a row per variant: its seconds, also relative to the model's own, and its multiply-adds."""
    disable_progress_bar()
    torch.set_num_threads(args.threads)
    pipeline = SPADEPipeline.from_pretrained(args.model)
    model, read = pipeline.generator, pipeline.image_processor.preprocess_mask
    paper_head, half_head = with_both_heads(model)
    height, width = paper_head.native_size
    z = None
    if model.config.latent_dim is not None:
        z = torch.randn(1, model.config.latent_dim, generator=torch.Generator().manual_seed(0))
    networks = {
        "the paper's head": (paper_head, 1),
        "half-size head, twice the size": (half_head, 2),
        "the paper's head, twice the size": (paper_head, 2),
    }
    masks = [read(str(file), height=height, width=width) for file in args.masks]  # (1, H, W) each
    variants = {name: partial(paint, network, factor, z) for name, (network, factor) in networks.items()}
    clock = time.process_time if args.processor_time else time.perf_counter
    seconds = interleave(variants, masks, rounds=args.rounds, clock=clock)
    work = {name: [multiply_adds(variant, mask) for mask in masks] for name, variant in variants.items()}
    own = next(iter(variants))
    rows = [
        {
            "variant": name,
            "size": f"{factor * height}x{factor * width}",
            "median, s": statistics.median(seconds[name]),
            "least, s": min(seconds[name]),
            "times the first": ratio(seconds[name], seconds[own]),
            "10^9 multiply-adds": statistics.median(work[name]) / 1e9,
        }
        for name, (_, factor) in networks.items()
    ]
    print_table(f"{len(masks)} masks, {args.rounds} rounds, {args.threads} threads, torch {torch.__version__}", rows)


def with_both_heads(model: SPADEGenerator) -> tuple[SPADEGenerator, SPADEGenerator]:
    """Return the model's blocks under the paper's head, and under a half-size head for twice the size.

    The head that the model lacks is made of its own: each pixel as many times as needed, or the mean of 2x2 pixels.
    """
    factor = model.config.head_upsampling
    height, width = (side // factor for side in model.native_size)
    networks = []
    for upsampling in (1, 2):
        changes = {"head_upsampling": upsampling, "image_size": (upsampling * height, upsampling * width)}
        generator = SPADEGenerator.from_config(model.config, **changes).to(memory_format=torch.channels_last).eval()
        weights = dict(model.state_dict())
        for name in ("conv_out.weight", "conv_out.bias"):
            pixels = weights[name].unflatten(0, (-1, factor**2))  # (I, R^2, ...), R^2 pixels of each channel
            if upsampling != factor:
                pixels = pixels.mean(dim=1, keepdim=True).repeat_interleave(upsampling**2, dim=1)
            weights[name] = pixels.flatten(0, 1)
        generator.load_state_dict(weights)
        networks.append(generator)
    return networks[0], networks[1]


def paint(generator: SPADEGenerator, factor: int, z: Tensor | None, label_map: Tensor) -> Tensor:
    """Paint a label map `(1, H, W)`, enlarged by a factor."""
    return generator(enlarged(label_map, factor), z).images


def enlarged(maps: Tensor, factor: int = 2) -> Tensor:
    """Enlarge `(..., H, W)` by nearest neighbor."""
    return maps.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


def multiply_adds(variant: partial[Tensor], label_map: Tensor) -> int:
    """Count the multiply-adds of all convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        variant(label_map)
    return counter.get_total_flops() // 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=BUNDLED_MODEL, help="folder or Hub id of a model without instance edges")
    parser.add_argument("--masks", type=Path, nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--processor_time", action="store_true", help="of all threads, which other programs do not change"
    )
    main(parser.parse_args())
