"""Compare time and memory of sparse and dense modulation, in one interleaved run.

    pip install ".[train]"                                                  # for the suites training and recipe
    python research/benchmark.py                                            # the masks in examples/assets
    python research/benchmark.py --mask_folder masks --json results.json
    python research/benchmark.py --dataset_name user/repo --mask_column label --suites latency styles

All variants of a suite take turns on every mask, so that drifts in the machine's speed affect all of them. Ratios are
medians over masks of one variant's time divided by another's. The generator has the paper's widths and random weights,
and is set up as a pipeline loads it. "textbook" is SPADE as in the paper, with the same weights: every layer convolves
the one-hot mask, and activations and weights have PyTorch's default layout.
"""

import argparse
import importlib.util
import json
import multiprocessing
import platform
import statistics
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from benchmark_equality import equality
from benchmark_tools import (
    BACKENDS,
    Row,
    build_generator,
    interleave,
    load_label_maps,
    painter,
    peak_memory,
    print_table,
    ratio,
    textbook_painter,
)
from benchmark_training import recipe, training
from torch import Tensor
from torch.autograd.profiler_util import FunctionEvent

from spade_hf.images.resize import resize_labels
from spade_hf.layers.sparse.path import SparsePath


ASSETS = Path(__file__).resolve().parents[1] / "examples" / "assets"
MASK_PATH = "mask path"


def main() -> None:
    """Run the suites, print their tables, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    masks = parser.add_argument_group("masks: ids as gray values or a palette's indices; unknown from --num_labels on")
    masks.add_argument("--mask_folder", type=Path, default=ASSETS, help="its PNGs named *_mask.png, else all PNGs")
    masks.add_argument("--dataset_name", help="data set that `datasets` loads, or parquet file, instead of the folder")
    masks.add_argument("--split", default="train")
    masks.add_argument("--mask_column", default="label")
    masks.add_argument("--num_masks", type=int, default=13, help="largest number of masks")
    masks.add_argument("--resolution", type=int, default=256, help="height and width, a multiple of 32")
    model = parser.add_argument_group("generator")
    model.add_argument("--num_labels", type=int, default=183, help="without the unknown one: ADE20K 150, COCO 182")
    model.add_argument("--base_channels", type=int, default=64)
    model.add_argument("--latent_dim", type=int, default=256, help="0 for none")
    run = parser.add_argument_group("run")
    run.add_argument("--suites", nargs="+", choices=SUITES, default=list(SUITES))
    run.add_argument("--rounds", type=int, default=1, help="passes over the masks")
    run.add_argument("--threads", type=int, default=2, help="CPU threads")
    run.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    run.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    if missing := missing_packages(args):
        parser.error(
            f"{' and '.join(missing)} is missing for the suites training and recipe or --dataset_name: "
            "pip install '.[train]', or leave them out (--suites)."
        )

    torch.set_num_threads(args.threads)
    try:
        label_maps = load_label_maps(args)
    except ValueError as error:
        parser.error(str(error))
    where = (
        torch.cuda.get_device_name()
        if args.device == "cuda"
        else f"CPU ({platform.machine()}, {args.threads} threads)"
    )
    results = {"machine": where, "torch": torch.__version__, "arguments": {k: str(v) for k, v in vars(args).items()}}
    print(f"{where}, torch {torch.__version__}, {len(label_maps)} masks, {args.num_labels + 1} semantic channels")
    for name in args.suites:
        rows = results[name] = SUITES[name](args, label_maps)
        print_table(SUITES[name].__doc__.splitlines()[0], rows)
        if args.json is not None:  # after each suite: an interrupted run keeps its results
            args.json.write_text(json.dumps(results, indent=2) + "\n")


def missing_packages(args: argparse.Namespace) -> list[str]:
    """List packages that the suites or the data need and that are missing, before hours of work."""
    needed = ("accelerate", "datasets") if {"training", "recipe"} & {*args.suites} or args.dataset_name else ()
    return [name for name in needed if importlib.util.find_spec(name) is None]


@torch.inference_mode()
def latency(args: argparse.Namespace, label_maps: list[Tensor]) -> list[Row]:
    """Latency of one image, and its difference to the textbook's image"""
    generator = build_generator(args)
    half = build_generator(args).bfloat16()
    variants = {"textbook fp32": textbook_painter(generator)}
    variants |= {f"{backend} fp32": painter(generator, backend) for backend in BACKENDS}
    variants |= {f"{backend} bf16": painter(half, backend) for backend in BACKENDS}
    seconds = interleave(variants, label_maps, rounds=args.rounds)
    expected = [variants["textbook fp32"](label_map) for label_map in label_maps]
    rows = []
    for name, paint in variants.items():
        errors = [(paint(given).float() - image).abs() for given, image in zip(label_maps, expected, strict=True)]
        squares = [max(error.square().mean().item(), 1e-12) for error in errors]
        rows.append(
            {
                "variant": name,
                "seconds": statistics.median(seconds[name]),
                "x textbook": ratio(seconds["textbook fp32"], seconds[name]),
                "x dense fp32": ratio(seconds["dense fp32"], seconds[name]),
                "largest error": max(error.max().item() for error in errors),
                "PSNR, dB": min(10 * np.log10(2**2 / square) for square in squares),  # images span [-1, 1]
            }
        )
    return rows


@torch.inference_mode()
def breakdown(args: argparse.Namespace, label_maps: list[Tensor]) -> list[Row]:
    """Parts of the sparse path's time, ms per image, by PyTorch's profiler"""
    generator = build_generator(args)
    rows = []
    for name, network in (("fp32", generator), ("bf16", build_generator(args).bfloat16())):
        paint = painter(network, "sparse")
        for label_map in label_maps:  # warm up, until the allocator has all the memory it needs
            paint(label_map)
        named = torch.profiler.record_function(MASK_PATH)(SparsePath._scale_shift)
        with mock.patch.object(SparsePath, "_scale_shift", named), torch.profiler.profile() as profile:
            for label_map in label_maps:
                paint(label_map)
        parts = dict.fromkeys(
            ("backbone's convolutions", "mask path's products", "gathers", "scale and shift", "rest"), 0.0
        )
        for event in profile.events():
            microseconds = event.self_device_time_total if args.device == "cuda" else event.self_cpu_time_total
            parts[_part(event)] += microseconds / 1e3 / len(label_maps)
        rows.append({"type": name, "all": sum(parts.values()), **parts})
    return rows


def _part(event: FunctionEvent) -> str:
    if "convolution" in event.name or event.name in ("aten::mm", "aten::addmm"):
        return "mask path's products" if _is_within(MASK_PATH, event) else "backbone's convolutions"
    if "index_select" in event.name or "embedding_bag" in event.name:
        return "gathers"
    return "scale and shift" if event.name in ("aten::addcmul", "aten::leaky_relu_") else "rest"


def _is_within(name: str, event: FunctionEvent | None) -> bool:
    return event is not None and (event.name == name or _is_within(name, event.cpu_parent))


@torch.inference_mode()
def styles(args: argparse.Namespace, label_maps: list[Tensor]) -> list[Row]:
    """Time of eight styles of one mask against one style"""
    if not args.latent_dim:
        return [{"note": "a generator without latent has one style"}]
    generator = build_generator(args)
    variants = {
        f"{backend}, {count}": painter(generator, backend, styles=count) for backend in BACKENDS for count in (1, 8)
    }
    seconds = interleave(variants, label_maps[:6], rounds=1)
    return [
        {
            "backend": backend,
            "one, s": statistics.median(seconds[f"{backend}, 1"]),
            "eight, s": statistics.median(seconds[f"{backend}, 8"]),
            "eight / one": ratio(seconds[f"{backend}, 8"], seconds[f"{backend}, 1"]),
        }
        for backend in BACKENDS
    ]


def memory(args: argparse.Namespace, label_maps: list[Tensor]) -> list[Row]:
    """Peak memory of one forward pass, fp32, MB: beyond the weights, and of the whole process"""
    rows = []
    for resolution in (256, 512, 1024):
        label_map = resize_labels(label_maps[0], (resolution, resolution))
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:  # each in a new process
            dense, sparse = (pool.apply(peak_memory, (args, backend, label_map)) for backend in BACKENDS)
        row = {"resolution": float(resolution)}
        for what, a, b in zip(("activations", "process"), dense, sparse, strict=True):
            row |= {f"{what}: dense": a, f"{what}: sparse": b, f"{what}: sparse / dense": b / a}
        rows.append(row)
    return rows


@torch.inference_mode()
def scaling(args: argparse.Namespace, label_maps: list[Tensor]) -> list[Row]:
    """Time by resolution, batch, labels and share of distinct neighborhoods (a random label per n x n block)"""
    generator = build_generator(args)
    cases = [
        (f"resolution {size}", generator, resize_labels(label_maps[0], (size, size))) for size in (256, 512, 1024)
    ]
    cases += [(f"batch {size}", generator, torch.cat((label_maps * size)[:size])) for size in (1, 4, 8)]
    for count in (12, 64, args.num_labels):
        cases.append((f"{count} labels", build_generator(args, num_labels=count), label_maps[0] % count))
    for block in (32, 16, 8, 4, 2, 1):
        side = args.resolution // block
        random_map = torch.randint(args.num_labels, (1, side, side), generator=torch.Generator().manual_seed(0))
        label_map = resize_labels(random_map.to(args.device), (args.resolution, args.resolution))
        cases.append((f"random {block}x{block}", generator, label_map))
    rows = []
    for name, network, label_map in cases:
        variants = {backend: painter(network, backend) for backend in (*BACKENDS, "auto")}
        seconds = interleave(variants, [label_map], rounds=args.rounds + 2)
        medians = {f"{backend}, s": statistics.median(seconds[backend]) for backend in variants}
        neighborhoods = network.read_mask(label_map, None, dtype=network.dtype).neighborhoods(
            label_map.shape[-2:], kernel_size=3
        )
        speedups = {f"{backend}: x dense": ratio(seconds["dense"], seconds[backend]) for backend in ("sparse", "auto")}
        rows.append({"case": name, "distinct, %": 100 * neighborhoods.distinct_share, **medians, **speedups})
    return rows


SUITES = {suite.__name__: suite for suite in (latency, breakdown, styles, training, recipe, equality, memory, scaling)}


if __name__ == "__main__":
    main()
