"""Score a model: does it paint what the mask says, and do its pictures look like the real ones?

    python examples/evaluate_spade.py --model my-model --dataset_name FOLDER_OR_HUB_ID --split validation \
        --output_dir evaluation --json evaluation.json

    python examples/evaluate_spade.py --real --reduce 192 --dataset_name ...    # figures for reference

See docs/evaluation.md, and `--help` for all options.
"""

import argparse
import hashlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm.auto import tqdm


try:
    import datasets  # noqa: F401 (what spade_hf.data needs)
    import torchmetrics
    from accelerate import PartialState
    from accelerate.utils import gather_object
except ModuleNotFoundError as error:
    from spade_hf.project import install_command

    sys.exit(f"error: evaluation needs the package {error.name}, which is not installed: {install_command('eval')}")

import spade_hf
from spade_hf import BUNDLED_MODEL, SPADEImageProcessor, SPADEPipeline
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_rows
from spade_hf.data.options import columns_of, open_label_set, open_rows
from spade_hf.data.processes import join_processes
from spade_hf.metrics import (
    Figures,
    Judge,
    Measurements,
    PictureCache,
    ScoredBatch,
    Scorer,
    choose_partners,
    load_feature_network,
    load_segmenter,
    obtain_segmenter,
    score,
    score_styles,
)
from spade_hf.metrics.arguments import build_parser, parse_args
from spade_hf.metrics.features import FeatureNetwork, import_transformers_networks
from spade_hf.metrics.model_index import load_card, update_card
from spade_hf.metrics.scoring import KINDS
from spade_hf.metrics.segmentation import AnySegmenter
from spade_hf.metrics.segmenter_cache import fingerprint
from spade_hf_cli.options import as_typed, one_line, options_of


logger = logging.getLogger("evaluate_spade")
SHEET_ROWS = 8


def main(args: argparse.Namespace) -> None:
    """Evaluate as the parsed command line says."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpx2"):  # they log every request to the Hub
        logging.getLogger(name).setLevel(logging.WARNING)
    card = load_card(args.model) if args.update_model_card else None  # before scoring, which takes minutes
    state = join_processes(args.device)
    args.device = args.device or str(state.device)
    pipeline = None if args.real else SPADEPipeline.from_pretrained(args.model or BUNDLED_MODEL).to(args.device)
    processor = build_processor(args) if pipeline is None else pipeline.image_processor
    if args.resolution is None and pipeline is not None:
        size = pipeline.generator.config.image_size
        args.resolution = [size, size] if isinstance(size, int) else list(size)
    dataset, groups = build_dataset(args, processor)
    network = load_feature_network(args.feature_network).to(args.device)
    with state.main_process_first():  # it saves the trained segmenter in --output_dir
        segmenter, segmenter_reason = build_segmenter(args, processor, network)
    judge = Judge(network, segmenter, processor.label_set)

    missing = {"painted": why_not_painted(args, processor), **why_no_styles(pipeline, groups, len(dataset))}
    kinds = [kind for kind, figure in KINDS.items() if missing.get(figure) is None]
    partners = []
    if missing["style"] is None:
        scenes = list(range(len(dataset))) if groups is None else groups
        partners = choose_partners(scenes, torch.Generator().manual_seed(args.seed))
    cache = None
    if args.output_dir is not None and pipeline is not None:
        cache = build_cache(args, pipeline, dataset, partners)
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
    )
    scored = score_all(scorer, args.batch_size, state)
    if not state.is_main_process:
        return
    sheet = [row for batch in scored for row in batch.rows]
    parts = {kind: [batch.measurements[kind] for batch in scored] for kind in ("real", *kinds)}
    measured = {kind: Measurements.concatenate(batches) for kind, batches in parts.items()}
    has_own_style = pipeline is None or pipeline.style_encoder is not None
    options = {"groups": groups, "count_unknown": args.ignored_pixels == "count"}
    figures = {
        kind: score(measured[kind], measured["real"], processor.label_set, has_own_style=has_own_style, **options)
        for kind in ("real", "exact", "painted")
        if kind in measured
    }
    styled, varied = measured.get("styled"), measured.get("again")
    styles = None if styled is None else measured["real"].take(partners)
    score_styles(figures["exact"], styled=styled, styles=styles, varied=varied, reasons=missing)
    if segmenter is None:
        for one in figures.values():
            one.reasons.update(miou=segmenter_reason, pixel_accuracy=segmenter_reason)
    for name, reason in figures["exact"].reasons.items():
        logger.warning("%s is null: %s", name, as_typed(reason, options_of(build_parser())))
    reasons = {kind: one.reasons for kind, one in figures.items()}
    if missing["painted"] is not None:
        reasons["painted"] = missing["painted"]
    write(args, figures, reasons, Image.fromarray(torch.cat(sheet, dim=-2).movedim(0, -1).numpy()), measured["real"])
    if card is not None:
        names = ("resolution", "feature_network", "segmenter", "segmenter_steps", "ignored_pixels", "seed")
        settings = {"num_images": len(dataset), **{name: getattr(args, name) for name in names}}
        data = {"dataset_name": args.dataset_name or args.image_folder, "split": args.split, "settings": settings}
        update_card(card, figures["exact"].values, model=args.model, **data)
        logger.info("Put the figures into the model card of %s", args.model)


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


def build_cache(
    args: argparse.Namespace, pipeline: SPADEPipeline, dataset: PairedImageDataset, partners: Sequence[int]
) -> PictureCache:
    """Return the folder of these pictures, named by a hash of everything that they depend on."""
    networks = [network for network in (pipeline.generator, pipeline.style_encoder) if network is not None]
    settings = {
        "version": spade_hf.__version__,
        "configs": [dict(part.config) for part in (*networks, pipeline.image_processor)],
        "pairs": fingerprint(dataset),
        "partners": list(partners),
        **{name: getattr(args, name) for name in ("resolution", "seed", "color_tolerance")},
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=8)
    for network in networks:
        for weight in network.state_dict().values():
            digest.update(weight.cpu().float().contiguous().numpy().tobytes())
    return PictureCache(Path(args.output_dir, f"pictures-{digest.hexdigest()}"))


def why_not_painted(args: argparse.Namespace, processor: SPADEImageProcessor) -> str | None:
    """Return why painted masks are not scored; `None` if they are."""
    if args.real:
        return "real pictures have exact masks only"
    if processor.config.use_instance_edges:
        return "instance edges would not fit painted masks"
    return None if args.painted_masks else "--no-painted_masks"


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


def build_processor(args: argparse.Namespace) -> SPADEImageProcessor:
    """Build the processor of real pictures, with the data's own label set."""
    return SPADEImageProcessor(label_set=open_label_set(args))


def build_dataset(
    args: argparse.Namespace, processor: SPADEImageProcessor
) -> tuple[PairedImageDataset, list[object] | None]:
    """Build the data set to score, and the scene of each pair if `--group_column` is given."""
    rows, columns = open_rows(args, split=args.split), columns_of(args)
    if len(rows) == 0:
        raise ValueError(f"--split {args.split!r} of {args.dataset_name} has no rows. Give another split.")
    count = len(rows) if args.num_images is None else min(args.num_images, len(rows))
    rows = rows.select([number * len(rows) // count for number in range(count)])
    if args.group_column is not None and args.group_column not in rows.column_names:
        raise ValueError(
            f"--group_column is {args.group_column!r}; the data set has the columns {', '.join(rows.column_names)}. "
            "Name one of these."
        )
    groups = None if args.group_column is None else rows[args.group_column][:]
    return pairs(args, processor, rows, columns), groups


def pairs(
    args: argparse.Namespace,
    processor: SPADEImageProcessor,
    rows: datasets.Dataset,
    columns: dict[str, Any],
    random_flip: bool = False,
) -> PairedImageDataset:
    """Build a data set of whole pictures, cropped only if their proportions differ from those of `--resolution`."""
    if args.resolution is None:  # only for real pictures: the size of the first mask
        width, height = rows[0][columns["mask_column"]].size
        args.resolution = [height, width]
    transform = PairedTransform(
        resolution=tuple(args.resolution), resize_ratio=1.0, center_crop=True, random_flip=random_flip
    )
    reader = PairReader(
        **columns,
        processor=processor,
        transform=transform,
        color_tolerance=args.color_tolerance,
    )
    return PairedImageDataset(rows, reader, seed=args.seed)


def build_segmenter(
    args: argparse.Namespace, processor: SPADEImageProcessor, network: FeatureNetwork
) -> tuple["AnySegmenter | None", str]:
    """Return the segmenter, or `None` and the reason."""
    if args.segmenter == "none":
        return None, "--segmenter none"
    label_set = processor.label_set
    if args.segmenter != "train" and not args.segmenter.endswith(".safetensors"):
        names = None if args.segmenter_labels is None else read_names(Path(args.segmenter_labels))
        module = import_transformers_networks("segmenter")
        return module.TransformersSegmenter(args.segmenter, label_set, names).to(args.device), ""
    if args.segmenter != "train":
        segmenter = load_segmenter(Path(args.segmenter), network, label_set, network_name=args.feature_network)
        return segmenter.to(args.device), ""
    name = args.segmenter_dataset or args.dataset_name
    if name is None:
        return None, "no --segmenter_dataset to train a segmenter on"
    try:
        rows = load_rows(name, split=args.segmenter_split)
    except ValueError:
        if args.segmenter_dataset is not None:
            raise
        return None, f"{name} has no split {args.segmenter_split} to train a segmenter on; name --segmenter_dataset"
    plain = SPADEImageProcessor(label_set=label_set)  # reads no instance maps
    columns = {"image_column": args.image_column, "mask_column": args.mask_column, "instance_column": None}
    segmenter = obtain_segmenter(
        network,
        pairs(args, plain, rows, columns, random_flip=True),
        network_name=args.feature_network,
        num_steps=args.segmenter_steps,
        seed=args.seed,
        cache_dir=None if args.output_dir is None else Path(args.output_dir),
        device=args.device,
    )
    return segmenter, ""


def read_names(file: Path) -> dict[str, str]:
    """Read a segmenter's classes and our labels for them."""
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"--segmenter_labels {file} can't be read as JSON: {error}") from error
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f'--segmenter_labels {file} is not of the form {{"the segmenter\'s class": "our label"}}.')
    return names


def write(
    args: argparse.Namespace,
    figures: dict[str, Figures],
    reasons: dict[str, str | dict[str, str]],
    sheet: Image.Image,
    real: Measurements,
) -> None:
    """Print the table; write the JSON file, and the table and the sheet in the output folder."""
    settings = {name: value for name, value in vars(args).items() if name not in ("json", "output_dir")}
    report = {
        **figures["exact"].values,
        "painted": figures["painted"].values if "painted" in figures else None,
        "real": figures["real"].values,
        "reasons": reasons,
        "class_iou": {kind: one.class_ious for kind, one in figures.items()},
        "counts": {"pictures": len(real.features), "feature_dimensions": real.features.shape[1]},
        "settings": settings,
        "versions": {module.__name__: module.__version__ for module in (spade_hf, torch, torchmetrics)},
    }
    table = format_table(figures)
    print(table)
    if args.json is not None:
        write_text(Path(args.json), json.dumps(report, indent=2) + "\n")
    if args.output_dir is not None:
        folder = Path(args.output_dir)
        write_text(folder / "table.md", table + "\n")
        sheet.save(folder / "sheet.png")


def format_table(figures: dict[str, Figures]) -> str:
    """Format a Markdown table: one line per figure, one column per set of pictures."""
    kinds = [kind for kind in figures if kind != "real"] + ["real"]
    lines = [f"| | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for name in figures["exact"].values:
        values = [figures[kind].values.get(name) for kind in kinds]
        lines.append(f"| {name} | {' | '.join('-' if value is None else f'{value:.4g}' for value in values)} |")
    return "\n".join(lines)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


if __name__ == "__main__":
    try:
        main(parse_args())
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {as_typed(one_line(error), options_of(build_parser()))}", file=sys.stderr)
        sys.exit(2)
