"""`spade-hf edit`: make a new mask from one or two."""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..images.processor import SPADEImageProcessor
from ..images.resize import resize_labels
from ..labels.editing import connected_components, paste_region, replace_labels
from ..labels.label_set import LabelSet
from .inputs import find_model, read_label_set
from .outputs import check_file


def run(args: argparse.Namespace) -> None:
    """Paste, replace, resize and repaint, in this order; print the path of each file."""
    inputs = (args.mask, args.paste)
    for path, option in ((args.output, "--output"), (args.instances, "--instances")):
        if path is not None:
            check_file(path, option=option, suffixes=(".png",), inputs=inputs, overwrite=args.overwrite)
    if (args.paste is None) != (args.region is None):
        raise ValueError("--paste names a mask, and --region the label to copy from it: give both.")
    label_set = read_label_set(args.label_set or find_model(None))
    processor = SPADEImageProcessor(label_set=label_set)
    label_map = _read(processor, args.mask)
    if args.paste is not None:
        source = _read(processor, args.paste)
        region = source == _id(label_set, args.region)
        if not region.any():
            raise ValueError(f"--region is {args.region}, which {args.paste} does not have.")
        label_map, _ = paste_region(label_map, source, region, shift=tuple(args.shift))
    label_map = replace_labels(label_map, dict(_change(label_set, change) for change in args.replace))
    if args.size is not None:
        label_map = resize_labels(label_map, tuple(args.size))
    if args.painted is not None:
        label_map = _painted(label_map, label_set, args.painted)
    _save(label_map, args.output)
    if args.instances is not None:
        _save(connected_components(label_map), args.instances)


def _read(processor: SPADEImageProcessor, mask: str) -> np.ndarray:
    channels = processor.preprocess_mask(mask)[0].numpy()
    return processor.label_set.channels_to_ids(channels)


def _id(label_set: LabelSet, name: str) -> int:
    """Return the id of a label that was given by name or id."""
    if name.isdigit() and int(name) in label_set.ids:
        return int(name)
    return label_set.id_of(name)


def _change(label_set: LabelSet, change: str) -> tuple[int, int]:
    old, found, new = change.partition("=")
    if not found:
        raise ValueError(f"--replace has {change!r}; write old=new, such as grass=snow.")
    return _id(label_set, old), _id(label_set, new)


def _painted(label_map: np.ndarray, label_set: LabelSet, seed: int) -> np.ndarray:
    from ..data.painting import paint_label_map  # needs the extra `train`

    channels = torch.from_numpy(label_set.ids_to_channels(label_map))
    rng = torch.Generator().manual_seed(seed)
    return label_set.channels_to_ids(paint_label_map(channels, label_set.num_channels, rng).numpy())


def _save(ids: Any, path: Path) -> None:
    fits = ids.max() < 256
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    Image.fromarray(ids.astype(np.uint8 if fits else np.uint16)).save(unfinished, format="PNG")
    os.replace(unfinished, path)
    print(path)
