"""Pairs with a condition: real numbers beside the mask, or in its place."""

import logging
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest
import torch

from spade_hf import SPADEGenerator, SPADEImageProcessor, SPADEPipeline
from spade_hf.batch import conditioning, stack_samples
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_folders
from spade_hf.data.fingerprint import fingerprint
from spade_hf.models.generator import SPADEGeneratorOutput
from spade_hf.training import DiscriminatorAugmentation

from ..training_data import LABELS, make_rows, mask, png, real_image


SIZE = (40, 48)
WHOLE = PairedTransform(SIZE, resize_ratio=1.0, center_crop=True, random_flip=False)


def depth(index: int) -> np.ndarray:
    """float32 `(H, W)` in 0..80."""
    return np.random.default_rng(index).uniform(0, 80, SIZE).astype(np.float32)


def write(folder: Path, name: str, values: np.ndarray | PIL.Image.Image) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(values, np.ndarray):
        np.save(folder / name, values)
    else:
        values.save(folder / name)


def folders(folder: Path, count: int = 2) -> dict[str, str]:
    """Images, masks and depth maps, paired by name."""
    for index in range(count):
        write(folder, f"image/{index}.png", real_image(index))
        write(folder, f"label/{index}.png", mask(index))
        write(folder, f"condition/{index}.npy", depth(index))
    return {column: str(folder / column) for column in ("image", "label", "condition")}


def dataset_of(rows: Any, transform: PairedTransform = WHOLE, *, has_labels: bool = True, **options) -> Any:
    given = {"condition_channels": 1, "condition_range": (0, 80), **options}
    processor = SPADEImageProcessor(label_set=LABELS if has_labels else None, **given)
    reader = PairReader(
        image_column="image",
        mask_column="label" if has_labels else None,
        instance_column=None,
        condition_column="condition",
        processor=processor,
        transform=transform,
    )
    return PairedImageDataset(rows, reader, seed=0)


def test_folders_of_arrays(tmp_path: Path):
    dataset = dataset_of(load_folders(folders(tmp_path)))
    for index in (0, 1):
        sample = dataset[index]
        assert sample["condition"].shape == (1, *SIZE) and sample["label_map"].shape == SIZE
        torch.testing.assert_close(sample["condition"][0], torch.from_numpy(depth(index)) / 40 - 1)


def test_the_condition_is_cropped_and_mirrored_as_the_image():
    """A condition that is the image stays the image, in every epoch."""
    rows = make_rows(condition=[real_image(index) for index in range(6)])
    transform = PairedTransform((32, 32))
    dataset = dataset_of(rows, transform, condition_channels=3, condition_range=None)
    seen = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        for index in range(6):
            sample = dataset[index]
            assert sample["condition"].equal(sample["real_images"])
            seen.append(sample["condition"])
    assert not seen[0].equal(seen[6])


def test_without_labels_a_sample_has_no_mask():
    rows = make_rows(condition=[real_image(index) for index in range(6)]).remove_columns("label")
    dataset = dataset_of(rows, PairedTransform((32, 32)), has_labels=False, condition_channels=3, condition_range=None)
    batch = stack_samples([dataset[0], dataset[1]])
    assert {*batch} == {"real_images", "condition", "seed"}
    given = conditioning(batch)
    assert given["segmap"] is None and given["condition"].shape == (2, 3, 32, 32) and len(given) == 2


@pytest.mark.parametrize("feature", [datasets.Array2D(SIZE, "float32"), datasets.Array3D((1, *SIZE), "float32")])
def test_columns_of_arrays(feature: Any):
    values = [depth(index).reshape(feature.shape) for index in (0, 1)]
    rows = with_arrays(values, feature)
    torch.testing.assert_close(dataset_of(rows)[1]["condition"][0], torch.from_numpy(depth(1)) / 40 - 1)


def bad(values: np.ndarray) -> datasets.Dataset:
    return with_arrays([values.astype(np.float32)], datasets.Array2D(values.shape, "float32"))


def with_arrays(values: list[np.ndarray], feature: Any) -> datasets.Dataset:
    """Rows with a column of arrays."""
    features = datasets.Features({"condition": feature})
    column = datasets.Dataset.from_dict({"condition": values}, features=features)
    return datasets.concatenate_datasets([make_rows(count=len(values)), column], axis=1)


@pytest.mark.parametrize(
    "values, message",
    [
        (
            np.where(depth(0) < 8, np.nan, 1),
            r"^Row 0 of the data set \(0.jpg\): .* has \d+ values that are NaN and 0 ",
        ),
        (depth(0)[:, :20], r"the image is 48x40 and the condition 20x40 \(width x height\); both must show the same"),
    ],
    ids=["NaN", "size"],
)
def test_a_broken_condition_is_named_with_its_row(values: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        dataset_of(bad(values))[0]


def test_a_condition_of_other_channels_names_the_option():
    rows = make_rows(count=1, condition=[real_image(0)])
    with pytest.raises(ValueError, match="has 3 channels .* but `condition_channels` is 1. Convert it"):
        dataset_of(rows)[0]
    with pytest.raises(ValueError, match="column `condition` is empty"):
        dataset_of(make_rows(count=1, condition=[None]))[0]


def test_clipped_values_name_the_file_once(tmp_path: Path, caplog):
    dataset = dataset_of(load_folders(folders(tmp_path, 1)), condition_range=(0, 40))
    with caplog.at_level(logging.WARNING):
        dataset[0], dataset[0]
    (record,) = caplog.records
    assert "0.npy has 49." in record.message and "of its values outside of 0 to 40" in record.message


def test_columns_and_model_go_together():
    rows = make_rows(count=1)
    processors = {
        "labels alone": SPADEImageProcessor(label_set=LABELS),
        "condition": SPADEImageProcessor(label_set=LABELS, condition_channels=1),
        "condition alone": SPADEImageProcessor(label_set=None, condition_channels=1),
    }
    for kind, columns, message in (
        ("labels alone", {"condition_column": "image"}, "`condition_column` is 'image' and `condition_channels` is 0"),
        ("condition", {}, "`condition_column` is None and `condition_channels` is 1; name a column"),
        (
            "condition alone",
            {"condition_column": "image"},
            "`mask_column` is 'label'; .* left out for a model without",
        ),
        ("labels alone", {"mask_column": None}, "`mask_column` is None; it must name a column of masks"),
    ):
        given = {"image_column": "image", "mask_column": "label", "instance_column": None, **columns}
        with pytest.raises(ValueError, match=message):
            PairReader(**given, processor=processors[kind], transform=WHOLE)
    with pytest.raises(ValueError, match="`simplify_probability` changes label maps, so that the condition no longer"):
        dataset_of(rows, PairedTransform(SIZE, simplify_probability=0.5))
    with pytest.raises(ValueError, match="`condition_column` is 'condition'; the data set has the columns"):
        dataset_of(rows)


def test_the_fingerprint_covers_the_condition():
    def of(photo: PIL.Image.Image) -> Any:
        rows = make_rows(count=1, condition=[{"bytes": png(photo), "path": None}])
        dataset = dataset_of(rows, has_labels=False, condition_channels=3, condition_range=None)
        assert dataset.reader.columns == ["image", "condition"]
        return fingerprint(dataset.rows, dataset.reader.columns, label_set=None)

    assert of(real_image(0)) == of(real_image(0)) != of(real_image(1))


def test_augmentation_moves_the_condition_with_the_images():
    images = torch.rand(2, 3, 32, 32)
    batch: Any = {"condition": images, "real_images": images, "seed": torch.tensor([1, 2])}
    moved, (shown,) = DiscriminatorAugmentation(["translation", "cutout"])(batch, 0, images)
    inside = moved["visible"][:, None].expand(-1, 3, -1, -1)
    assert moved["condition"][inside].equal(shown[inside]) and not moved["condition"].equal(images)


class CopyingGenerator(SPADEGenerator):
    """Returns its condition."""

    def forward(self, segmap: Any, z: Any = None, *, condition: Any = None, **options: Any) -> Any:
        return SPADEGeneratorOutput(images=condition)


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_round_trip_of_16_bits(tmp_path: Path, suffix: str):
    """A ramp of all values -> training sample -> prediction of a model that copies its condition: no value changes."""
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    write(tmp_path, f"image/1{suffix}", PIL.Image.fromarray(ramp) if suffix == ".png" else ramp)
    rows = load_folders({"image": str(tmp_path / "image"), "condition": str(tmp_path / "image")})
    options = {"image_channels": 1, "value_range": (0, 65535), "condition_range": (0, 65535)}
    whole = PairedTransform((256, 256), resize_ratio=1.0, center_crop=True, random_flip=False)
    sample = dataset_of(rows, whole, has_labels=False, **options)[0]
    assert sample["condition"].equal(sample["real_images"])
    network = CopyingGenerator(num_labels=0, condition_channels=1, image_channels=1, base_channels=4, latent_dim=None)
    processor = SPADEImageProcessor(label_set=None, condition_channels=1, **options)
    (image,) = SPADEPipeline(network, processor)(condition=tmp_path / f"image/1{suffix}").images
    image.save(tmp_path / "prediction.png")
    found = np.array(PIL.Image.open(tmp_path / "prediction.png")).astype(int)
    assert np.abs(found - ramp).max() < 2  # of 65535
