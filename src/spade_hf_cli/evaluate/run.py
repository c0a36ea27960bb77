"""Scores a model: do its images show the masks, and do they look like the real ones? See docs/evaluation.md."""

import argparse
import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torchmetrics
from accelerate import PartialState
from accelerate.utils import gather_object
from PIL import Image
from tqdm.auto import tqdm

import spade_hf
from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.data import PairedImageDataset
from spade_hf.data.fingerprint import fingerprint
from spade_hf.data.label_match import check_labels
from spade_hf.features.three_channels import describe_three_channels
from spade_hf.files import write_text
from spade_hf.images.sheets import add_headings
from spade_hf.metrics import (
    Figures,
    ImageCache,
    Judge,
    Measurements,
    ScoredBatch,
    Scorer,
    choose_partners,
    load_feature_network,
    score,
    score_styles,
)
from spade_hf.metrics.card import load_card, update_card
from spade_hf.metrics.figures import NO_SEGMENTER
from spade_hf.metrics.outlines import score_outlines
from spade_hf.metrics.report import format_outlines, format_table
from spade_hf.metrics.scoring import KINDS, REDRAWN, OutlineSettings
from spade_hf.models.model_hash import hash_model
from spade_hf.pipelines.refinement import check_outline_model

from ..data import build_processor, find_labels
from ..models import check_device, find_model
from ..options import as_typed, options_of
from ..outputs import save_image
from ..processes import from_main_process, join_processes
from .build import build_dataset, build_segmenter
from .parser import build_parser


logger = logging.getLogger(__name__)
SHEET_ROWS = 8
FEW_PAIRS = 300  # below, the table says that its figures are rough


def main(args: argparse.Namespace) -> None:
    """Evaluate as the parsed command line says."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpx2"):  # they log every request to the Hub
        logging.getLogger(name).setLevel(logging.WARNING)
    card = load_card(args.model) if args.update_model_card else None  # before scoring, which takes minutes
    if args.device is not None:
        check_device(args.device)
    state = join_processes(args.device)
    args.device = args.device or str(state.device)
    pipeline = None
    if not args.real:
        pipeline = SPADEPipeline.from_pretrained(find_model(args.model)).to(args.device)
    processor = build_processor(args, use_instance_edges=False) if pipeline is None else pipeline.image_processor
    if pipeline is not None:
        check_model(args, pipeline)
    dataset, groups = build_dataset(args, processor)
    network = load_feature_network(args.feature_network).to(args.device)
    segmenter, segmenter_reason = build_segmenter(args, processor, network, state)
    if seen := describe_three_channels(processor.config.image_channels):
        logger.info(seen)
    own_segmenter = None if pipeline is None else pipeline.segmenter
    judge = Judge(network, segmenter, processor.label_set_or_none, own_segmenter)

    missing = {"painted": why_not_simplified(args, processor), **why_no_styles(pipeline, groups, len(dataset))}
    missing["refined"] = "no outline_strength" if args.outline_strength is None else None
    kinds = [kind for kind, figure in KINDS.items() if missing.get(figure) is None]
    partners = []
    if missing["style"] is None:
        scenes = list(range(len(dataset))) if groups is None else groups
        partners = choose_partners(scenes, torch.Generator().manual_seed(args.seed))
    cache = None
    if args.output_dir is not None and pipeline is not None:
        name = from_main_process(state, lambda: name_image_folder(args, pipeline, dataset, partners))
        cache = ImageCache(Path(args.output_dir, name), processor.config.image_channels)
    scorer = Scorer(
        judge,
        dataset,
        processor,
        kinds=kinds,
        partners=partners,
        shown=frozenset(number * len(dataset) // SHEET_ROWS for number in range(SHEET_ROWS)),
        pipeline=pipeline,
        reduce=args.reduce,
        device=args.device,
        cache=cache,
        outlines=outline_settings(args, pipeline),
        painting_size=None if args.painting_size is None else tuple(args.painting_size),
    )
    scored = score_all(scorer, args.batch_size, state)
    if not state.is_main_process:
        return
    parts = {kind: [batch.measurements[kind] for batch in scored] for kind in ("real", *kinds)}
    measured = {kind: Measurements.concatenate(batches) for kind, batches in parts.items()}
    has_own_style = pipeline is None or pipeline.style_encoder is not None
    options = {"groups": groups, "has_own_style": has_own_style, "count_unknown": args.ignored_pixels == "count"}
    figures = {
        kind: score(
            measured[kind], measured["real"], processor.label_set_or_none, is_redrawn=kind in REDRAWN, **options
        )
        for kind in ("real", "exact", *REDRAWN)
        if kind in measured
    }
    styled, varied = measured.get("styled"), measured.get("again")
    styles = None if styled is None else measured["real"].take(partners)
    reasons = {name: reason for name, reason in missing.items() if reason is not None}
    score_styles(figures["exact"], styled=styled, styles=styles, varied=varied, reasons=reasons)
    if args.outline_strength is not None:
        score_outlines(figures, [batch.outlines for batch in scored], processor.label_set, len(dataset))
    typed = options_of(build_parser())
    for one in figures.values():
        for name, reason in one.reasons.items():
            one.reasons[name] = as_typed(segmenter_reason if reason == NO_SEGMENTER else reason, typed)
    write(args, figures, missing["painted"], draw_sheet(scored), measured["real"])
    if card is not None:
        names = (
            "resolution",
            "painting_size",
            "feature_network",
            "segmenter",
            "segmenter_steps",
            "ignored_pixels",
            "seed",
        )
        names += () if args.outline_strength is None else ("outline_strength", "outline_steps")
        settings = {"num_images": len(dataset), **{name: getattr(args, name) for name in names}}
        data = {"dataset_name": args.dataset_name, "split": args.split, "settings": settings}
        update_card(card, figures["exact"].values, model=args.model, **data)
        logger.info("Put the figures into the model card of %s", args.model)


def check_model(args: argparse.Namespace, pipeline: SPADEPipeline) -> None:
    """Check that the model reads the masks as they are meant, and makes images of the resolution."""
    if args.resolution is None:
        args.resolution = list(pipeline.generator.native_size)
    if args.painting_size is None:
        pipeline.generator.check_size(*args.resolution, "--resolution")
    else:
        pipeline.generator.check_size(*args.painting_size, "--painting_size")
    if args.outline_strength is not None:
        label_set = pipeline.image_processor.label_set
        check_outline_model(pipeline.outline_model, label_set)
    check_data_of_model(args, pipeline.image_processor)
    labels = find_labels(args) if pipeline.image_processor.has_labels else None
    if labels is not None:
        check_labels(labels, pipeline.image_processor.label_set, color_tolerance=args.color_tolerance)


def check_data_of_model(args: argparse.Namespace, processor: SPADEImageProcessor) -> None:
    """Raise a ValueError unless the data have what the model reads: masks, conditions."""
    if args.image_folder is not None and processor.has_labels != (args.mask_folder is not None):
        if processor.has_labels:
            raise ValueError("`mask_folder` is missing: this model reads labels. Give the folder of the masks.")
        raise ValueError("`mask_folder` was given, but this model has no labels. Leave it out.")
    count, name = processor.config.condition_channels, "column" if args.image_folder is None else "folder"
    is_given = args.condition_folder is not None or args.condition_column is not None
    if is_given != (count > 0):
        if is_given:
            raise ValueError(f"`condition_{name}` was given, but this model reads masks alone. Leave it out.")
        raise ValueError(f"`condition_{name}` is missing: this model reads conditions of {count} channels. Name them.")


def score_all(scorer: Scorer, batch_size: int, state: PartialState) -> list[ScoredBatch]:
    """Score the whole data set, each process its share of batches; return all batches in order."""
    count = len(scorer.dataset)
    batches = [range(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    mine = batches[state.process_index :: state.num_processes]
    logger.info("Process %d of %d has %d batches", state.process_index + 1, state.num_processes, len(mine))
    with tqdm(mine, desc="Scoring", disable=not state.is_local_main_process) as progress:
        done = {rows.start: scorer.score(rows) for rows in progress}
    shares = gather_object([done])  # one per process
    state.destroy_process_group()
    return [batch for _, batch in sorted((start, batch) for share in shares for start, batch in share.items())]


def name_image_folder(
    args: argparse.Namespace, pipeline: SPADEPipeline, dataset: PairedImageDataset, partners: Sequence[int]
) -> str:
    """Name the folder of the images by a hash of everything that they depend on."""
    networks = [network for network in (pipeline.generator, pipeline.style_encoder) if network is not None]
    reader = dataset.reader
    settings = {
        "version": spade_hf.__version__,
        "model": hash_model(*networks, pipeline.image_processor),
        "pairs": fingerprint(
            dataset.rows,
            reader.columns,
            label_set=dataset.processor.label_set_or_none,
            color_tolerance=reader.color_tolerance,
            ids_in_red=reader.ids_in_red,
        ),
        "transform": dataclasses.asdict(reader.transform),
        "partners": list(partners),
        "seed": args.seed,
    }
    if args.painting_size is not None:
        settings["painting_size"] = args.painting_size
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8)
    return f"pictures-{digest.hexdigest()}"


def why_not_simplified(args: argparse.Namespace, processor: SPADEImageProcessor) -> str | None:
    """Return why simplified masks are not scored; `None` if they are."""
    if args.real:
        return "real pictures have exact masks only"
    config = processor.config
    if config.use_instance_edges or config.condition_channels:
        what = "instance edges" if config.use_instance_edges else "a condition"
        for option, is_given in (
            ("--painted_masks", args.painted_masks),
            ("--outline_strength", args.outline_strength is not None),
        ):
            if is_given:
                raise ValueError(f"{option} is for models without {what}, which would not fit. Leave it out.")
        return f"{what} would not fit painted masks"
    return "--no-painted_masks" if args.painted_masks is False else None


def outline_settings(args: argparse.Namespace, pipeline: SPADEPipeline | None) -> OutlineSettings | None:
    """Return how masks are refined; the folder of their images is named by everything that they depend on, besides."""
    if args.outline_strength is None or pipeline is None:
        return None
    folder = f"refined-{args.outline_strength}-{args.outline_steps}-{hash_model(pipeline.outline_model)}"
    return OutlineSettings(args.outline_strength, args.outline_steps, folder)


def why_no_styles(
    pipeline: SPADEPipeline | None, groups: Sequence[object] | None, count: int
) -> dict[str, str | None]:
    """Return why `style` and `diversity` are not scored; `None` if they are."""
    if pipeline is None:
        return dict.fromkeys(("style", "diversity"), "real pictures have one style each")
    style = diversity = None
    if pipeline.generator.config.latent_dim is None:
        diversity = "the model has no latent: one picture per mask"
    if pipeline.style_encoder is None:
        style = "the model has no style encoder"
    elif (count if groups is None else len(set(groups))) < 2:
        style = "styles are exchanged between scenes, and there is only one"
    return {"style": style, "diversity": diversity}


def write(
    args: argparse.Namespace,
    figures: dict[str, Figures],
    without_simplified: str | None,
    sheet: Image.Image,
    real: Measurements,
) -> None:
    """Print the table; write the JSON file, and the table and the sheet in the output folder."""
    settings = {name: value for name, value in vars(args).items() if name not in ("json", "output_dir")}
    reasons: dict[str, Any] = {kind: one.reasons for kind, one in figures.items()}
    if without_simplified is not None:
        reasons["painted"] = without_simplified
    values: dict[str, Any] = {
        kind: {**one.values, **({"outlines": one.outlines} if one.outlines else {})} for kind, one in figures.items()
    }
    report = {
        **values["exact"],
        "painted": values.get("painted"),
        "refined": values.get("refined"),
        "real": figures["real"].values,
        "reasons": reasons,
        "class_iou": {kind: one.class_ious for kind, one in figures.items()},
        "counts": {"pictures": len(real.features), "feature_dimensions": real.features.shape[1]},
        "settings": settings,
        "versions": {module.__name__: module.__version__ for module in (spade_hf, torch, torchmetrics)},
    }
    table = format_table(figures, without_simplified)
    if "refined" in figures:
        table += "\n\n" + format_outlines({kind: figures[kind].outlines for kind in REDRAWN})
    count = len(real.features)
    table += f"\n\n{count} pairs" + (f"; figures of fewer than {FEW_PAIRS} are rough." if count < FEW_PAIRS else ".")
    print(table)
    if args.json is not None:
        write_text(Path(args.json), json.dumps(report, indent=2) + "\n")
    if args.output_dir is not None:
        folder = Path(args.output_dir)
        write_text(folder / "table.md", table + "\n")
        save_image(sheet, folder / "sheet.png")


def draw_sheet(scored: Sequence[ScoredBatch]) -> Image.Image:
    """Draw the shown rows of all batches below each other, with headings."""
    rows = torch.cat([row for batch in scored for row in batch.rows], dim=-2)  # (3, rows * H, columns * W)
    return add_headings(Image.fromarray(rows.movedim(0, -1).numpy()), scored[0].headings)
