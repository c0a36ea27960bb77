"""`spade-hf check`: read every pair of a data set before training."""

import argparse
import json
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
from tqdm import tqdm

from spade_hf.files import write_text
from spade_hf.labels.label_set import LabelSet
from spade_hf.project import install_command

from ..data_options import problem_with_condition, problem_with_data
from ..outputs import check_image_file, save_image


try:
    from spade_hf.data import PairedTransform, PairReader
    from spade_hf.data.checking import (
        KINDS,
        SHORT_SIDE,
        CheckedPair,
        Oddity,
        check_pairs,
        find_among_pairs,
        take_proportions,
    )
    from spade_hf.data.overlays import overlay_sheet, spread

    from ..data import build_processor, columns_of, open_rows
except ModuleNotFoundError as error:
    raise ImportError(f"check needs the package {error.name}: {install_command('train')}") from error

DEFAULT_SPLIT = "train"
SHEET_PAIRS = 24
SHOWN_SIZES = 5
SHOWN_NAMES, SHOWN_FILES = 3, 20  # of a warning, on the screen and in the JSON file
BAD_PAIRS = 2  # exit status
NO_LABELS = "no masks: images and conditions were read, and there are no labels to count"


def run(args: argparse.Namespace) -> int:
    """Print the problem of each bad pair, the images' sizes, the labels' shares, and what is suspicious.

    Returns:
        `int`: 2 if a pair is bad, else 0.
    """
    if problem := problem_with_data(args) or problem_with_condition(args):
        raise ValueError(problem)
    if args.sheet is not None:
        check_image_file(args.sheet, option="--sheet", inputs=(), overwrite=args.overwrite)
    if len(args.resolution or ()) > 2:
        raise ValueError(f"--resolution has {len(args.resolution)} numbers; give one side, or height and width.")
    if args.json is not None and args.json.exists() and not args.overwrite:
        raise ValueError(f"--json {args.json} exists. Give another file, or --overwrite.")
    rows, reader = _open(args)
    if len(rows) == 0:
        raise ValueError(f"--split {args.split or DEFAULT_SPLIT!r} has no rows. Give another split.")
    if args.resolution is None:
        take_proportions(rows, reader)
    start = time.perf_counter()
    checks = check_pairs(rows, reader, num_workers=min(args.num_workers, len(rows)))
    pairs = list(tqdm(checks, total=len(rows), unit=" pairs", disable=None))
    seconds = time.perf_counter() - start
    bad, good = [pair for pair in pairs if pair.problem], [pair for pair in pairs if not pair.problem]
    for pair in bad:
        print(f"bad: {pair.problem}")
    print(f"{len(pairs)} pairs read in {seconds:.1f} s, {len(bad)} bad.")
    label_set = reader.processor.label_set_or_none
    oddities = find_among_pairs(good, label_set) if good else []
    if good:
        print(describe_sizes(good))
        print(NO_LABELS if label_set is None else describe_labels(good, label_set))
        print(*map(describe_oddity, oddities), sep="\n", end="\n" if oddities else "")
    if args.json is not None:
        warnings = [{"kind": one.kind, "count": one.count, "files": one.files[:SHOWN_FILES]} for one in oddities]
        report = {"pairs": len(pairs), "bad": len(bad), "warnings": warnings}
        write_text(args.json, json.dumps(report, indent=2) + "\n")
    if args.sheet is not None and good:
        names = {pair.index: pair.name for pair in good}
        shown = spread([index for one in oddities for index in one.indices], list(names), SHEET_PAIRS)
        save_image(overlay_sheet(rows, reader, {index: names[index] for index in shown}), args.sheet)
        print(args.sheet)
    elif oddities:
        print("Look at these pairs: --sheet FILE draws them first.", file=sys.stderr)
    if bad:
        print("Repair or remove these pairs; training skips them with --skip_broken.", file=sys.stderr)
    return BAD_PAIRS if bad else 0


def describe_oddity(oddity: Oddity) -> str:
    """Describe one kind of suspicious pairs in one line."""
    files = oddity.files[:SHOWN_NAMES]
    more = f" and {len(oddity.files) - len(files)} more" if len(oddity.files) > len(files) else ""
    return f"warning: {oddity.kind}: {oddity.count} {KINDS[oddity.kind]} ({', '.join(files)}{more})"


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
    resolution = (args.resolution[0], args.resolution[-1]) if args.resolution else (SHORT_SIDE, SHORT_SIDE)
    reader = PairReader(
        **columns,
        processor=build_processor(args, use_instance_edges=use_instance_edges),
        transform=PairedTransform(resolution=resolution, resize_ratio=1.0, center_crop=True, random_flip=False),
        color_tolerance=args.color_tolerance,
        ids_in_red=args.ids_in_red,
    )
    return rows, reader
