"""What happens before a run: its folder is checked, its processes find each other, its log and its seed are set."""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from spade_hf.training import build_accelerator, refuse_existing_run, refuse_foreign_files

from .options import RunOptions


def set_up(options: RunOptions, model_files: Sequence[str]) -> tuple[Accelerator, Callable[[str], None]]:
    """Set up a run; nothing is written or deleted yet.

    Args:
        options (`TrainOptions` or `OutlineOptions`): The run's options.
        model_files (`Sequence[str]`): What the run writes in the end; see [`refuse_foreign_files`].

    Returns:
        `tuple[Accelerator, Callable[[str], None]]`: The accelerator, and a function that prints a line on the main
            process: to stdout, or to stderr in a dry run, whose stdout is for the recipe.

    Raises:
        ValueError: If the output folder holds another run, or files that this one would replace.
    """
    output_dir = Path(options.output_dir)
    if not options.dry_run:
        if not (options.resume_from_checkpoint or options.overwrite_output_dir):
            refuse_existing_run(output_dir)
        refuse_foreign_files(output_dir, model_files)
    accelerator = build_accelerator(
        options.output_dir,
        mixed_precision=options.mixed_precision,
        gradient_accumulation_steps=options.gradient_accumulation_steps,
        report_to=options.report_to,
        logging_dir=options.logging_dir,
    )
    set_up_logging()
    say = partial(accelerator.print, file=sys.stderr if options.dry_run else sys.stdout)
    say("Loading the data and the networks ...")
    set_seed(options.seed)
    if options.allow_tf32:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return accelerator, say


def set_up_logging() -> None:
    """Set up logging in short lines, without messages that do not matter to users."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for name in ("accelerate", "httpx", "httpx2"):  # they log every file of a checkpoint, every request to the Hub
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)  # a folder's README need not be a data card
