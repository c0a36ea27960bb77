"""Small data sets in the layouts, file names and encodings of public ones. Each writer gives the label ids it drew."""

import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image

from spade_hf import LabelSet
from spade_hf.labels.colors import voc_colors

from .training_data import real_image


SIZE = (48, 64)
VOC_PALETTE = [0, 0, 0, *(part for color, _ in zip(voc_colors(), range(255), strict=False) for part in color)]
CVAT_COLORS = {"background": (0, 0, 0), "cat": (250, 50, 83), "road sign": (51, 221, 255)}


def bands(ids: list[int], shift: int) -> np.ndarray:
    """int64 `(H, W)`: a horizontal band for each id, from another row on with each shift."""
    rows = (np.arange(SIZE[0]) + 5 * shift) * len(ids) // SIZE[0] % len(ids)
    return np.array(ids)[rows][:, None].repeat(SIZE[1], axis=1)


def halves(ids: np.ndarray, right: int) -> np.ndarray:
    """The ids, with `right` added in the right half, where an instance of the same class begins."""
    instances = ids.copy()
    instances[:, SIZE[1] // 2 :] += right
    return instances


def save(file: Path, pixels: np.ndarray | PIL.Image.Image) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(pixels)).save(file)


def write_cityscapes(root: Path, split: str = "train", train_ids: bool = False) -> dict[str, np.ndarray]:
    """Three frames of two cities, as the two packages unpack: also the colors and polygons that nobody reads."""
    ids = {}
    frames = ("aachen/aachen_000000_000019", "aachen/aachen_000001_000019", "ulm/ulm_000000_000019")
    for number, frame in enumerate(frames):
        save(root / "leftImg8bit" / split / f"{frame}_leftImg8bit.png", real_image(number, SIZE))
        ids[frame] = bands([0, 18, 255] if train_ids else [7, 11, 26], number)
        fine = root / "gtFine" / split
        name = "labelTrainIds" if train_ids else "labelIds"
        save(fine / f"{frame}_gtFine_{name}.png", ids[frame].astype(np.uint8))
        instances = np.where(ids[frame] == 26, halves(26000 + 0 * ids[frame], 1), ids[frame])
        save(fine / f"{frame}_gtFine_instanceIds.png", instances.astype(np.uint16))
        save(fine / f"{frame}_gtFine_color.png", np.full((*SIZE, 4), 255, np.uint8))
        (fine / f"{frame}_gtFine_polygons.json").write_text("{}")
    return ids


def write_voc(root: Path) -> dict[str, np.ndarray]:
    """Three pairs of four photographs, in palette images with a void border; one of them in the list `val`."""
    ids = {}
    for number, name in enumerate(("2007_000032", "2007_000033", "2007_000039", "2008_000001")):
        save(root / "JPEGImages" / f"{name}.jpg", real_image(number, SIZE))
        if number == 3:
            continue  # photographs for other tasks than segmentation
        ids[name] = bands([0, 255, 15], number)
        objects = np.where(ids[name] == 15, halves(1 + 0 * ids[name], 1), ids[name])
        for folder, values in (("SegmentationClass", ids[name]), ("SegmentationObject", objects)):
            image = PIL.Image.fromarray(values.astype(np.uint8))
            image.putpalette(VOC_PALETTE)
            save(root / folder / f"{name}.png", image)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n2007_000039\n")
    (lists / "val.txt").write_text("2007_000033\n")
    return ids


def write_panoptic(root: Path) -> dict[str, np.ndarray]:
    """Two images of COCO's validation split, with pixels of no segment; a third that has no annotation."""
    categories = [
        {"supercategory": "person", "isthing": 1, "id": 1, "name": "person"},
        {"supercategory": "vehicle", "isthing": 1, "id": 3, "name": "car"},
        {"supercategory": "solid", "isthing": 0, "id": 200, "name": "rug-merged"},
    ]
    ids, images, annotations = {}, [], []
    for number, name in enumerate(("000000000139", "000000000285", "000000000632")):
        save(root / "val2017" / f"{name}.jpg", real_image(number, SIZE))
        if number == 2:
            continue
        ids[name] = bands([0, 1, 3, 200], number)
        # two persons; ids that fill one, two and three bytes
        segment_of = {0: 0, 1: 7, 3: 3226956, 200: 6908}
        segments = np.vectorize(segment_of.get)(ids[name])
        segments[:, SIZE[1] // 2 :][segments[:, SIZE[1] // 2 :] == 7] = 70000
        colors = np.stack([segments % 256, segments // 256 % 256, segments // 65536], axis=-1)
        save(root / "annotations" / "panoptic_val2017" / f"{name}.png", colors.astype(np.uint8))
        images.append({"id": int(name), "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]})
        pairs = ((7, 1), (70000, 1), (3226956, 3), (6908, 200))
        infos = [{"id": i, "category_id": c, "iscrowd": 0, "bbox": [0, 0, 1, 1], "area": 1} for i, c in pairs]
        annotations.append({"image_id": int(name), "file_name": f"{name}.png", "segments_info": infos})
    values = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / "panoptic_val2017.json").write_text(json.dumps(values))
    return ids


def write_cvat(root: Path, *, save_images: bool = False) -> dict[str, np.ndarray]:
    """`frames`, the last one not annotated, and `export.zip` of "Segmentation mask 1.1"."""
    labels = LabelSet("cvat", tuple((i, name, color) for i, (name, color) in enumerate(CVAT_COLORS.items())))
    export, ids = root / "export", {}
    for number in range(4):
        name = f"frame_{number:06d}"
        save((export / "JPEGImages" if save_images else root / "frames") / f"{name}.jpg", real_image(number, SIZE))
        if number == 3:
            continue
        ids[name] = bands([0, 1, 2], number)
        save(export / "SegmentationClass" / f"{name}.png", labels.colorize(ids[name]))
        objects = np.where(ids[name] == 1, halves(1 + 0 * ids[name], 2), ids[name])
        palette = np.array(VOC_PALETTE, dtype=np.uint8).reshape(-1, 3)
        save(export / "SegmentationObject" / f"{name}.png", palette[objects])
    lines = [f"{name}:{','.join(map(str, color))}::" for name, color in CVAT_COLORS.items()]
    (export / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *lines, ""]))
    lists = export / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("".join(f"{name}\n" for name in ids))
    with zipfile.ZipFile(root / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in export.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(export).as_posix())
    return ids


def write_roboflow(root: Path) -> dict[str, np.ndarray]:
    """Two pairs side by side, and the classes of the masks' values."""
    ids = {}
    for number, name in enumerate(("cat_jpg.rf.0a1b", "dog_jpg.rf.2c3d")):
        save(root / "train" / f"{name}.jpg", real_image(number, SIZE))
        ids[name] = bands([0, 1, 2], number)
        save(root / "train" / f"{name}_mask.png", ids[name].astype(np.uint8))
    (root / "train" / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
    return ids


def write_webdataset(root: Path) -> None:
    """Two pairs in a shard, and the label set beside it."""
    drawn = write_roboflow(root / "files")
    (root / "shards").mkdir()
    with tarfile.open(root / "shards" / "train-00000.tar", "w") as shard:
        for number, name in enumerate(drawn):
            shard.add(root / "files" / "train" / f"{name}.jpg", f"{number:06d}.jpg")
            shard.add(root / "files" / "train" / f"{name}_mask.png", f"{number:06d}.seg.png")
    labels = LabelSet.anonymous(3).to_dict()
    (root / "shards" / "labels.json").write_text(json.dumps(labels))
