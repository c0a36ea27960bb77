"""`spade-hf segment`: make masks of photographs, in files of their names."""

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from diffusers.utils.logging import disable_progress_bar
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

from spade_hf import SPADEImageProcessor
from spade_hf.files import atomic, remove_leftovers
from spade_hf.labels.class_tables import load_class_table
from spade_hf.labels.label_set import LabelSet
from spade_hf.models.model_hash import hash_weights
from spade_hf.pipelines import SPADEPipeline
from spade_hf.pipelines.segmentation import (
    LOW_CONFIDENCE,
    check_segmenter,
    check_segmenter_labels,
    read_photos,
    segment_photo,
)
from spade_hf.project import install_command

from ..label_sets import read_label_set
from ..models import check_device, find_model, is_own_segmenter, load_segmenter
from ..options import as_typed
from .mask_sources import MaskSource, find_masks


DEFAULT_SPLIT, DEFAULT_COLUMN = "train", "image"
KEY = "spade_hf segmenter"  # of the text in a mask's file that tells which segmenter made it


class Reader(NamedTuple):
    """A segmenter, and what its numbers mean.

    Args:
        network: Has `probabilities`.
        image_size (`int`): The side of the square images that it reads best.
        label_set (`LabelSet`): The labels.
        ids (`np.ndarray`): The id of each of its numbers, int64 `(L,)`.
    """

    network: Any
    image_size: int
    label_set: LabelSet
    ids: np.ndarray


def run(args: argparse.Namespace) -> int:
    """Write a mask per photograph, and print its file; masks that are there are kept.

    Returns:
        `int`: 1 if a photograph could not be read, else 0; the others' masks are written.
    """
    photos = _photos(args)
    disable_progress_bar()
    files = {photo.stem: args.output_dir / f"{photo.stem}.png" for photo in photos}
    _refuse_own_inputs([photo.name for photo in photos], list(files.values()), args.output_dir)
    if args.output_dir.exists() and not args.output_dir.is_dir():
        raise ValueError(f"--output-dir is {args.output_dir}, which is a file. Give a folder.")
    if args.device is not None:
        check_device(args.device)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    reader = load_reader(args)
    reader.network.to(device).eval()
    maker = _maker(reader)
    waiting = [photo for photo in photos if args.overwrite or not files[photo.stem].exists()]
    if not args.overwrite:
        _refuse_others([file for file in files.values() if file.exists()], maker, args.output_dir)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    remove_leftovers(args.output_dir)
    if skipped := len(photos) - len(waiting):
        print(f"{skipped} of {len(photos)} photographs have their masks; --overwrite replaces them.", file=sys.stderr)
    failed: list[str] = []
    start = time.perf_counter()
    with tqdm(total=len(waiting), unit=" photographs", disable=None) as bar:
        for photo in waiting:
            try:
                unsure = segment(reader, photo, files[photo.stem], maker=maker, device=device)
            except (ValueError, OSError) as error:
                failed.append(f"{photo.name}: {as_typed(' '.join(str(error).split()), args.options)}")
            else:
                print(files[photo.stem])
                if unsure is not None:
                    tqdm.write(f"unsure: {photo.name}: {unsure}", file=sys.stderr)
            bar.update()
    if waiting:
        seconds = time.perf_counter() - start
        print(f"{len(waiting) - len(failed)} masks in {seconds:.1f} s.", file=sys.stderr)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return int(bool(failed))


def _maker(reader: Reader) -> str:
    """Identify a segmenter and its labels, as masks' files name them."""
    meaning = [reader.ids.tolist(), reader.label_set.names, getattr(reader.network, "classes", None)]
    text = f"{hash_weights(reader.network)} {meaning}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def segment(reader: Reader, photo: MaskSource, file: Path, *, maker: str, device: str) -> str | None:
    """Write the mask of a photograph; return a remark if the segmenter is unsure of it.

    Raises:
        ValueError: If it cannot be read.
        OSError: If the mask cannot be written.
    """
    assert photo.read is not None
    (pixels,) = read_photos(photo.read())  # (3, H, W)
    segmentation = segment_photo(reader.network, pixels, image_size=reader.image_size, device=device)
    ids = reader.ids[segmentation.numbers.numpy()]  # (H, W)
    save_mask(ids, file, reader.label_set, maker=maker)
    if segmentation.confidence >= LOW_CONFIDENCE:
        return None
    return (
        f"the pixels' labels have a mean probability of {segmentation.confidence:.2f}. It may show what no label "
        "means; look at the mask."
    )


def save_mask(ids: np.ndarray, file: Path, label_set: LabelSet, *, maker: str) -> None:
    """Write ids `(H, W)` as a PNG file, with the labels' colors as its palette if all ids are below 256."""
    if max(label_set.ids) <= 255:
        image = PIL.Image.fromarray(ids.astype(np.uint8)).convert("P")
        palette = np.zeros((256, 3), dtype=np.uint8)
        palette[list(label_set.ids)] = label_set.palette
        image.putpalette(palette.tobytes())
    else:
        image = PIL.Image.fromarray(ids.astype(np.uint16))
    text = PngInfo()
    text.add_text(KEY, maker)
    with atomic(file) as unfinished:
        image.save(unfinished, format="PNG", pnginfo=text)


def load_reader(args: argparse.Namespace) -> Reader:
    """Load the segmenter that the options name, with the labels of the model or of `--label-set`."""
    if args.segmenter is None:
        pipeline = SPADEPipeline.from_pretrained(find_model(args.model))
        label_set = pipeline.image_processor.label_set_or_none
        if pipeline.segmenter is None:
            raise ValueError("This model has no segmenter. Give one as --segmenter; docs/segmenter.md trains one.")
        check_segmenter(pipeline.segmenter, label_set)
        return _own(pipeline.segmenter, label_set)
    label_set = _label_set(args)
    if is_own_segmenter(args.segmenter):
        network = load_segmenter(args.segmenter, given_as="--segmenter", dtype=torch.float32)
        if args.segmenter_labels is not None:
            raise ValueError("--segmenter-labels is for segmenters of transformers. Leave it out.")
        check_segmenter_labels(network, label_set)
        return _own(network, label_set)
    from spade_hf.models.transformers_segmenter import TransformersSegmenter

    given = args.segmenter_labels
    table = None if given is None else load_class_table(given, given_as="--segmenter-labels")
    foreign = TransformersSegmenter(args.segmenter, label_set, table)
    return Reader(foreign, foreign.image_size, label_set, np.array(label_set.ids, dtype=np.int64))


def _own(network: Any, label_set: Any) -> Reader:
    return Reader(network.float(), network.config.image_size, label_set, label_set.class_ids)


def _label_set(args: argparse.Namespace) -> LabelSet:
    """Return the labels of `--label-set`, or of the model."""
    if args.label_set is not None:
        return read_label_set(args.label_set)
    processor: Any = SPADEImageProcessor.from_pretrained(find_model(args.model), subfolder="image_processor")
    return processor.label_set


def _photos(args: argparse.Namespace) -> list[MaskSource]:
    """Find the photographs: files and those in folders, or rows of a data set."""
    if (args.dataset_name is None) == (not args.photos):
        raise ValueError("Give photographs or folders of them, or --dataset-name. Write photographs first.")
    if args.dataset_name is None:
        return find_masks(args.photos)
    try:
        from spade_hf.data import load_rows
        from spade_hf.data.image_files import decode_photo
        from spade_hf.data.rows import select_images
    except ModuleNotFoundError as error:
        raise ImportError(f"--dataset-name needs {error.name}: {install_command('train')}") from error
    column = args.image_column or DEFAULT_COLUMN
    stored: Any = load_rows(args.dataset_name, split=args.split or DEFAULT_SPLIT, image_columns=[column])
    rows, types = select_images(stored, {"image_column": column})

    def read(number: int) -> Any:
        return decode_photo(rows[number][column], types[column], column, 3)

    digits = len(str(len(rows) - 1))
    return [
        MaskSource(f"row {number} of {args.dataset_name}", f"{number:0{digits}d}", partial(read, number))
        for number in range(len(rows))
    ]


def _refuse_others(files: Sequence[Path], maker: str, folder: Path) -> None:
    """Raise a ValueError if one of these files is not a mask of this segmenter, which could be kept."""
    others = [file.name for file in files if _maker_of(file) != maker]
    if others:
        raise ValueError(
            f"--output-dir is {folder}, which has {len(others)} of these masks that another segmenter or program "
            f"made, such as {others[0]}. Give another folder, or --overwrite."
        )


def _maker_of(file: Path) -> str | None:
    """Return which segmenter made a mask, if it is a whole file of this command."""
    try:
        with PIL.Image.open(file, formats=["PNG"]) as image:
            image.load()
            return image.info.get(KEY)
    except Exception:  # a broken file makes Pillow raise many kinds of errors
        return None


def _refuse_own_inputs(inputs: Sequence[str], files: Sequence[Path], folder: Path) -> None:
    """Raise a ValueError if a mask would overwrite a photograph."""
    outputs = {file.resolve() for file in files if file.exists()}
    if own := [name for name in inputs if Path(name).exists() and Path(name).resolve() in outputs]:
        raise ValueError(f"--output-dir is {folder}, where a mask would replace {own[0]}. Give another folder.")
