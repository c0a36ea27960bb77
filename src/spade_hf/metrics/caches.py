"""What evaluations keep on disk: trained segmenters, and the images of a model.

A segmenter's file is named by a hash of everything that it depends on. With its images, a stopped evaluation goes on,
and another judge scores the same ones.

Legend: N images, I image channels, H W height and width.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..data import PairedImageDataset
from ..data.fingerprint import Fingerprint, describe_labels, fingerprint, first_difference
from ..files import atomic
from ..labels.label_set import LabelSet
from ..models.model_hash import hash_weights
from .features import FeatureNetwork
from .segmentation import BATCH_SIZE, BRIGHTNESS, LEARNING_RATE, TINT, WEIGHT_DECAY, WIDTH, Segmenter, train_segmenter


logger = logging.getLogger(__name__)


def segmenter_settings(
    network: FeatureNetwork, dataset: PairedImageDataset, *, num_steps: int, seed: int
) -> dict[str, Any]:
    """Collect everything that a trained segmenter depends on, as JSON values. It reads all images and masks.

    Args:
        network, dataset, num_steps, seed: See [`train_segmenter`].
    """
    reader = dataset.reader
    return {
        "feature_weights": hash_weights(network),
        "data": fingerprint(
            dataset.rows,
            (reader.image_column, reader.mask_column),
            label_set=dataset.processor.label_set,
            color_tolerance=reader.color_tolerance,
            ids_in_red=getattr(reader, "ids_in_red", False),
        ),
        "transform": {**dataclasses.asdict(reader.transform), "resolution": list(reader.transform.resolution)},
        "num_steps": num_steps,
        "seed": seed,
        "training": [WIDTH, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, BRIGHTNESS, TINT],
    }


def obtain_segmenter(
    network: FeatureNetwork,
    dataset: PairedImageDataset,
    *,
    cache_dir: Path,
    settings: Mapping[str, Any],
    device: torch.device | str = "cpu",
) -> Segmenter:
    """Load the segmenter that was trained with these settings, or train and save it.

    Args:
        network (`nn.Module`): Feature network.
        dataset (`PairedImageDataset`): Real images and their masks.
        cache_dir (`Path`): Folder of `segmenter-*.safetensors` files.
        settings (`Mapping[str, Any]`): See [`segmenter_settings`].
        device (defaults to "cpu"): Where the network is.

    Raises:
        ValueError: If the cached file is broken.
    """
    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()
    file = cache_dir / f"segmenter-{key}.safetensors"
    if not file.exists():
        if any(cache_dir.glob("segmenter-*.safetensors")):
            logger.info("The segmenters in %s are of other data or settings: training one", cache_dir)
        num_steps, seed = settings["num_steps"], settings["seed"]
        segmenter = train_segmenter(network, dataset, num_steps=num_steps, seed=seed, device=device)
        save_segmenter(segmenter, file, settings)
        logger.info("Saved the segmenter to %s", file)
    tolerance = dataset.reader.color_tolerance
    return load_segmenter(file, network, dataset.processor.label_set, color_tolerance=tolerance).to(device)


def save_segmenter(segmenter: Segmenter, file: Path, settings: Mapping[str, Any]) -> None:
    """Write the weights, with the settings as metadata; an existing file is always complete."""
    state = {name: weight.cpu().contiguous() for name, weight in segmenter.state_dict().items()}
    with atomic(file) as unfinished:
        save_file(state, unfinished, metadata={"settings": json.dumps(settings)})


def load_segmenter(
    file: Path, network: FeatureNetwork, label_set: LabelSet, *, color_tolerance: float | None = None
) -> Segmenter:
    """Read a segmenter that [`obtain_segmenter`] saved.

    Args:
        file (`Path`): The file.
        network (`nn.Module`): The feature network that it was trained on.
        label_set (`LabelSet`): Labels of the masks to compare with.
        color_tolerance (`float`, *optional*): How masks in colors are read; see [`LabelSet.ids_from_colors`].

    Raises:
        ValueError: If it can't be read, or was trained with masks of other labels, colors or tolerance, or on another
            feature network.
    """
    remedy = "Delete it to train again, or name another file."
    try:
        with safe_open(file, framework="pt") as content:
            settings = json.loads(content.metadata()["settings"])
            state = {name: content.get_tensor(name) for name in content.keys()}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"`{file}` can't be read as a segmenter: {error}. {remedy}") from error
    data: Fingerprint | None = settings.get("data")
    if data is None:
        raise ValueError(
            f"`{file}` was saved by an older version, without the labels' ids and colors, so it may belong to other "
            f"masks. {remedy}"
        )
    if difference := first_difference(data, {**data, **describe_labels(label_set, color_tolerance)}):
        raise ValueError(f"`{file}` is a segmenter for other masks: {difference}. {remedy}")
    if settings["feature_weights"] != hash_weights(network):
        raise ValueError(f"`{file}` is a segmenter for another feature network. {remedy}")
    segmenter = Segmenter(network.feature_channels(), label_set)
    try:
        segmenter.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"`{file}` can't be read as a segmenter: its weights do not fit. {remedy}") from error
    return segmenter.eval().requires_grad_(False)


@dataclass(frozen=True)
class ImageCache:
    """A folder of PNG files: `<kind>/<row>.png`, row with five digits; `.npy` if images are neither gray nor RGB.

    Args:
        folder (`Path`): Need not exist.
        image_channels (`int`, defaults to 3): I.
    """

    folder: Path
    image_channels: int = 3

    def obtain(self, kind: str, rows: range, size: tuple[int, int], make: Callable[[], Tensor]) -> Tensor:
        """Read the images of rows, uint8 `(N, I, H, W)`; if one is missing, make all of them and save them.

        Args:
            kind (`str`): Kind of images, which names the subfolder.
            rows (`range`): Rows of the data set.
            size (`tuple[int, int]`): H and W.
            make (`Callable`): Makes the images of all rows.

        Raises:
            ValueError: If a file is not an image of that size.
        """
        suffix = "png" if self.image_channels in (1, 3) else "npy"
        files = [self.folder / kind / f"{row:05}.{suffix}" for row in rows]
        if all(file.is_file() for file in files):
            return torch.stack([read_image(file, size, self.image_channels) for file in files])
        images = make()
        for file, image in zip(files, images, strict=True):
            write_image(image, file)
        return images


def read_image(file: Path, size: tuple[int, int], image_channels: int = 3) -> Tensor:
    """Read a file of [`write_image`] as uint8 `(I, H, W)`."""
    try:
        if file.suffix == ".npy":
            image = torch.from_numpy(np.load(file))  # (I, H, W)
        else:
            with Image.open(file) as stored:
                pixels = np.array(stored.convert("L" if image_channels == 1 else "RGB"))
            image = torch.from_numpy(np.atleast_3d(pixels)).movedim(-1, 0)  # (H, W) or (H, W, 3) to (I, H, W)
        if image.shape[1:] != size:
            raise ValueError(f"it is {image.shape[2]}x{image.shape[1]}, not {size[1]}x{size[0]} (width x height)")
    except (OSError, SyntaxError, ValueError) as error:  # PIL has no specific error for a truncated PNG
        raise ValueError(f"{file} can't be read: {error}. Delete it, and give the same command again.") from error
    return image


def write_image(image: Tensor, file: Path) -> None:
    """Write uint8 `(I, H, W)` as a PNG file, or as `.npy`, whole or not at all."""
    pixels = image.cpu().numpy()
    with atomic(file) as unfinished:
        if file.suffix == ".npy":
            with open(unfinished, "wb") as stream:  # a name without suffix would get one
                np.save(stream, pixels)
            return
        # (3, H, W) to (H, W, 3), or (1, H, W) to (H, W)
        Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)).save(unfinished, format="PNG")
