"""`spade-hf edit`: make a new mask from one or two."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from spade_hf import BUNDLED_MODEL
from spade_hf.images.processor import SPADEImageProcessor
from spade_hf.images.resize import resize_labels
from spade_hf.labels.editing import connected_components, paste_region, replace_labels
from spade_hf.labels.label_set import LabelSet
from spade_hf.pipelines import SPADEPipeline
from spade_hf.project import install_command

from ..label_sets import read_label_set
from ..models import OUTLINE_STEPS, check_inputs, find_model
from ..outputs import check_file, save_image


MAX_ID = 2**16 - 1  # of a PNG file of 16 bits


def run(args: argparse.Namespace) -> None:
    """Paste, replace, resize and simplify, in this order; print the path of each file."""
    inputs = (args.mask, args.paste)
    check_inputs(mask=args.mask, paste=args.paste)
    for path, option in ((args.output, "--output"), (args.instances, "--instances")):
        if path is not None:
            check_file(path, option=option, suffixes=(".png",), inputs=inputs, overwrite=args.overwrite)
    if args.paste is not None and args.region is None:
        raise ValueError("--paste names a mask, and --region the label to copy from it: give both.")
    if args.painted is not None or args.instances is not None:
        _check_extra(args)
    pipeline = None if args.natural is None else SPADEPipeline.from_pretrained(find_model(args.model))
    if args.label_set is None and pipeline is not None:
        label_set = pipeline.image_processor.label_set
    else:
        label_set = read_label_set(args.label_set or BUNDLED_MODEL)
    # what is not painted can be filled
    processor = SPADEImageProcessor(label_set=label_set if args.natural is None else label_set.with_unknown())
    label_map = processor.read_ids(args.mask)[0]
    if args.paste is not None:
        source = processor.read_ids(args.paste)[0]
        region = source == _id(label_set, args.region, "--region")
        if not region.any():
            raise ValueError(f"--region is {args.region}, which {args.paste} does not have.")
        down, right = args.shift or (0, 0)
        label_map, _ = paste_region(label_map, source, region, shift=(down, right))
    label_map = replace_labels(label_map, _changes(label_set, args.replace))
    if args.size is not None:
        label_map = resize_labels(label_map, tuple(args.size))
    if args.painted is not None:
        label_map = _simplified(label_map, label_set, args.painted)
    if pipeline is not None:
        label_map = _natural(label_map, label_set, pipeline, args)
    maps = [(label_map, args.output, "--output")]
    if args.instances is not None:
        maps.append((connected_components(label_map), args.instances, "--instances"))
    for ids, _, option in maps:  # before anything is written
        if ids.max() > MAX_ID:
            raise ValueError(
                f"{option} has {ids.max() + 1} ids, and a PNG file holds {MAX_ID + 1} at most. Give a smaller --size."
            )
    for ids, path, _ in maps:
        _save(ids, path)


def _check_extra(args: argparse.Namespace) -> None:
    """Raise an ImportError that names the extra if a package for --painted or --instances is missing."""
    try:
        if args.painted is not None:
            from spade_hf.data import simplification  # noqa: F401
        if args.instances is not None:
            import skimage.measure  # noqa: F401
    except ModuleNotFoundError as error:
        option = "--painted" if args.painted is not None else "--instances"
        raise ImportError(f"{option} needs the package {error.name}: {install_command('train')}") from error


def _id(label_set: LabelSet, name: str, option: str) -> int:
    """Return the id of a label that was given by name or id; errors name the option."""
    if name.isdigit() and int(name) in label_set.ids:
        return int(name)
    try:
        return label_set.id_of(name)
    except ValueError as error:
        raise ValueError(str(error).replace("`name`", option, 1)) from error


def _changes(label_set: LabelSet, changes: Sequence[str]) -> dict[int, int]:
    """Read `old=new` of --replace: old id -> new id."""
    new_ids: dict[int, int] = {}
    for change in changes:
        old, found, new = change.partition("=")
        if not found:
            raise ValueError(f"--replace has {change!r}; write old=new, such as grass=snow.")
        old_id, new_id = (_id(label_set, name, "--replace") for name in (old, new))
        if old_id in new_ids:
            raise ValueError(f"--replace gives {old} twice. Leave one of them out.")
        new_ids[old_id] = new_id
    return new_ids


def _simplified(label_map: np.ndarray, label_set: LabelSet, seed: int) -> np.ndarray:
    from spade_hf.data.simplification import simplify_label_map  # needs the extra `train`

    channels = torch.from_numpy(label_set.ids_to_channels(label_map))
    rng = torch.Generator().manual_seed(seed)
    return label_set.channels_to_ids(simplify_label_map(channels, label_set.num_channels, rng).numpy())


def _natural(
    label_map: np.ndarray, label_set: LabelSet, pipeline: SPADEPipeline, args: argparse.Namespace
) -> np.ndarray:
    labels = pipeline.image_processor.label_set
    if label_set.id2label != labels.id2label:
        raise ValueError(
            f"--label-set '{label_set.name}' has other labels than the model of --natural, '{labels.name}'. Leave it "
            "out, or give another --model."
        )
    height, width = args.size or (None, None)
    rng = torch.Generator().manual_seed(args.seed or 0)
    steps = args.outline_steps or OUTLINE_STEPS
    (image,) = pipeline.refine_mask(label_map, args.natural, steps, rng, height=height, width=width)
    return np.array(image).astype(np.int64)


def _save(ids: np.ndarray, path: Path) -> None:
    save_image(Image.fromarray(ids.astype(np.uint8 if ids.max() < 256 else np.uint16)), path)
    print(path)
