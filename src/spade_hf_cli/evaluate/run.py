"""Score a model: does it paint what the mask says, and do its pictures look like the real ones?

    python examples/evaluate_spade.py --model my-model --dataset_name FOLDER_OR_HUB_ID --split validation \
        --output_dir evaluation --json evaluation.json

    python examples/evaluate_spade.py --real --reduce 192 --dataset_name ...    # figures for reference

See docs/evaluation.md, and `--help` for all options.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
import torchmetrics
from accelerate import PartialState
from accelerate.utils import gather_object
from PIL import Image
from tqdm.auto import tqdm

import spade_hf
from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_rows
from spade_hf.data.fingerprint import fingerprint
from spade_hf.data.image_files import decode_image, without_decoding
from spade_hf.data.label_match import check_labels
from spade_hf.data.pair_reader import check_columns
from spade_hf.data.sources import find_label_set, load_label_set
from spade_hf.files import write_text
from spade_hf.images.sheets import add_headings
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
    segmenter_settings,
    train_segmenter,
)
from spade_hf.metrics.features import FeatureNetwork, import_transformers_networks
from spade_hf.metrics.model_index import load_card, update_card
from spade_hf.metrics.report import format_table
from spade_hf.metrics.scoring import KINDS
from spade_hf.metrics.segmentation import AnySegmenter
from spade_hf.models.model_hash import hash_model

from ..data import columns_of, find_labels, open_folders, open_label_set, open_rows
from ..models import check_device, find_model
from ..options import as_typed, options_of
from ..parsing import one_line
from ..processes import from_main_process, join_processes
from .options import build_parser


logger = logging.getLogger(__name__)
SHEET_ROWS = 8
FOLDERS_OF_SEGMENTER = {name: f"--segmenter_{name}" for name in ("image_folder", "mask_folder")}


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
    processor = build_processor(args) if pipeline is None else pipeline.image_processor
    if pipeline is not None:
        check_model(args, pipeline)
    dataset, groups = build_dataset(args, processor)
    network = load_feature_network(args.feature_network).to(args.device)
    segmenter, segmenter_reason = build_segmenter(args, processor, network, state)
    judge = Judge(network, segmenter, processor.label_set)

    missing = {"painted": why_not_painted(args, processor), **why_no_styles(pipeline, groups, len(dataset))}
    kinds = [kind for kind, figure in KINDS.items() if missing.get(figure) is None]
    partners = []
    if missing["style"] is None:
        scenes = list(range(len(dataset))) if groups is None else groups
        partners = choose_partners(scenes, torch.Generator().manual_seed(args.seed))
    cache = None
    if args.output_dir is not None and pipeline is not None:
        name = from_main_process(state, lambda: name_pictures(args, pipeline, dataset, partners))
        cache = PictureCache(Path(args.output_dir, name))
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
    reasons = {name: reason for name, reason in missing.items() if reason is not None}
    score_styles(figures["exact"], styled=styled, styles=styles, varied=varied, reasons=reasons)
    if segmenter is None:
        for one in figures.values():
            one.reasons.update(miou=segmenter_reason, pixel_accuracy=segmenter_reason)
    write(args, figures, missing["painted"], draw_sheet(scored), measured["real"])
    if card is not None:
        names = ("resolution", "feature_network", "segmenter", "segmenter_steps", "ignored_pixels", "seed")
        settings = {"num_images": len(dataset), **{name: getattr(args, name) for name in names}}
        data = {"dataset_name": args.dataset_name, "split": args.split, "settings": settings}
        update_card(card, figures["exact"].values, model=args.model, **data)
        logger.info("Put the figures into the model card of %s", args.model)


def check_model(args: argparse.Namespace, pipeline: SPADEPipeline) -> None:
    """Check that the model reads the masks as they are meant, and makes pictures of the resolution."""
    if args.resolution is None:
        args.resolution = list(pipeline.generator.native_size)
    pipeline.generator.check_size(*args.resolution, "--resolution")
    labels = find_labels(args)
    if labels is not None:
        check_labels(labels, pipeline.image_processor.label_set, color_tolerance=args.color_tolerance)


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


def name_pictures(
    args: argparse.Namespace, pipeline: SPADEPipeline, dataset: PairedImageDataset, partners: Sequence[int]
) -> str:
    """Name the folder of these pictures by a hash of everything that they depend on."""
    networks = [network for network in (pipeline.generator, pipeline.style_encoder) if network is not None]
    reader = dataset.reader
    columns = (reader.image_column, reader.mask_column, reader.instance_column)
    settings = {
        "version": spade_hf.__version__,
        "model": hash_model(*networks, pipeline.image_processor),
        "pairs": fingerprint(
            dataset.rows, columns, label_set=dataset.processor.label_set, color_tolerance=reader.color_tolerance
        ),
        "transform": dataclasses.asdict(reader.transform),
        "partners": list(partners),
        "seed": args.seed,
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8)
    return f"pictures-{digest.hexdigest()}"


def why_not_painted(args: argparse.Namespace, processor: SPADEImageProcessor) -> str | None:
    """Return why painted masks are not scored; `None` if they are."""
    if args.real:
        return "real pictures have exact masks only"
    if processor.config.use_instance_edges:
        if args.painted_masks:
            raise ValueError(
                "--painted_masks is for models without instance edges, which would not fit. Leave it out."
            )
        return "instance edges would not fit painted masks"
    return "--no-painted_masks" if args.painted_masks is False else None


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
    check_columns(rows.features, {name: column for name, column in columns.items() if column is not None})
    count = len(rows) if args.num_images is None else min(args.num_images, len(rows))
    rows = rows.select([number * len(rows) // count for number in range(count)])
    if args.group_column is not None and args.group_column not in rows.column_names:
        raise ValueError(
            f"--group_column is {args.group_column!r}; the data set has the columns {', '.join(rows.column_names)}. "
            "Name one of these."
        )
    if args.group_column is not None and not isinstance(
        rows.features[args.group_column], datasets.Value | datasets.ClassLabel
    ):
        raise ValueError(
            f"--group_column is {args.group_column!r}, which holds {rows.features[args.group_column]}; it must name a "
            "column of numbers or texts, one for each scene."
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
        args.resolution = size_of_mask(rows, columns["mask_column"])
    if args.reduce is not None and args.reduce >= min(args.resolution):
        raise ValueError(
            f"--reduce is {args.reduce}; the pictures are {args.resolution[0]}x{args.resolution[1]} (height x width). "
            "It must be smaller than their shorter side."
        )
    transform = PairedTransform(
        resolution=(args.resolution[0], args.resolution[1]),
        resize_ratio=1.0,
        center_crop=True,
        random_flip=random_flip,
    )
    reader = PairReader(
        **columns,
        processor=processor,
        transform=transform,
        color_tolerance=args.color_tolerance,
    )
    return PairedImageDataset(rows, reader, seed=args.seed)


def size_of_mask(rows: datasets.Dataset, column: str) -> list[int]:
    """Return height and width of the first mask."""
    rows, types = without_decoding(rows.select_columns([column]), [column])
    try:
        mask = decode_image(rows[0][column], types[column], column)
    except ValueError as error:
        raise ValueError(f"Row 0 of the data set: {error}") from error
    return [mask.height, mask.width]


def build_segmenter(
    args: argparse.Namespace, processor: SPADEImageProcessor, network: FeatureNetwork, state: PartialState
) -> tuple["AnySegmenter | None", str]:
    """Return the segmenter, or `None` and the reason. All processes call this together."""
    if args.segmenter == "none":
        return None, "--segmenter none"
    label_set = processor.label_set
    if args.segmenter != "train" and not args.segmenter.endswith(".safetensors"):
        names = None if args.segmenter_labels is None else read_names(Path(args.segmenter_labels))
        module = import_transformers_networks("segmenter")
        return module.TransformersSegmenter(args.segmenter, label_set, names).to(args.device), ""
    if args.segmenter != "train":
        segmenter = load_segmenter(Path(args.segmenter), network, label_set, color_tolerance=args.color_tolerance)
        return segmenter.to(args.device), ""
    dataset = segmenter_pairs(args, label_set)
    if isinstance(dataset, str):
        return None, dataset
    options = {"num_steps": args.segmenter_steps, "seed": args.seed}
    if args.output_dir is None:
        return train_segmenter(network, dataset, device=args.device, **options), ""
    settings = from_main_process(state, lambda: segmenter_settings(network, dataset, **options))
    with state.main_process_first():  # it saves the trained segmenter, and the others load it
        folder = Path(args.output_dir)
        segmenter = obtain_segmenter(network, dataset, cache_dir=folder, settings=settings, device=args.device)
    return segmenter, ""


def segmenter_pairs(args: argparse.Namespace, label_set: LabelSet) -> PairedImageDataset | str:
    """Open the pairs to train a segmenter on, mirrored at random; return the reason if there are none."""
    plain = SPADEImageProcessor(label_set=label_set)  # reads no instance maps
    columns = {"image_column": args.image_column, "mask_column": args.mask_column, "instance_column": None}
    split = args.segmenter_split or "train"
    if args.segmenter_image_folder is not None:
        rows = open_folders(args, "segmenter_")
        if args.segmenter_panoptic_json is not None:
            labels = load_label_set(args.segmenter_panoptic_json, mask_folder=args.segmenter_mask_folder)
        else:
            labels = find_label_set(mask_folder=args.segmenter_mask_folder)
    elif args.segmenter_dataset is not None or args.dataset_name is not None:
        name = args.segmenter_dataset or args.dataset_name
        config_name = args.dataset_config_name if name == args.dataset_name else None
        try:
            image_columns = (args.image_column, args.mask_column)
            rows: Any = load_rows(name, config_name=config_name, split=split, image_columns=image_columns)
        except ValueError as error:
            if args.segmenter_dataset is not None or args.segmenter_split is not None:
                raise
            return f"{one_line(error)} Name other pairs to train a segmenter on: `segmenter_dataset`"
        labels = find_label_set(dataset_name=name) if name != args.dataset_name else None  # those were compared before
    else:
        return (
            "there are no pairs to train a segmenter on. Name them: `segmenter_image_folder` and "
            "`segmenter_mask_folder`, or `segmenter_dataset`"
        )
    if labels is not None and args.label_set is None:
        check_labels(labels, label_set, color_tolerance=args.color_tolerance)
    try:
        return pairs(args, plain, rows, columns, random_flip=True)
    except ValueError as error:  # the folders to name are those of the segmenter
        raise ValueError(as_typed(str(error), FOLDERS_OF_SEGMENTER)) from error


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
    without_painted: str | None,
    sheet: Image.Image,
    real: Measurements,
) -> None:
    """Print the table; write the JSON file, and the table and the sheet in the output folder."""
    settings = {name: value for name, value in vars(args).items() if name not in ("json", "output_dir")}
    reasons: dict[str, Any] = {kind: one.reasons for kind, one in figures.items()}
    if without_painted is not None:
        reasons["painted"] = without_painted
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
    table = as_typed(format_table(figures, without_painted), options_of(build_parser()))
    print(table)
    if args.json is not None:
        write_text(Path(args.json), json.dumps(report, indent=2) + "\n")
    if args.output_dir is not None:
        folder = Path(args.output_dir)
        write_text(folder / "table.md", table + "\n")
        sheet.save(folder / "sheet.png")


def draw_sheet(scored: Sequence[ScoredBatch]) -> Image.Image:
    """Draw the shown rows of all batches below each other, with headings."""
    rows = torch.cat([row for batch in scored for row in batch.rows], dim=-2)  # (3, rows * H, columns * W)
    return add_headings(Image.fromarray(rows.movedim(0, -1).numpy()), scored[0].headings)
