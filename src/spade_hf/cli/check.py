"""`spade-hf check`: read every pair of a data set before training."""

import argparse
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
from tqdm import tqdm

from spade_hf_cli.options import problem_with_data

from ..images.processor import SPADEImageProcessor
from ..labels.label_set import LabelSet
from ..project import install_command
from .outputs import check_picture_file, save_picture


try:
    from ..data import PairedTransform, PairReader
    from ..data.checking import CheckedPair, check_pairs, overlay_sheet
    from ..data.options import columns_of, open_label_set, open_rows
except ModuleNotFoundError as error:
    raise ImportError(f"check needs the package {error.name}: {install_command('train')}") from error

DEFAULT_SPLIT = "train"
SHEET_PAIRS = 24
SHOWN_SIZES = 5


def run(args: argparse.Namespace) -> int:
    """Print the problem of each bad pair, the images' sizes and the labels' shares.

    Returns:
        `int`: 1 if a pair is bad, else 0.
    """
    if problem := problem_with_data(args):
        raise ValueError(problem)
    if args.sheet is not None:
        check_picture_file(args.sheet, option="--sheet", inputs=(), overwrite=args.overwrite)
    if len(args.resolution) > 2:
        raise ValueError(f"--resolution has {len(args.resolution)} numbers; give one side, or height and width.")
    rows, reader = _open(args)
    if len(rows) == 0:
        raise ValueError(f"--split {args.split or DEFAULT_SPLIT!r} has no rows. Give another split.")
    start = time.perf_counter()
    checks = check_pairs(rows, reader, num_workers=min(args.num_workers, len(rows)))
    pairs = list(tqdm(checks, total=len(rows), unit=" pairs", disable=None))
    seconds = time.perf_counter() - start
    bad, good = [pair for pair in pairs if pair.problem], [pair for pair in pairs if not pair.problem]
    for pair in bad:
        print(f"bad: {pair.problem}")
    print(f"{len(pairs)} pairs read in {seconds:.1f} s, {len(bad)} bad.")
    if good:
        print(describe_sizes(good))
        print(describe_labels(good, reader.processor.label_set))
    if args.sheet is not None and good:
        shown = [good[number * len(good) // SHEET_PAIRS].index for number in range(SHEET_PAIRS)]
        save_picture(overlay_sheet(rows, reader, list(dict.fromkeys(shown))), args.sheet)
        print(args.sheet)
    if bad:
        print("Repair or remove these pairs; training skips them with --skip_broken.", file=sys.stderr)
    return int(bool(bad))


def describe_sizes(pairs: list[CheckedPair]) -> str:
    """List the images' sizes, the most frequent first."""
    sizes = Counter(pair.size for pair in pairs if pair.size is not None)
    shown = [f"{width}x{height} ({count})" for (width, height), count in sizes.most_common(SHOWN_SIZES)]
    more = f" and {len(sizes) - SHOWN_SIZES} more" if len(sizes) > SHOWN_SIZES else ""
    return f"sizes (width x height): {', '.join(shown)}{more}"


def describe_labels(pairs: list[CheckedPair], label_set: LabelSet) -> str:
    """Describe each label in one line: its share of all pixels, and the number of pairs that contain it."""
    counts = np.stack([pair.counts for pair in pairs if pair.counts is not None])  # (N, L)
    shares, pairs_with = counts.sum(axis=0) / counts.sum(), (counts > 0).sum(axis=0)
    width = max(map(len, label_set.names))
    lines = [
        f"{id_:>5}  {name:<{width}}  {share:7.2%}  {count:>6}"
        for id_, name, share, count in zip(label_set.ids, label_set.names, shares, pairs_with, strict=True)
        if count
    ]
    missing = [name for name, count in zip(label_set.names, pairs_with, strict=True) if not count]
    head = f"{'id':>5}  {'label':<{width}}  {'share':>7}  {'pairs':>6}"
    return "\n".join([head, *lines, *([f"in no pair: {', '.join(missing)}"] if missing else [])])


def _open(args: argparse.Namespace) -> tuple[Any, PairReader]:
    """Open the rows, and build the reader that training uses."""
    rows, columns = open_rows(args, split=args.split or DEFAULT_SPLIT), columns_of(args)
    use_instance_edges = columns["instance_column"] is not None
    resolution = (args.resolution[0], args.resolution[-1])
    reader = PairReader(
        **columns,
        processor=SPADEImageProcessor(label_set=open_label_set(args), use_instance_edges=use_instance_edges),
        transform=PairedTransform(resolution=resolution, resize_ratio=1.0),
        color_tolerance=args.color_tolerance,
    )
    return rows, reader
