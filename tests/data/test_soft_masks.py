"""Soft and multi-hot masks in data, and ids in the red channel."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest
import torch

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.batch import hard_labels, stack_samples
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_folders
from spade_hf.data.checking import check_pairs
from spade_hf.data.fingerprint import fingerprint, first_difference
from spade_hf.data.outlines import OutlineReader
from spade_hf.labels.label_set import Label
from spade_hf.losses import SegmentationObjective
from spade_hf.training import DiscriminatorAugmentation
from spade_hf.training.game import discriminate, generate

from ..tiny_networks import tiny_discriminator, tiny_generator
from ..training_data import LABELS, make_rows, mask, real_image


SIZE = (40, 48)
L = LABELS.num_channels
WHOLE = PairedTransform(SIZE, resize_ratio=1.0, center_crop=True, random_flip=False)
TWO = LabelSet("two", (Label(3, "sky", (9, 9, 9)), Label(5, "grass", (0, 9, 0))))


def weights(index: int) -> np.ndarray:
    """float32 `(L, H, W)`, which need not sum to 1."""
    return np.random.default_rng(index).random((L, *SIZE)).astype(np.float32)


def reader_of(transform: PairedTransform = WHOLE, labels: LabelSet = LABELS, **options: Any) -> PairReader:
    columns = {"image_column": "image", "mask_column": "label", "instance_column": None}
    return PairReader(**columns, processor=SPADEImageProcessor(label_set=labels), transform=transform, **options)


def dataset_of(rows: Any, transform: PairedTransform = WHOLE, **options: Any) -> PairedImageDataset:
    return PairedImageDataset(rows, reader_of(transform, **options), seed=0)


def rows_of(values: list[np.ndarray], feature: Any) -> datasets.Dataset:
    column = datasets.Dataset.from_dict({"label": values}, features=datasets.Features({"label": feature}))
    return datasets.concatenate_datasets([make_rows(count=len(values)).remove_columns("label"), column], axis=1)


def folders_of(folder: Path, masks: dict[str, Any]) -> dict[str, str]:
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for index, (name, values) in enumerate(masks.items()):
        real_image(index, SIZE).save(folder / "photos" / f"{Path(name).stem.split('-')[0]}.png")
        if name.endswith(".npy"):
            np.save(folder / "masks" / name, values)
        else:
            PIL.Image.fromarray(values).save(folder / "masks" / name)
    return {"image": str(folder / "photos"), "label": str(folder / "masks")}


def test_weights_of_columns_and_of_files(tmp_path: Path):
    """As inference has them; they are cropped and mirrored with the image, and train both sides."""
    files = load_folders(folders_of(tmp_path, {f"{index}.npy": weights(index) for index in (0, 1)}))
    column = rows_of([weights(0), weights(1)], datasets.Array3D((L, *SIZE), "float32"))
    for rows in (files, column):
        assert dataset_of(rows)[1]["label_map"].equal(torch.from_numpy(weights(1)))
    samples = dataset_of(column, PairedTransform((32, 32)))
    batch = stack_samples([samples[0], samples[1]])
    assert batch["label_map"].shape == (2, L, 32, 32) and hard_labels(batch["label_map"]).shape == (2, 32, 32)
    options = {"num_labels": LABELS.num_labels, "use_unknown_label": True}
    images, _ = generate(tiny_generator(image_size=32, latent_dim=None, **options), None, batch, 0, latent_dim=None)
    judged, shown = DiscriminatorAugmentation(["translation"])(batch, 0, images)
    (output,) = discriminate(tiny_discriminator(**options), judged, *shown)
    assert images.shape == (2, 3, 32, 32) and judged["label_map"].shape == (2, L, 32, 32)
    assert output.logits[0].isfinite().all()


def test_multi_hot_masks_and_ids_of_arrays():
    hot = (weights(0) > 0.5).astype(np.uint8)
    rows = rows_of([hot], datasets.Array3D((L, *SIZE), "uint8"))
    assert dataset_of(rows)[0]["label_map"].equal(torch.from_numpy(hot).float())
    ids = np.array(mask(0, SIZE))
    found = dataset_of(rows_of([ids], datasets.Array2D(SIZE, "int32")))[0]["label_map"]
    assert found.equal(dataset_of(make_rows(count=1, size=SIZE))[0]["label_map"])


@pytest.mark.parametrize(
    "values, message",
    [
        (weights(0)[:2], r"has shape \(1, 2, 40, 48\); a float mask is \(N, 4, H, W\), one channel per label"),
        (weights(0) - 1, r"has values in \[-0.9.*\]; weights are finite and 0 or more"),
        (np.where(weights(0) < 0.1, np.nan, 1).astype(np.float32), "has values in"),
        (np.full((L, *SIZE), 255, np.uint8), r"with values in 255..255; of integers, the weights .* are 0 and 1"),
        (
            np.zeros(SIZE, np.float32),
            r"holds float32 of shape \(40, 48\); a mask is integer ids \(H, W\), or the weights",
        ),
    ],
)
def test_bad_weights(tmp_path: Path, values: np.ndarray, message: str):
    with pytest.raises(ValueError, match=rf"(?s)Row 0 .*{message}"):
        dataset_of(load_folders(folders_of(tmp_path, {"0.npy": values})))[0]


def test_what_reads_hard_masks_only(tmp_path: Path):
    rows = load_folders(folders_of(tmp_path, {"0.npy": weights(0), "1.npy": np.array(mask(1, SIZE))}))
    dataset = dataset_of(rows)
    assert dataset[0]["label_map"].is_floating_point()
    with pytest.raises(ValueError, match="its mask is hard, and others are soft; all masks must be of one kind"):
        dataset[1]
    with pytest.raises(ValueError, match="its mask is soft, which cannot be simplified"):
        dataset_of(rows, PairedTransform(SIZE, simplify_probability=0.5))[0]
    reader: Any = OutlineReader(mask_column="label", processor=dataset.processor, transform=WHOLE)
    with pytest.raises(ValueError, match="its mask is soft, which has no outlines to learn"):
        PairedImageDataset(rows, reader, seed=0)[0]
    batch: Any = {"label_map": torch.zeros(1, L, 4, 4), "seed": torch.tensor([0])}
    with pytest.raises(ValueError, match="classifies pixels by label, but the masks are soft"):
        SegmentationObjective(3, None).mixture(batch)


def test_check_counts_the_heaviest_label():
    rows = rows_of([np.eye(L, dtype=np.float32)[2][:, None, None] * np.ones((L, *SIZE), np.float32)] * 2,
                   datasets.Array3D((L, *SIZE), "float32"))  # fmt: skip
    for pair in check_pairs(rows, reader_of()):
        assert pair.problem is None and pair.counts is not None and pair.counts.tolist() == [0, 0, 40 * 48, 0]


def test_gray_masks_of_each_class_are_weights(tmp_path: Path):
    """Overlaps stay; what is left belongs to unknown."""
    gray = {"p-sky.png": np.full(SIZE, 51, np.uint8), "p-grass-1.png": np.full(SIZE, 255, np.uint8)}
    folders = folders_of(tmp_path, gray)
    rows = load_folders(folders, class_masks=TWO, soft_class_masks=True)
    found = dataset_of(rows, labels=TWO)[0]["label_map"]
    torch.testing.assert_close(found[:, 0, 0], torch.tensor([0.2, 1.0]))
    PIL.Image.fromarray(np.full(SIZE, 102, np.uint8)).save(tmp_path / "masks" / "p-grass-1.png")
    with_unknown = LabelSet("two", TWO.labels, unknown_id=0)
    found = dataset_of(load_folders(folders, class_masks=with_unknown, soft_class_masks=True), labels=with_unknown)[0]
    torch.testing.assert_close(found["label_map"][:, 0, 0], torch.tensor([0.4, 0.2, 0.4]))
    with pytest.raises(ValueError, match="or pass `soft_class_masks` if its grays are weights"):
        PIL.Image.fromarray(np.arange(40 * 48, dtype=np.uint16).reshape(SIZE)).save(tmp_path / "masks" / "p-sky.png")
        dataset_of(load_folders(folders, class_masks=TWO), labels=TWO)[0]


@pytest.mark.parametrize("others", [0, 7, None], ids=["CARLA", "with instances", "gray as RGB"])
def test_ids_in_the_red_channel(others: int | None):
    ids = np.array(mask(0))
    rgb = np.stack([ids] * 3, axis=-1)
    if others is not None:
        rgb[..., 1:] = others
    rows = make_rows(count=1, label=[PIL.Image.fromarray(rgb)])
    found = dataset_of(rows, ids_in_red=True)[0]["label_map"]
    assert found.equal(dataset_of(make_rows(count=1))[0]["label_map"])
    if others != 7:
        with pytest.raises(ValueError, match="seems to hold ids in .* Data are read so with `ids_in_red`"):
            dataset_of(rows)[0]


def test_ids_in_red_are_those_of_rgb_files(tmp_path: Path):
    with pytest.raises(ValueError, match="has the PIL mode 'L', but `ids_in_red` is for RGB images"):
        dataset_of(make_rows(count=1), ids_in_red=True)[0]
    Path(tmp_path / "1.jpg").touch()
    PIL.Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "1.jpg")
    jpeg = {"bytes": (tmp_path / "1.jpg").read_bytes(), "path": None}
    with pytest.raises(ValueError, match="lossy compression, which changes ids"):
        dataset_of(make_rows(count=1, label=[jpeg]), ids_in_red=True)[0]


def test_a_fingerprint_tells_how_ids_are_read():
    dataset = dataset_of(make_rows(count=1))
    usual, red = (fingerprint(dataset.rows, ["label"], label_set=LABELS, ids_in_red=red) for red in (False, True))
    assert "ids_in_red" not in usual and first_difference(usual, red) == "`ids_in_red` was False and is True"
    assert first_difference(red, red) is None


def test_carla_has_its_labels():
    labels = LabelSet.from_name("carla")
    assert labels.id2label[24] == "road line" and labels.unknown_id == 0 and labels.num_labels == 28
