"""Small data sets and networks for the tests of training."""

import io
import json
from pathlib import Path

import datasets
import numpy as np
import PIL.Image
import torch

from spade_hf import LabelSet, MultiscaleDiscriminator, SPADEGenerator, SPADEImageProcessor, SPADEStyleEncoder
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader
from spade_hf.labels.label_set import Label


LABELS = LabelSet(
    name="toy",
    labels=(Label(0, "sky", (70, 130, 180)), Label(1, "grass", (0, 128, 0)), Label(4, "rock", (128, 64, 0))),
    unknown_id=255,
)


def ids(index: int, size: tuple[int, int] = (40, 48)) -> np.ndarray:
    """uint8 `(H, W)`: bands of every id, at heights that depend on the index."""
    rows = (np.arange(size[0]) + 3 * index) * 4 // size[0] % 4
    return np.array(LABELS.ids, dtype=np.uint8)[rows][:, None].repeat(size[1], axis=1)


def real_image(index: int, size: tuple[int, int] = (40, 48)) -> PIL.Image.Image:
    pixels = np.random.default_rng(index).integers(0, 256, (*size, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


def mask(index: int, size: tuple[int, int] = (40, 48), mode: str = "L") -> PIL.Image.Image:
    """The ids as an `L` or `P` image, or their colors as an `RGB` one."""
    if mode == "RGB":
        return PIL.Image.fromarray(LABELS.colorize(ids(index, size)))
    image = PIL.Image.fromarray(ids(index, size))
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)  # colors that say nothing: the indices are the ids
    return image


def png(image: PIL.Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def make_rows(count: int = 6, size: tuple[int, int] = (40, 48), mode: str = "L", **columns: list) -> datasets.Dataset:
    """Columns `image`, `label` and `file_name`, and those given: lists of images, of bytes or of dictionaries."""
    values = {
        "image": [real_image(index, size) for index in range(count)],
        "label": [mask(index, size, mode) for index in range(count)],
        **columns,
    }
    values = {
        name: [{"bytes": png(v), "path": None} if isinstance(v, PIL.Image.Image) else v for v in column]
        for name, column in values.items()
    }
    features = datasets.Features({name: datasets.Image() for name in values} | {"file_name": datasets.Value("string")})
    return datasets.Dataset.from_dict(values | {"file_name": [f"{i}.jpg" for i in range(count)]}, features=features)


def make_dataset(rows: datasets.Dataset | None = None, **options) -> PairedImageDataset:
    """A data set of 32x32 crops; `transform`, `seed`, `skip_broken` and column names can be given."""
    rows = make_rows() if rows is None else rows
    return PairedImageDataset(
        rows, make_reader(**options), seed=options.get("seed", 0), skip_broken=options.get("skip_broken", False)
    )


def make_reader(**options) -> PairReader:
    """For 32x32 crops of `make_rows`; see `make_dataset`."""
    instance_column = options.get("instance_column")
    return PairReader(
        image_column=options.get("image_column", "image"),
        mask_column=options.get("mask_column", "label"),
        instance_column=instance_column,
        processor=SPADEImageProcessor(
            label_set=LABELS, use_instance_edges=options.get("use_instance_edges", instance_column is not None)
        ),
        transform=options.get("transform", PairedTransform(resolution=(32, 32))),
        color_tolerance=options.get("color_tolerance"),
    )


def make_networks(seed: int = 0, norm_type: str = "sync_batch") -> dict[str, torch.nn.Module]:
    """Tiny `generator`, `style_encoder` and `discriminator` for `LABELS`."""
    torch.manual_seed(seed)
    labels = {"num_labels": LABELS.num_labels, "use_unknown_label": True}
    return {
        "generator": SPADEGenerator(
            **labels,
            image_size=(32, 64) if norm_type == "instance" else 32,
            base_channels=4,
            channel_mult=(2, 2, 2, 2, 1, 1, 1),
            latent_dim=4,
            spade_hidden_channels=4,
            norm_type=norm_type,
        ),
        "style_encoder": SPADEStyleEncoder(image_size=32, base_channels=4, channel_mult=(1, 1, 1), latent_dim=4),
        "discriminator": MultiscaleDiscriminator(**labels, base_channels=4, num_layers=2),
    }


def write_imagefolder(folder: Path, count: int = 6, mode: str = "RGB", size: tuple[int, int] = (40, 48)) -> Path:
    """Images, masks, `metadata.jsonl` and the label set's `labels.json`, as a user lays them out."""
    (folder / "masks").mkdir(parents=True)
    with (folder / "metadata.jsonl").open("w") as metadata:
        for index in range(count):
            real_image(index, size).save(folder / f"{index}.png")
            mask(index, size, mode).save(folder / "masks" / f"{index}.png")
            row = {"file_name": f"{index}.png", "label_file_name": f"masks/{index}.png"}
            metadata.write(json.dumps(row) + "\n")
    write_labels(folder / "labels.json")
    return folder


def write_labels(file: Path) -> Path:
    """The label set in the form that Hub data sets use."""
    values = {
        "id2label": {str(i): name for i, name in LABELS.id2label.items()},
        "palette": LABELS.palette.tolist(),
        "ignore_label": LABELS.unknown_id,
    }
    file.write_text(json.dumps(values))
    return file
