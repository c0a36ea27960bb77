"""One black and white mask per class."""

import numpy as np
import PIL.Image
import pytest

from spade_hf import LabelSet, SPADEImageProcessor
from spade_hf.data import PairedImageDataset, PairedTransform, PairReader, load_folders
from spade_hf.data.formats.class_masks import group_by_photograph
from spade_hf.labels.label_set import Label

from ...dataset_layouts import save
from ...training_data import real_image


SIZE = (8, 12)
LABELS = LabelSet(
    "street", (Label(3, "sky", (9, 9, 9)), Label(5, "Tall grass", (0, 9, 0)), Label(7, "road 2", (9, 0, 0)))
)
WITH_UNKNOWN = LabelSet("street", LABELS.labels, unknown_id=255)


def area(top: int, bottom: int, value: int = 255) -> np.ndarray:
    pixels = np.zeros(SIZE, np.uint8)
    pixels[top:bottom] = value
    return pixels


def write(root, masks: dict[str, np.ndarray | PIL.Image.Image], photographs=("p1", "p1-b")) -> dict[str, str]:
    for name in photographs:
        save(root / "photos" / f"{name}.jpg", real_image(0, SIZE))
    for name, pixels in masks.items():
        save(root / "masks" / name, pixels)
    return {"image": str(root / "photos"), "label": str(root / "masks")}


def read(folders, label_set=LABELS, **options) -> dict[str, np.ndarray]:
    rows = load_folders(folders, class_masks=label_set, **options)
    reader = PairReader(
        image_column="image",
        mask_column="label",
        instance_column=None,
        processor=SPADEImageProcessor(label_set=label_set),
        transform=PairedTransform(resolution=SIZE, resize_ratio=1.0, random_flip=False),
    )
    dataset = PairedImageDataset(rows, reader, seed=0)
    maps = [label_set.channels_to_ids(dataset[row]["label_map"].numpy()) for row in range(len(rows))]
    return dict(zip(rows["file_name"], maps, strict=True))


def test_label_studios_names(tmp_path):
    """The photograph with the longest name is meant, and of overlapping masks, the label with the larger id."""
    masks = {
        "p1-sky-0.png": area(0, 5),
        "p1-tall grass-1.png": area(3, 6),
        "p1-tall grass-12.png": area(6, 7),
        "p1-road 2-3.png": area(5, 8),
        "p1-b-sky-0.png": area(0, 8, 1),
    }
    found = read(write(tmp_path, masks))
    assert found["p1.jpg"][:, 0].tolist() == [3, 3, 3, 5, 5, 7, 7, 7]
    assert (found["p1-b.jpg"] == 3).all()


@pytest.mark.parametrize(
    "pattern", ["{name}/{label}.png", "{name}/{label}_1.png", "{name}_{label}.png", "{name} - {label}.png"]
)
@pytest.mark.parametrize("label", ["Tall grass", "tall_grass", "TALL-GRASS"])
def test_other_names(pattern, label, tmp_path):
    masks = {pattern.format(name="p1", label="sky"): area(0, 4), pattern.format(name="p1", label=label): area(4, 8)}
    found = read(write(tmp_path, masks, photographs=["p1"]))
    assert found["p1.jpg"][:, 0].tolist() == [3] * 4 + [5] * 4


def test_pixels_in_no_mask(tmp_path):
    folders = write(tmp_path, {"p1-sky.png": area(0, 4)}, photographs=["p1"])
    assert read(folders, WITH_UNKNOWN)["p1.jpg"][:, 0].tolist() == [3] * 4 + [255] * 4
    background = LabelSet("street", (*LABELS.labels, Label(9, "Background", (1, 2, 3))))
    assert read(folders, background)["p1.jpg"][:, 0].tolist() == [3] * 4 + [9] * 4
    with pytest.raises(ValueError, match=r"Row 0 .*p1.jpg.*48 pixels are in none of its 1 masks, .*Add one to"):
        read(folders)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_modes(mode, tmp_path):
    pixels = area(0, 4)
    image = PIL.Image.fromarray(pixels)
    if mode == "I;16":
        image = PIL.Image.fromarray(pixels.astype(np.uint16) * 257)
    elif "A" in mode:  # white where it is not transparent
        image = PIL.Image.new(mode, SIZE[::-1], "white")
        image.putalpha(PIL.Image.fromarray(pixels))
    else:
        image = image.convert(mode)
    found = read(write(tmp_path, {"p1-sky.png": image}, photographs=["p1"]), WITH_UNKNOWN)
    assert found["p1.jpg"][:, 0].tolist() == [3] * 4 + [255] * 4


def soft(root):
    save(root / "masks" / "p1-sky.png", np.arange(96, dtype=np.uint8).reshape(SIZE))
    return r"p1-sky.png has 96 values, from 0 to 95; the mask of one class has 0 outside and one other value inside"


def broken(root):
    (root / "masks" / "p1-sky.png").write_bytes(b"no")
    return r"p1-sky.png cannot be read as an image"


def smaller(root):
    save(root / "masks" / "p1-sky.png", area(0, 4)[:4])
    return r"the masks of its classes have the sizes 12x4 and 12x8 \(width x height\)"


def unknown_class(root):
    save(root / "masks" / "p1-tree.png", area(0, 4))
    return r"masks has p1-tree; with `class_masks`, the name of a mask is the image's and the class, such as p1-sky"


def no_photograph(root):
    save(root / "masks" / "p2-sky.png", area(0, 4))
    return r"masks has p2-sky; with `class_masks`"


def no_masks(root):
    save(root / "photos" / "p2.jpg", real_image(0, SIZE))
    return r"masks has no file for p2"


@pytest.mark.parametrize("damage", [soft, broken, smaller, unknown_class, no_photograph, no_masks])
def test_what_does_not_fit_is_named(damage, tmp_path):
    folders = write(tmp_path, {"p1-sky.png": area(0, 4), "p1-road 2.png": area(4, 8)}, photographs=["p1"])
    message = damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(folders)


def test_the_option_is_named_where_it_helps(tmp_path):
    folders = write(tmp_path, {"p1-sky.png": area(0, 4), "p1-road 2.png": area(4, 8)}, photographs=["p1"])
    with pytest.raises(ValueError, match=r"If each image has one mask per class, .* pass `class_masks`"):
        load_folders(folders)


def test_of_two_photographs_the_longer_name_is_meant():
    labels = LabelSet("x", (Label(0, "grass", (0, 9, 0)), Label(1, "tall grass", (9, 9, 9))))
    masks = {"p1-tall-grass": "a.png", "p2-tall-grass": "b.png"}
    found, strangers = group_by_photograph(masks, dict.fromkeys(["p1", "p1-tall", "p2"], ""), labels)
    assert (found, strangers) == ({"p1-tall": [("a.png", 0)], "p2": [("b.png", 1)]}, [])
