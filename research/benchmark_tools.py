"""Shared parts of benchmark.py's suites: masks, generators, fair timing, peak memory, tables."""

import argparse
import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from spade_hf import SPADEGenerator
from spade_hf.images.resize import resize_labels
from spade_hf.layers import SPADE
from spade_hf.layers.initialization import LEAKY_SLOPE


BACKENDS = ("dense", "sparse")
Row = dict[str, str | float]


def load_label_maps(args: argparse.Namespace) -> list[Tensor]:
    """Load label maps int64 `(1, H, W)`, resized by nearest neighbor; ids that the model lacks become unknown."""
    if args.resolution < 32 or args.resolution % 32:
        raise ValueError(f"--resolution is {args.resolution}; allowed are multiples of 32, for five upsamplings.")
    if args.num_masks < 1:
        raise ValueError(f"--num_masks is {args.num_masks}; give 1 or more.")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda, but PyTorch finds no GPU here; use --device cpu.")
    if args.dataset_name is not None:
        from spade_hf.data import load_rows

        rows = load_rows(args.dataset_name, split=args.split)
        if args.mask_column not in rows.column_names:
            raise ValueError(f"--mask_column is {args.mask_column!r}; the data set has {rows.column_names}.")
        images = [rows[position][args.mask_column] for position in range(min(args.num_masks, len(rows)))]
    else:
        paths = sorted(args.mask_folder.glob("*_mask.png")) or sorted(args.mask_folder.glob("*.png"))
        images = [Image.open(path) for path in paths[: args.num_masks]]
    if not images:
        raise ValueError(
            f"{args.dataset_name or args.mask_folder} holds no mask. Give a folder of PNGs, or a data set."
        )
    maps = []
    for image in images:
        if image.mode not in ("L", "P", "I", "I;16"):
            raise ValueError(
                f"A mask is an image of mode {image.mode}; give ids as gray values or a palette's indices."
            )
        image = resize_labels(image, (args.resolution, args.resolution))
        maps.append(torch.from_numpy(np.asarray(image).astype(np.int64))[None].clamp(max=args.num_labels))
    return [label_map.to(args.device) for label_map in maps]


def build_generator(args: argparse.Namespace, *, num_labels: int | None = None) -> SPADEGenerator:
    """Build a generator as a pipeline loads it: evaluation mode, no spectral norm, channels-last.

    The weights are random, but as large as a trained network's: with the recipe's small ones the image would be gray,
    and different computations could not differ.
    """
    torch.manual_seed(0)
    generator = SPADEGenerator(
        num_labels=num_labels or args.num_labels,
        use_unknown_label=True,
        image_size=args.resolution,
        base_channels=args.base_channels,
        latent_dim=args.latent_dim or None,
        use_spectral_norm=False,
    )
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(module.weight)
    return generator.to(args.device, memory_format=torch.channels_last).eval()


def painter(generator: SPADEGenerator, backend: str, *, styles: int = 1, seed: int = 0) -> Callable[[Tensor], Tensor]:
    """Return a function from label maps `(N, H, W)` to images, each mask in `styles` random styles."""
    latent_dim = generator.config.latent_dim

    def paint(label_map: Tensor) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        z = None if latent_dim is None else torch.randn(len(label_map) * styles, latent_dim, generator=rng)
        generator.set_modulation_backend(backend)
        return generator(label_map, None if z is None else z.to(generator.device, generator.dtype)).images

    return paint


def textbook_painter(generator: SPADEGenerator) -> Callable[[Tensor], Tensor]:
    """Return a function that computes the same images as in the paper's figures 2 and 4, in PyTorch's default layout.

    The one-hot mask is channels-last, as `one_hot` makes it, and so are the mask's convolutions. That favours the
    textbook: in the default layout it takes about a third longer (0.436 instead of 0.316 s, 128x128, base 32, one
    thread).
    """
    generator = copy.deepcopy(generator).to(memory_format=torch.contiguous_format)
    size = generator.start_size

    def modulate(spade: SPADE, x: Tensor, segmap: Tensor) -> Tensor:
        hidden = F.relu(spade.conv_mask(F.interpolate(segmap, x.shape[-2:], mode="nearest")))
        gamma, beta = spade.conv_gamma_beta(hidden).chunk(2, dim=1)
        return spade.param_free_norm(x) * (1 + gamma) + beta

    def paint(label_map: Tensor) -> Tensor:
        segmap = F.one_hot(label_map, generator.config.num_labels + 1).movedim(-1, 1).to(generator.dtype)
        if generator.config.latent_dim is None:
            x = generator.conv_in(F.interpolate(segmap, size, mode="nearest"))
        else:
            z = torch.randn(len(label_map), generator.config.latent_dim, generator=torch.Generator().manual_seed(0))
            x = generator.linear_in(z.to(generator.device, generator.dtype)).unflatten(1, (-1, *size))
        for scale, block in zip(generator.upsampling, generator.blocks, strict=True):
            x = F.interpolate(x, scale_factor=scale, mode="nearest")
            shortcut = (
                block.conv_shortcut(modulate(block.norm_shortcut, x, segmap)) if block.has_learned_shortcut else x
            )
            x = block.conv1(F.leaky_relu(modulate(block.norm1, x, segmap), LEAKY_SLOPE))
            x = shortcut + block.conv2(F.leaky_relu(modulate(block.norm2, x, segmap), LEAKY_SLOPE))
        return generator.to_image(x)

    return paint


def interleave(
    variants: dict[str, Callable[[Tensor], object]],
    inputs: Iterable[Tensor],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Measure the seconds of every variant for every input, by a clock; the variants take turns.

    A turn is two calls, and only the second one is timed: after another variant's call, the allocator holds other
    memory than in a process that runs one variant.
    """
    inputs = list(inputs)
    seconds = {name: [] for name in variants}
    for _, given, name in itertools.product(range(rounds), inputs, variants):
        variants[name](given)
        _synchronize(given.device)
        start = clock()
        variants[name](given)
        _synchronize(given.device)
        seconds[name].append(clock() - start)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> float:
    """Compute the speedup, as the median over inputs."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


@torch.inference_mode()
def peak_memory(args: argparse.Namespace, backend: str, label_map: Tensor) -> tuple[float, float]:
    """Measure the peak MB of a forward pass, beyond the weights and in total."""
    torch.set_num_threads(args.threads)
    generator = build_generator(args)
    if args.device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        painter(generator, backend)(label_map)
        peak = torch.cuda.max_memory_allocated()
        return (peak - before) / 1e6, peak / 1e6
    Path("/proc/self/clear_refs").write_text("5")  # Linux: reset the peak, which includes building the generator
    before = _status("VmRSS")
    painter(generator, backend)(label_map)
    return _status("VmHWM") - before, _status("VmHWM")


def _status(name: str) -> float:
    """Read a memory figure of this process from Linux, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def print_table(title: str, rows: list[Row]) -> None:
    """Print aligned columns, numbers with three digits."""
    cells = [
        [
            value if isinstance(value, str) else f"{value:.3g}" if value < 1000 else f"{value:.0f}"
            for value in row.values()
        ]
        for row in rows
    ]
    columns = list(zip(rows[0], *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    print(f"\n{title}", flush=True)
    for line in zip(*columns, strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
