"""Fuzz by hand: `python -m tests.fuzz --seconds 600`. Exit status 1 if anything failed."""

import argparse
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

import PIL.Image

from .fuzzing import MAX_PIXELS, Result, run
from .targets import TARGETS


ROUND = 20  # inputs of a target before the next one has its turn


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="default: 600")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--input", type=int, help="number of the one input to try, with --only and --seed")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    PIL.Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    logging.disable(logging.ERROR)  # of diffusers, about spoiled configs
    totals, end, tried = {name: Result() for name in args.only}, time.monotonic() + args.seconds, 0
    folder = Path(tempfile.mkdtemp(prefix="spade-hf-fuzz-"))
    while time.monotonic() < end:
        for name in args.only:
            first, count = (tried, ROUND) if args.input is None else (args.input, 1)
            result = run(name, TARGETS[name], folder, seed=args.seed, first=first, count=count)
            total = totals[name]
            for failure in result.failures[: max(0, 5 - len(total.failures))]:
                print(failure, flush=True)
            total.accepted += result.accepted
            total.refused += result.refused
            total.seconds += result.seconds
            total.failures += result.failures
        tried += ROUND
        if args.input is not None:
            break
    print(f"seed {args.seed}\n{'target':<18}{'inputs':>8}{'accepted':>10}{'refused':>9}{'seconds':>9}{'failures':>10}")
    everything = Result()
    for name, one in [*totals.items(), ("all", everything)]:
        inputs = one.accepted + one.refused
        print(f"{name:<18}{inputs:>8}{one.accepted:>10}{one.refused:>9}{one.seconds:>9.1f}{len(one.failures):>10}")
        everything.accepted += one.accepted
        everything.refused += one.refused
        everything.seconds += one.seconds
        everything.failures += one.failures
    return int(bool(everything.failures))


if __name__ == "__main__":
    sys.exit(main())
