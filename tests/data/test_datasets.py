import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet
from spade_hf.data import PairedTransform, load_folders, load_label_set, load_rows
from spade_hf.data.rows import name_files

from ..damaged_exif import damaged_exif, jpeg_with_damaged_exif
from ..training_data import (
    LABELS,
    ids,
    make_dataset,
    make_rows,
    mask,
    png,
    real_image,
    write_imagefolder,
    write_labels,
)


WHOLE = PairedTransform(resolution=(40, 48), resize_ratio=1, random_flip=False)


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_sample_holds_image_and_channels(mode):
    dataset = make_dataset(make_rows(mode=mode), transform=WHOLE)
    for index in (0, 5):
        sample = dataset[index]
        pixels = torch.from_numpy(np.array(real_image(index))).movedim(-1, 0)
        torch.testing.assert_close(sample["real_images"], pixels / 127.5 - 1)
        assert torch.equal(sample["label_map"], torch.from_numpy(LABELS.ids_to_channels(ids(index))))
        assert sample["label_map"].dtype == torch.int64 and "instance_edges" not in sample


def test_the_unknown_id_is_the_last_channel():
    assert make_dataset(transform=WHOLE)[0]["label_map"].unique().tolist() == [0, 1, 2, 3]  # ids 0, 1, 4, 255


def test_samples_follow_from_seed_epoch_and_index_alone():
    dataset, other = make_dataset(), make_dataset()
    other[3], other[1]
    torch.manual_seed(5)  # the global state plays no part
    assert torch.equal(dataset[2]["real_images"], other[2]["real_images"])
    assert dataset[2]["seed"] != dataset[3]["seed"]

    views = {}
    for seed in range(2):
        for epoch in range(6):
            one = make_dataset(seed=seed)
            one.set_epoch(epoch)
            views[seed, epoch] = one[0]["real_images"].numpy().tobytes()
    assert len(set(views.values())) >= 10  # crops and flips of 12 (seed, epoch)


def test_instance_columns_give_edges():
    instances = [np.zeros((40, 48), dtype=np.uint8) for _ in range(6)]
    for number, one in enumerate(instances):
        one[:, 10 + number :] = 7
    images = [mask(0).copy() for _ in instances]
    for image, one in zip(images, instances, strict=True):
        image.frombytes(one.tobytes())
    dataset = make_dataset(make_rows(instance=images), transform=WHOLE, instance_column="instance")
    edges = dataset[2]["instance_edges"]
    expected = torch.zeros(40, 48, dtype=torch.bool)
    expected[:, 11:13] = True  # both sides of the border at 12
    assert torch.equal(edges, expected)


def test_near_colors_count_with_a_tolerance():
    image = mask(0, mode="RGB")
    expected = make_dataset(make_rows(count=1, label=[image]), transform=WHOLE)[0]["label_map"]
    red, green, blue = image.getpixel((3, 3))
    image.putpixel((3, 3), (red + 3, green, blue))
    rows = make_rows(count=1, label=[image])
    assert torch.equal(make_dataset(rows, transform=WHOLE, color_tolerance=3)[0]["label_map"], expected)
    with pytest.raises(ValueError, match=r"1 color farther than `color_tolerance=2` from the palette"):
        make_dataset(rows, transform=WHOLE, color_tolerance=2)[0]


def test_masks_of_another_scale_are_resized():
    rows = make_rows(label=[mask(index, (20, 24)) for index in range(6)])
    assert make_dataset(rows)[0]["label_map"].shape == (32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_column": "mask"}, r"`mask_column` is 'mask'; the data set has the columns image, label, file_name"),
        ({"image_column": "picture"}, r"`image_column` is 'picture'; the data set has the columns"),
        ({"mask_column": "file_name"}, r"is 'file_name', which holds .*string.* no images; .* image, label"),
        ({"use_instance_edges": True}, r"`instance_column` is None; it must name .* for a model with instance edges"),
        (
            {"instance_column": "label", "transform": PairedTransform((32, 32), simplify_probability=0.5)},
            r"`simplify_probability`.*must be 0 with `instance_column`",
        ),
    ],
)  # fmt: skip
def test_columns_and_options_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(**options)


def strange_ids():
    image = mask(0)
    image.putpixel((3, 3), 77)
    return image


def strange_colors():
    image = mask(0, mode="RGB")
    image.putpixel((3, 3), (1, 2, 3))
    return image


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", strange_ids(), r"`mask` has label ids \[77\]; this label set knows ids 0..1, 4 and 255 \(unknown\)"),
        ("label", strange_colors(), r"`mask` has 1 color off the palette of label set 'toy': \(1, 2, 3\) on 1 pixel"),
        ("label", {"bytes": b"no image", "path": "m/2.png"}, r"column `label` holds an image that cannot be read"),
        (
            "image",
            {"bytes": png(real_image(0))[:900], "path": None},
            r"column `image` holds an image that cannot be read",
        ),
        ("image", {"bytes": None, "path": "gone.png"}, r"column `image` holds an image that cannot be read"),
        ("image", None, r"column `image` is empty"),
        ("label", mask(0, (40, 40)), r"the image is 48x40 and the mask 40x40 \(width x height\)"),
    ],
)
def test_bad_rows_are_named(column, value, message):
    make = real_image if column == "image" else mask
    rows = make_rows(**{column: [make(0), make(1), value, make(3), make(4), make(5)]})
    dataset = make_dataset(rows)
    with pytest.raises(ValueError, match=rf"Row 2 of the data set \(2.jpg.*\): {message}"):
        dataset[2]
    assert dataset[3]["label_map"].shape == (32, 32)


@damaged_exif
def test_damaged_exif_tags_are_a_broken_row(error):
    """With a sentence, and left out where broken rows are."""
    damaged = {"bytes": jpeg_with_damaged_exif(error, real_image(2)), "path": "p/2.jpg"}
    rows = make_rows(image=[real_image(0), real_image(1), damaged, real_image(3), real_image(4), real_image(5)])
    with pytest.raises(ValueError, match=r"Row 2 .*2\.jpg\): column `image` holds an image that cannot be read"):
        make_dataset(rows)[2]
    assert make_dataset(rows, skip_broken=True)[2]["real_images"].isfinite().all()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_mask_over_the_stored_pixels_of_a_turned_photograph(orientation):
    """The photograph is turned by its EXIF tag, its mask is not: with equal sides, only `check` can warn of it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    real_image(0).save(file, "JPEG", exif=exif)
    dataset = make_dataset(make_rows(count=1, image=[{"bytes": file.getvalue(), "path": None}]), transform=WHOLE)
    if orientation != 6:
        assert dataset[0]["label_map"].shape == (40, 48)
        return
    message = r"the image is 40x48 and the mask 48x40 .* EXIF tag turns it: it is stored as 48x40, .* Turn the mask"
    with pytest.raises(ValueError, match=message):
        dataset[0]


def test_images_of_16_bits_are_not_clipped():
    """Noise of all 16-bit values: in 8 bits, nearly all of it would be white."""
    noise = np.random.default_rng(0).integers(0, 2**16, (40, 48), dtype=np.uint16)
    rows = make_rows(image=[Image.fromarray(noise)] * 6)
    pixels = make_dataset(rows, transform=WHOLE)[0]["real_images"]
    torch.testing.assert_close(pixels, torch.from_numpy(noise / 32767.5 - 1).float().expand(3, -1, -1))


def broken_rows():
    return make_rows(
        image=[real_image(0), None, real_image(2), None, {"bytes": b"no", "path": "4.jpg"}, real_image(5)]
    )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_broken_rows_are_left_out(num_workers):
    dataset = make_dataset(broken_rows(), transform=WHOLE, skip_broken=True)
    loader = torch.utils.data.DataLoader(dataset, num_workers=num_workers)
    for _ in range(2):
        found = [sample["real_images"][0] for sample in loader]
        whole = make_dataset(transform=WHOLE)
        assert all(
            torch.equal(image, whole[index]["real_images"])
            for image, index in zip(found, (0, 2, 2, 5, 5, 5), strict=True)
        )
    assert dataset.is_broken.tolist() == [False, True, False, True, True, False]


def test_a_broken_row_is_named_once(caplog):
    dataset = make_dataset(broken_rows(), skip_broken=True)
    for index in (3, 3, 4, 0):
        dataset[index]
    assert [record.getMessage().split(":")[:2] for record in caplog.records] == [
        ["Left out", " Row 3 of the data set (3.jpg)"],
        ["Left out", " Row 4 of the data set (4.jpg, 4.jpg)"],
    ]


def test_what_takes_a_broken_rows_place_follows_from_the_index():
    first, second = (make_dataset(broken_rows(), skip_broken=True) for _ in range(2))
    second[4], second[1]
    assert torch.equal(first[3]["real_images"], second[3]["real_images"])
    assert first[3]["seed"] != first[5]["seed"]


def test_nothing_but_broken_rows():
    dataset = make_dataset(make_rows(image=[None] * 6), skip_broken=True)
    with pytest.raises(ValueError, match=r"All 6 rows of the data set are broken; the warnings name the problems"):
        dataset[2]


def test_the_file_of_a_bad_mask_is_named():
    rows = make_rows(count=1, label=[{"bytes": b"no image", "path": "masks/17.png"}])
    with pytest.raises(ValueError, match=r"Row 0 of the data set \(0.jpg, masks/17.png\)"):
        make_dataset(rows)[0]


def test_instance_map_of_another_size():
    rows = make_rows(count=1, instance=[mask(0, (20, 24))])
    with pytest.raises(ValueError, match=r"`instance_map` 0 is 20x24 and its `mask` is 40x48"):
        make_dataset(rows, instance_column="instance")[0]


def load(name, tmp_path, **options):
    return load_rows(str(name), cache_dir=str(tmp_path / "cache"), **options)


@pytest.mark.parametrize("kind", ["imagefolder", "parquet file", "parquet folder", "saved", "saved splits"])
def test_local_data_sets(kind, tmp_path):
    folder = tmp_path / "data"
    if kind == "imagefolder":
        write_imagefolder(folder, mode="P")
    elif kind.startswith("parquet"):
        folder.mkdir()
        make_rows().to_parquet(folder / "train.parquet")
    elif kind == "saved":
        make_rows().save_to_disk(folder)
    else:
        import datasets

        datasets.DatasetDict(train=make_rows()).save_to_disk(folder)
    rows = load(folder / "train.parquet" if kind == "parquet file" else folder, tmp_path)
    sample = make_dataset(rows, transform=WHOLE)[4]
    assert len(rows) == 6
    assert torch.equal(sample["label_map"], torch.from_numpy(LABELS.ids_to_channels(ids(4))))


def write_folders(root):
    for name in ("photos", "masks"):
        (root / name).mkdir()
    for index in range(12):
        real_image(index).save(root / "photos" / f"{index}.jpg")
        mask(index, mode="RGB").save(root / "masks" / f"{index}.png")
    (root / "photos" / "notes.txt").write_text("not an image")
    return {"image": str(root / "photos"), "label": str(root / "masks")}


def test_parallel_folders(tmp_path):
    rows = load_folders(write_folders(tmp_path))
    assert rows["file_name"][:3] == ["0.jpg", "1.jpg", "10.jpg"]
    sample = make_dataset(rows, transform=WHOLE)[2]
    assert torch.equal(sample["label_map"], torch.from_numpy(LABELS.ids_to_channels(ids(10))))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: (root / "masks" / "3.png").unlink(),
            r"masks has no file for 3. Files are paired by their names",
        ),
        (
            lambda root: [(root / "photos" / f"{i}.jpg").unlink() for i in range(7)],
            r"photos has no file for 0, 1, 2 and 4 more. Files",
        ),
        (
            lambda root: (root / "masks" / "3.png").rename(root / "masks" / "3_L.png"),
            r"photos has no file for 3_L; .*masks has no file for 3. Files .* rename them",
        ),
        (lambda root: mask(0).save(root / "masks" / "5.bmp"), r"masks has both 5.bmp and 5.png. Keep one"),
        (lambda root: (root / "masks").rename(root / "labels"), r"masks is neither a folder nor a zip file"),
        (lambda root: [file.unlink() for file in (root / "masks").iterdir()], r"masks is empty. Give the folder"),
    ],
)
def test_parallel_folders_that_do_not_match(damage, message, tmp_path):
    folders = write_folders(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_folders(folders)


def test_data_set_of_the_hub(hub, tmp_path):
    repo = f"{hub.user}/toy-pairs"
    make_rows(mode="RGB").push_to_hub(repo, token=hub.token)
    rows = load(repo, tmp_path, split="train[:3]")
    assert len(rows) == 3 and make_dataset(rows)[2]["label_map"].max() == 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nothing-here", {}, r"`dataset_name` .*nothing-here' \(config None, split 'train'\) cannot be loaded"),
        ("data", {"split": "validation"}, r"split 'validation'\) cannot be loaded: .*validation"),
    ],
)
def test_data_sets_that_are_not_there(name, options, message, tmp_path):
    write_imagefolder(tmp_path / "data")
    with pytest.raises(ValueError, match=message):
        load(tmp_path / name, tmp_path, **options)


def test_label_set_by_name_or_file_or_beside_the_data(hub, tmp_path):
    assert load_label_set("ade20k", dataset_name="x/y") == LabelSet.from_name("ade20k")
    folder = tmp_path / "data"
    write_imagefolder(folder)
    make_rows().to_parquet(folder / "train.parquet")
    other = write_labels(tmp_path / "other.json")
    expected = LABELS.id2label
    assert load_label_set(None, dataset_name=str(folder)).id2label == expected
    assert load_label_set(None, dataset_name=str(folder / "train.parquet")).id2label == expected
    assert load_label_set(str(other), dataset_name="x/y").name == "other"

    from huggingface_hub import HfApi

    repo = f"{hub.user}/with-labels"
    api = HfApi(token=hub.token)
    api.create_repo(repo, repo_type="dataset")
    api.upload_file(path_or_fileobj=other, path_in_repo="labels.json", repo_id=repo, repo_type="dataset")
    assert load_label_set(None, dataset_name=repo).id2label == expected


@pytest.mark.parametrize("dataset_name", ["", "nobody/nothing"])
def test_no_label_set(dataset_name, hub, tmp_path):
    message = r"`label_set` is missing.*Pass one of ade20k, .*a JSON file .*class such as sky,70,"
    with pytest.raises(ValueError, match=message):
        load_label_set(None, dataset_name=dataset_name or str(tmp_path))


def test_folders_without_metadata_are_told_apart(tmp_path):
    write_folders(tmp_path)
    with pytest.raises(ValueError, match=r"is 'label', which holds ClassLabel.* images: image. To pair two folders"):
        make_dataset(load(tmp_path, tmp_path))


def test_label_set_that_is_no_file(tmp_path):
    message = r"`label_set` is '.*coco.json', which is neither a file nor one of ade20k, .*table of colors"
    with pytest.raises(ValueError, match=message):
        load_label_set(str(tmp_path / "coco.json"), dataset_name=str(tmp_path))


def with_corrupt_exif() -> bytes:
    """A JPEG to be turned by its orientation, with a camera's name that is a number: Pillow fails to write it."""
    orientation = struct.pack("<HHII", 0x112, 3, 1, 6)
    camera = struct.pack("<HHII", 0x110, 5, 1, 8)
    file = io.BytesIO()
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + orientation + camera + bytes(4)
    real_image(1).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_corrupt_exif_is_a_broken_row_like_any_other():
    images = [real_image(index) for index in range(6)]
    images[1] = {"bytes": with_corrupt_exif(), "path": "photos/1.jpg"}
    rows = make_rows(image=images)
    with pytest.raises(ValueError, match=r"\(1.jpg, photos/1.jpg\): column `image` holds an image that cannot"):
        make_dataset(rows)[1]
    dataset = make_dataset(rows, skip_broken=True)
    dataset[1]
    assert dataset.is_broken.tolist() == [False, True, False, False, False, False]


def test_files_are_named_once():
    image = {"bytes": None, "path": "b.png"}
    assert name_files({"file_name": "a.png", "label": image}, ["label"]) == " (a.png, b.png)"
    assert name_files({"file_name": image}, ["file_name"]) == " (b.png)"  # a column of names, read as images
