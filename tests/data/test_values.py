"""Training samples of images that are not 8-bit RGB, and predictions saved like them."""

import logging
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest
import torch

from spade_hf import SPADEGenerator, SPADEImageProcessor, SPADEPipeline
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_folders
from spade_hf.data.fingerprint import fingerprint
from spade_hf.images.photo_files import open_photo
from spade_hf.models.generator import SPADEGeneratorOutput
from spade_hf_cli.outputs import save_image as save_photo

from ..training_data import LABELS, mask, png, real_image


SIZE = (64, 64)
RAMP = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(SIZE)


class CopyingGenerator(SPADEGenerator):
    """A model that makes the images that it is to copy."""

    copied: torch.Tensor

    def forward(self, segmap: Any, z: Any = None, **options: Any) -> Any:
        return SPADEGeneratorOutput(images=self.copied)


def folder_of(folder: Path, photos: dict[str, np.ndarray | PIL.Image.Image]) -> datasets.Dataset:
    """Folders of photographs and of masks of their size, paired by name."""
    for name, photo in photos.items():
        save_photo(photo, folder / "photos" / name)
        size = photo.size[::-1] if isinstance(photo, PIL.Image.Image) else photo.shape[:2]
        save_photo(mask(0, size), folder / "masks" / f"{Path(name).stem}.png")
    return load_folders({"image": str(folder / "photos"), "label": str(folder / "masks")})


def dataset_of(rows: datasets.Dataset, **options) -> PairedImageDataset:
    """Whole images of 64x64."""
    transform = PairedTransform(SIZE, resize_ratio=1.0, center_crop=True, random_flip=False)
    processor = SPADEImageProcessor(label_set=LABELS, **options)
    reader = PairReader(
        image_column="image", mask_column="label", instance_column=None, processor=processor, transform=transform
    )
    return PairedImageDataset(rows, reader, seed=0)


@pytest.mark.parametrize("channels, suffix", [(1, ".png"), (1, ".tiff"), (1, ".npy"), (3, ".tiff"), (5, ".tiff")])
def test_round_trip_of_16_bits(tmp_path: Path, channels: int, suffix: str):
    """A ramp of all values -> training sample -> saved prediction of a model that copies it: no value changes."""
    values = np.stack([np.roll(RAMP, shift) for shift in range(channels)], axis=-1)
    dataset = dataset_of(folder_of(tmp_path, {f"1{suffix}": values}), image_channels=channels, value_range=(0, 65535))
    sample = dataset[0]
    assert sample["real_images"].shape == (channels, *SIZE)
    labels = LABELS
    generator = CopyingGenerator(
        num_labels=labels.num_labels,
        use_unknown_label=labels.use_unknown_label,
        image_size=64,
        base_channels=4,
        latent_dim=None,
        image_channels=channels,
    )
    generator.copied = sample["real_images"][None]
    pipeline = SPADEPipeline(generator, dataset.processor)
    ids = torch.from_numpy(labels.channels_to_ids(sample["label_map"].numpy()))[None]
    images = pipeline(ids, output_type="np", denormalize=True).images
    assert images.shape == (1, *SIZE, channels) and images.dtype == np.float32
    assert np.abs(images[0] - values).max() < 0.1
    save_photo(dataset.processor.to_stored(generator.copied)[0], tmp_path / f"prediction{suffix}")
    found = open_photo(tmp_path / f"prediction{suffix}", argument="it", image_channels=channels)
    assert np.abs(np.atleast_3d(np.array(found)).astype(int) - values).max() < 2
    if channels == 1:
        (image,) = pipeline(ids).images
        assert image.mode == "I;16" and np.abs(np.array(image).astype(int) - values[..., 0]).max() < 2


def test_columns_of_arrays():
    """Array2D of gray, Array3D with the channels first or last; their hash covers the numbers."""
    numbers = np.random.default_rng(0).random((2, 5, *SIZE)).astype(np.float32)
    masks = [{"bytes": png(mask(index, SIZE)), "path": None} for index in range(2)]

    def rows_of(values: np.ndarray) -> datasets.Dataset:
        kind: Any = datasets.Array2D if values.ndim == 3 else datasets.Array3D
        features = datasets.Features({"image": kind(values.shape[1:], "float32"), "label": datasets.Image()})
        return datasets.Dataset.from_dict({"image": list(values), "label": masks}, features=features)

    for values in (numbers, np.moveaxis(numbers, 1, -1)):
        found = dataset_of(rows_of(values), image_channels=5)[1]["real_images"]
        torch.testing.assert_close(found, torch.from_numpy(numbers[1]) * 2 - 1)
    gray = dataset_of(rows_of(numbers[:, 0]), image_channels=1)
    torch.testing.assert_close(gray[1]["real_images"][0], torch.from_numpy(numbers[1, 0]) * 2 - 1)

    def content(values: np.ndarray) -> str:
        dataset = dataset_of(rows_of(values), image_channels=5)
        return fingerprint(dataset.rows, ("image", "label"), label_set=LABELS)["content"]

    assert content(numbers) == content(numbers.copy()) != content(numbers[::-1])


def test_an_instance_map_is_never_an_array():
    features = datasets.Features({name: datasets.Array2D(SIZE, "int32") for name in ("image", "label", "instance")})
    rows = datasets.Dataset.from_dict(dict.fromkeys(features, [np.zeros(SIZE, np.int32)]), features=features)
    reader = PairReader(
        image_column="image",
        mask_column="label",
        instance_column="instance",
        processor=SPADEImageProcessor(label_set=LABELS, use_instance_edges=True),
        transform=PairedTransform(SIZE),
    )
    with pytest.raises(ValueError, match="`instance_column` is 'instance', which holds Array2D.* and no images"):
        reader.prepare(rows)


def test_clipped_values_are_warned_of_once_per_file(tmp_path: Path, caplog):
    values = np.full((*SIZE, 1), 0.5, np.float32)
    values[0] = 3.0
    dataset = dataset_of(folder_of(tmp_path, {"ct.npy": values}), image_channels=1, value_range=(0, 1))
    with caplog.at_level(logging.WARNING):
        dataset[0], dataset[0]
    (record,) = caplog.records
    assert record.message.endswith("ct.npy has 1.56% of its values outside of 0 to 1, which were clipped.")


def test_bad_values_name_the_row(tmp_path: Path):
    values = np.zeros((*SIZE, 1), np.float32)
    values[0, :3, 0] = np.nan, np.inf, np.nan
    dataset = dataset_of(folder_of(tmp_path, {"1.npy": values}), image_channels=1, value_range=(0, 1))
    with pytest.raises(ValueError, match=r"Row 0 .*1.npy.*\): `image` has 2 values that are NaN and 1 that"):
        dataset[0]


def test_channels_that_differ_from_the_config(tmp_path: Path):
    rows = folder_of(tmp_path, {"1.png": real_image(0, SIZE)})
    with pytest.raises(ValueError, match=r"Row 0 .*1.png\): `image` has 3 channels .*, but `image_channels` is 1"):
        dataset_of(rows, image_channels=1)[0]
    rows = folder_of(tmp_path / "five", {"1.tiff": np.zeros((*SIZE, 5), np.uint8)})
    with pytest.raises(ValueError, match=r"`image` has shape \(64, 64, 5\); an array is \(H, W, 4\)"):
        dataset_of(rows, image_channels=4)[0]


def test_arrays_are_read_from_folders_without_images(tmp_path: Path):
    """Beside images, they can be anything."""
    rows = folder_of(tmp_path, {"1.png": real_image(0, SIZE)})
    np.save(tmp_path / "photos" / "1.npy", np.zeros(3))
    rows = load_folders({"image": str(tmp_path / "photos"), "label": str(tmp_path / "masks")})
    assert dataset_of(rows)[0]["real_images"].shape == (3, *SIZE)


def test_png_rows_have_the_hashes_of_earlier_versions():
    rows = datasets.Dataset.from_dict(
        {"image": [{"bytes": b"a photograph", "path": None}], "label": [{"bytes": b"a mask", "path": None}]},
        features=datasets.Features({name: datasets.Image(decode=False) for name in ("image", "label")}),
    )
    assert fingerprint(rows, ("image", "label"), label_set=LABELS)["content"] == "5a1664a003da7f698122c97e1e2e0fab"
