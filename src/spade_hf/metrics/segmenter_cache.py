"""Trained segmenters on disk, named by a hash of their training data and settings."""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..data import PairedImageDataset
from ..data.class_masks import CLASS_MASKS_COLUMN
from ..data.image_files import stored_bytes
from ..data.listing import read_file
from ..data.panoptic import SEGMENTS_COLUMN
from ..labels.label_set import LabelSet
from .features import FeatureNetwork
from .segmentation import BATCH_SIZE, BRIGHTNESS, LEARNING_RATE, TINT, WEIGHT_DECAY, WIDTH, Segmenter, train_segmenter


logger = logging.getLogger(__name__)


def obtain_segmenter(
    network: FeatureNetwork,
    dataset: PairedImageDataset,
    *,
    network_name: str,
    num_steps: int,
    seed: int,
    cache_dir: Path | None,
    device: torch.device | str = "cpu",
) -> Segmenter:
    """Load the segmenter that was trained on these pictures with these settings, or train and save it.

    Args:
        network (`nn.Module`): Feature network, called `network_name`.
        dataset (`PairedImageDataset`): Real pictures and their masks.
        num_steps, seed, device: See [`train_segmenter`].
        cache_dir (`Path`, *optional*): Folder of `segmenter-*.safetensors` files. `None`: nothing is saved.

    Raises:
        ValueError: If the cached file is broken.
    """
    settings = {
        "feature_network": network_name,
        "labels": list(dataset.processor.label_set.names),
        "resolution": list(dataset.reader.transform.resolution),
        "num_steps": num_steps,
        "seed": seed,
        "training": [WIDTH, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, BRIGHTNESS, TINT],
    }
    if cache_dir is None:
        return train_segmenter(network, dataset, num_steps=num_steps, seed=seed, device=device)
    settings["pairs"] = fingerprint(dataset)
    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()
    file = cache_dir / f"segmenter-{key}.safetensors"
    if not file.exists():
        segmenter = train_segmenter(network, dataset, num_steps=num_steps, seed=seed, device=device)
        save_segmenter(segmenter, file, settings)
        logger.info("Saved the segmenter to %s", file)
    return load_segmenter(file, network, dataset.processor.label_set, network_name=network_name).to(device)


def fingerprint(dataset: PairedImageDataset) -> str:
    """Hash the files of all images and masks, in order."""
    digest = hashlib.blake2b(digest_size=16)
    reader = dataset.reader
    columns = [reader.image_column, reader.mask_column, reader.instance_column]
    row: Any
    for row in dataset.rows:
        for column in filter(None, columns):
            content = b"" if row[column] is None else stored_bytes(row[column], reader.image_types[column])
            digest.update(hashlib.blake2b(content, digest_size=16).digest())
        for mask in row.get(CLASS_MASKS_COLUMN) or ():
            digest.update(repr(mask["label_id"]).encode() + hashlib.blake2b(read_file(mask["path"])).digest())
        if SEGMENTS_COLUMN in row:
            digest.update(repr(row[SEGMENTS_COLUMN]).encode())
    return digest.hexdigest()


def save_segmenter(segmenter: Segmenter, file: Path, settings: dict[str, Any]) -> None:
    """Write the weights, with the settings as metadata; an existing file is always complete."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    state = {name: weight.cpu().contiguous() for name, weight in segmenter.state_dict().items()}
    save_file(state, unfinished, metadata={"settings": json.dumps(settings)})
    os.replace(unfinished, file)


def load_segmenter(file: Path, network: FeatureNetwork, label_set: LabelSet, *, network_name: str) -> Segmenter:
    """Read a segmenter that [`obtain_segmenter`] saved.

    Raises:
        ValueError: If it can't be read, or belongs to other labels or another feature network.
    """
    remedy = "Delete it to train again, or name another file."
    try:
        with safe_open(file, framework="pt") as content:
            settings = json.loads(content.metadata()["settings"])
            state = {name: content.get_tensor(name) for name in content.keys()}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"`{file}` can't be read as a segmenter: {error}. {remedy}") from error
    for name, ours in (("labels", list(label_set.names)), ("feature_network", network_name)):
        if settings.get(name) != ours:
            raise ValueError(f"`{file}` is a segmenter for the {name} {settings.get(name)}; here: {ours}. {remedy}")
    segmenter = Segmenter(network.feature_channels(), label_set)
    try:
        segmenter.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"`{file}` can't be read as a segmenter: its weights do not fit. {remedy}") from error
    return segmenter.eval().requires_grad_(False)
