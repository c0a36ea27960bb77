"""Paints each mask of a data set in several styles, and writes the images as a data set. See docs/synthesis.md."""

import argparse
import hashlib
import logging
import sys
from pathlib import Path
from typing import Any

import datasets
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.data import load_rows
from spade_hf.data.label_match import check_labels
from spade_hf.data.sources import find_label_set
from spade_hf.hub.repositories import open_repository
from spade_hf.images.suffixes import image_suffixes
from spade_hf.models.model_hash import hash_model
from spade_hf.pipelines.refinement import check_nothing_beside, check_outline_model
from spade_hf.synthesis import (
    FolderOutput,
    MaskReader,
    Output,
    ParquetOutput,
    Synthesizer,
    check_repository,
    open_folder,
    push,
    write_data_card,
)
from spade_hf.synthesis.data_card import license_of, row_numbers
from spade_hf.synthesis.settings import public_name

from ..models import OUTLINE_STEPS, check_device, check_inputs, find_model, load_segmenter
from ..options import as_typed, options_of
from ..processes import join_processes
from .parser import build_parser


logger = logging.getLogger(__name__)
IMAGES_PER_FILE = 256


def main(args: argparse.Namespace) -> int:
    """Synthesize as the parsed command line says; return the exit status, 1 if masks are broken."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpx2"):  # they log every request to the Hub
        logging.getLogger(name).setLevel(logging.WARNING)
    datasets.disable_progress_bars()  # one bar per file
    if args.device is not None:
        check_device(args.device)
    state = join_processes(args.device)
    model = find_model(args.model)
    pipeline = SPADEPipeline.from_pretrained(model).to(args.device or str(state.device))
    pipeline.set_progress_bar_config(disable=True)
    if args.segmenter is not None:
        segmenter: Any = load_segmenter(args.segmenter, given_as="--segmenter", dtype=pipeline.generator.dtype)
        pipeline.register_modules(segmenter=segmenter.to(pipeline.device))
    synthesizer = build_synthesizer(args, pipeline)
    output = build_output(args, synthesizer)
    settings = build_settings(args, model, synthesizer)
    folder = Path(args.output_dir)
    if state.is_main_process:  # before painting, which takes hours
        labels, masks = synthesizer.label_set, synthesizer.masks.hashes()
        open_folder(folder, settings, labels, masks=masks, find_missing=output.all_missing)
        if args.push_to_hub:
            args.repo_id = open_repository(
                args.repo_id or folder.resolve().name, private=args.private, repo_type="dataset"
            )
            check_repository(args.repo_id)
    state.wait_for_everyone()
    broken = make_all(synthesizer, output, state)
    if not state.is_main_process:
        return 0
    summary = output.finish()
    if not summary.num_rows:
        raise ValueError(f"None of the {len(synthesizer.masks)} masks can be read; the first one: {broken[0]}")
    write_data_card(folder, summary, settings, pipeline, license=license_of(model))
    if args.push_to_hub:
        print(f"Uploaded to {push(folder, args.repo_id)}")
    print(f"{folder}: {summary.num_rows} rows")
    if summary.missing:
        print(
            f"error: {len(summary.missing)} of {len(synthesizer.masks)} masks are left out, because they cannot be "
            f"read: rows {row_numbers(summary.missing)}. Fix them and run the same command again.",
            file=sys.stderr,
        )
    return 1 if summary.missing else 0


def make_all(synthesizer: Synthesizer, output: Output, state: PartialState) -> dict[int, str]:
    """Make the missing rows, each process its share of chunks; return the broken rows of all processes."""
    mine = output.chunks[state.process_index :: state.num_processes]
    logger.info("Process %d of %d has %d masks", state.process_index + 1, state.num_processes, sum(map(len, mine)))
    broken: dict[int, str] = {}
    total = sum(map(len, mine))
    with tqdm(total=total, desc="Synthesizing", unit="mask", disable=not state.is_local_main_process) as progress:
        for chunk in mine:
            found = synthesizer.make(chunk, output)
            for message in found.values():
                logger.warning("Left out: %s", typed(message))
            broken.update(found)
            progress.update(len(chunk))
    shares = gather_object([broken])  # one per process
    state.destroy_process_group()
    return {index: message for share in shares for index, message in share.items()}


def build_synthesizer(args: argparse.Namespace, pipeline: SPADEPipeline) -> Synthesizer:
    """Build the synthesizer for the data set's masks."""
    if not pipeline.image_processor.has_labels:
        raise ValueError(
            "This model has no labels, and a data set is synthesized of masks. Paint with `spade-hf generate "
            "--condition` instead."
        )
    columns = (args.mask_column, args.instance_column, args.condition_column)
    rows: Any = load_rows(
        args.dataset_name,
        config_name=args.dataset_config_name,
        split=args.split,
        image_columns=[column for column in columns if column is not None],
    )
    if len(rows) == 0:
        raise ValueError(f"`split` {args.split!r} of {args.dataset_name} has no rows. Give another split.")
    labels = find_label_set(dataset_name=args.dataset_name)
    if labels is not None:
        check_labels(labels, pipeline.image_processor.label_set, color_tolerance=args.color_tolerance)
    if args.seed != 0 and pipeline.generator.config.latent_dim is None and args.outline_strength == 0:
        raise ValueError(f"`seed` is {args.seed}, but this model has no latent to draw from it. Leave it out.")
    processor = pipeline.image_processor
    if args.outline_strength > 0:  # before hours of painting
        check_outline_model(pipeline.outline_model, processor.label_set)
        check_nothing_beside(processor, args.outline_strength)
        processor = SPADEImageProcessor(label_set=processor.label_set.with_unknown())  # what is not painted is filled
    styles = None
    if args.style is not None:
        if pipeline.style_encoder is None:
            raise ValueError("`style` was given, but this model has no style encoder. Leave it out.")
        styles = torch.cat([pipeline.encode_style(file) for file in style_files(args)])  # (S, Z)
    masks = MaskReader(
        rows,
        mask_column=args.mask_column,
        instance_column=args.instance_column,
        processor=processor,
        color_tolerance=args.color_tolerance,
        condition_column=args.condition_column,
    )
    return Synthesizer(
        pipeline,
        masks,
        num_images_per_mask=args.num_images_per_mask,
        seed=args.seed,
        batch_size=args.batch_size,
        height=args.height,
        width=args.width,
        styles=styles,
        outline_strength=args.outline_strength,
        outline_steps=args.outline_steps or OUTLINE_STEPS,
        agreement_threshold=args.agreement_threshold,
    )


def build_output(args: argparse.Namespace, synthesizer: Synthesizer) -> Output:
    """Build the output; the groups in which masks are written do not depend on the number of processes."""
    step = synthesizer.masks_per_batch if args.output_format == "folders" else masks_per_file(args)
    count = len(synthesizer.masks)
    kind = FolderOutput if args.output_format == "folders" else ParquetOutput
    return kind(
        folder=Path(args.output_dir),
        columns=("image", "label") if args.instance_column is None else ("image", "label", "instance"),
        num_images_per_mask=args.num_images_per_mask,
        seed=args.seed,
        chunks=[range(start, min(start + step, count)) for start in range(0, count, step)],
        has_agreement=args.agreement_threshold is not None,
        styles=[Path(file).name for file in style_files(args)],
    )


def style_files(args: argparse.Namespace) -> list[str]:
    """Return the style pictures: the given files, and those of given folders in the order of their names."""
    files: list[str] = []
    for name in args.style or ():
        check_inputs(style=name)
        found = [name]
        if Path(name).is_dir():
            found = sorted(str(path) for path in Path(name).iterdir() if path.suffix.lower() in image_suffixes())
            if not found:
                raise ValueError(f"`style` is {name}, a folder without pictures. Give another one, or files.")
        files += found
    names = [Path(file).name for file in files]
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"`style` has two pictures {twins[0]}; the data set names them. Rename one.")
    return files


def build_settings(args: argparse.Namespace, model: str, synthesizer: Synthesizer) -> dict[str, object]:
    """Collect the settings that rows depend on; an earlier run in the folder must have the same."""
    names = ("dataset_config_name", "split", "mask_column", "instance_column", "color_tolerance")
    more = ("num_images_per_mask", "seed", "height", "width", "output_format")
    # left out where they are not used, as earlier versions wrote them, so that their folders can be resumed
    outlines: dict[str, object] = {}
    if args.outline_strength > 0:
        outlines = {"outline_strength": args.outline_strength, "outline_steps": synthesizer.outline_steps}
        outlines["outline_weights"] = hash_model(synthesizer.pipeline.outline_model)
    agreement: dict[str, object] = {}
    if args.agreement_threshold is not None:
        agreement = {"agreement_threshold": args.agreement_threshold}
        agreement["segmenter_weights"] = hash_model(synthesizer.pipeline.segmenter)
    condition = {} if args.condition_column is None else {"condition_column": args.condition_column}
    files = [Path(file) for file in style_files(args)]
    digests = {file.name: hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest() for file in files}
    styles = {"styles": digests, "encoder_weights": hash_model(synthesizer.pipeline.style_encoder)} if files else {}
    return {
        "model": "the bundled landscapes" if args.model is None else public_name(model),
        "weights": hash_model(synthesizer.pipeline.generator, synthesizer.pipeline.image_processor),
        "dataset_name": public_name(args.dataset_name),
        **{name: getattr(args, name) for name in names},
        "num_masks": len(synthesizer.masks),
        **{name: getattr(args, name) for name in more},
        "masks_per_file": masks_per_file(args) if args.output_format == "parquet" else None,
        **outlines,
        **agreement,
        **condition,
        **styles,
    }


def masks_per_file(args: argparse.Namespace) -> int:
    """Return the number of masks per parquet file."""
    return args.masks_per_file or max(1, IMAGES_PER_FILE // args.num_images_per_mask)


def typed(message: str) -> str:
    """Name the options in an error as they are typed."""
    return as_typed(" ".join(message.split()), options_of(build_parser()))
