"""Names of files as disks, cameras and other programs leave them."""

import os
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spade_hf.data import load_folders

from ..dataset_layouts import save
from ..training_data import real_image


SIZE = (8, 8)


def write(folder: Path, *names: str, value: int | None = None) -> str:
    """An image of each name, or a mask of one value."""
    for number, name in enumerate(names):
        save(folder / name, real_image(number, SIZE) if value is None else np.full(SIZE, value, np.uint8))
    return str(folder)


def pair(root: Path, photographs: list[str], masks: list[str], **options) -> list[str]:
    """The paired names of photographs."""
    folders = {"image": write(root / "photos", *photographs), "label": write(root / "masks", *masks, value=1)}
    rows = load_folders(folders, **options)
    assert all(row["label"].getpixel((0, 0)) == 1 for row in rows)
    return rows["file_name"][:]


@pytest.mark.parametrize("linked", ["a subfolder", "the folder", "a file"])
def test_links_are_followed(linked, tmp_path):
    for kind in ("photos", "masks"):
        end, value = (".jpg", None) if kind == "photos" else (".png", 1)
        write(tmp_path / kind / "here", f"0{end}", value=value)
        store = tmp_path / "store" / kind
        write(store, f"1{end}", f"2{end}", value=value)
        (tmp_path / kind / "linked").symlink_to(store, target_is_directory=True)
        if linked == "the folder":
            (tmp_path / kind).rename(tmp_path / f"real {kind}")
            (tmp_path / kind).symlink_to(tmp_path / f"real {kind}", target_is_directory=True)
        elif linked == "a file":
            (tmp_path / kind / "linked").unlink()
            (tmp_path / kind / "linked").mkdir()
            for file in store.iterdir():
                (tmp_path / kind / "linked" / file.name).symlink_to(file)
    folders = {"image": str(tmp_path / "photos"), "label": str(tmp_path / "masks")}
    found = load_folders(folders, suffixes={"label": ".png"})["file_name"][:]
    assert found == ["here/0.jpg", "linked/1.jpg", "linked/2.jpg"]


def test_a_link_to_a_folder_around_it_is_no_endless_loop(tmp_path):
    for kind, value in (("photos", None), ("masks", 1)):
        write(tmp_path / kind / "a" / "b", "0.png", value=value)
        (tmp_path / kind / "a" / "b" / "up").symlink_to(tmp_path / kind, target_is_directory=True)
    folders = {"image": str(tmp_path / "photos"), "label": str(tmp_path / "masks")}
    assert load_folders(folders, suffixes={"label": ".png"})["file_name"][:] == ["a/b/0.png"]


@pytest.mark.parametrize("is_zip", [False, True])
def test_hidden_files_are_left_out(is_zip, tmp_path):
    photographs = write(tmp_path / "photos", "1.jpg", "._1.jpg", ".thumbnails/1.jpg")
    masks = write(tmp_path / "masks", "1.png", "._1.png", "__MACOSX/1.png", value=1)
    if is_zip:
        with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
            for name in ("1.png", "._1.png", "__MACOSX/1.png"):
                archive.write(tmp_path / "masks" / name, name)
        masks = str(tmp_path / "masks.zip")
    for options in ({}, {"suffixes": {"label": ".png"}}):
        assert load_folders({"image": photographs, "label": masks}, **options)["file_name"][:] == ["1.jpg"]


def test_both_unicode_forms_of_a_letter_are_one_name(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "forêt") for form in ("NFC", "NFD"))
    assert composed != decomposed
    (tmp_path / "list.txt").write_text(f"{decomposed}\n", encoding="utf-8")
    for number, options in enumerate(({}, {"suffixes": {"label": ".png"}}, {"file_list": str(tmp_path / "list.txt")})):
        found = pair(tmp_path / str(number), [f"{composed}.jpg"], [f"{decomposed}.png"], **options)
        assert found == [f"{composed}.jpg"]
    with pytest.raises(ValueError, match=r"masks has both .* and .*\. Their names count as equal: rename one"):
        pair(tmp_path / "both", [f"{composed}.jpg"], [f"{composed}.png", f"{decomposed}.png"])


@pytest.mark.parametrize(
    "name", ["photo [1]", "a*b?", "a#b", "50%", "{x}", "a::b", "zip:a", "'quoted\" $name", " ", "a\\b", "http:x"]
)
def test_characters_that_mean_something_elsewhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path(name)  # also as a relative folder, where `http:x/1.jpg` looks like an address
    assert pair(root, [f"{name}.png"], [f"{name}.png"]) == [f"{name}.png"]


def test_names_without_extension(tmp_path):
    for folder in ("photos", "masks"):
        for name in ("1", "2"):
            save(tmp_path / "with" / folder / f"{name}.png", np.full(SIZE, 1, np.uint8))
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / "with" / folder / f"{name}.png").rename(tmp_path / folder / name)
    folders = {"image": str(tmp_path / "photos"), "label": str(tmp_path / "masks")}
    with pytest.raises(ValueError, match=r"photos has 2 files without an .* 1\. .*`suffixes=\{'image': ''\}`"):
        load_folders(folders)
    assert load_folders(folders, suffixes={"image": "", "label": ""})["file_name"][:] == ["1", "2"]


def test_names_that_differ_in_case_alone(tmp_path):
    with pytest.raises(
        ValueError, match=r"IMG_1 and img_1 differ in upper and lower case only|img_1 and IMG_1 differ"
    ):
        pair(tmp_path / "one", ["IMG_1.JPG"], ["img_1.png"])
    if not (tmp_path / "ONE").exists():  # a disk that tells the names apart
        assert pair(tmp_path / "two", ["a.jpg", "A.jpg"], ["a.png", "A.png"]) == ["A.jpg", "a.jpg"]


def test_names_that_are_not_utf8(tmp_path):
    try:
        for folder, end in (("photos", b".jpg"), ("masks", b".png")):
            write(tmp_path / folder, f"1{end.decode()}")
            os.rename(tmp_path / folder / f"1{end.decode()}", os.fsencode(tmp_path / folder) + b"/stra\xdfe" + end)
    except OSError:
        pytest.skip("this disk takes UTF-8 alone")
    with pytest.raises(
        ValueError, match=r"photos/stra\\xdfe\.jpg has a name that is not UTF-8. Rename it; `convmv"
    ) as e:
        load_folders({"image": str(tmp_path / "photos"), "label": str(tmp_path / "masks")})
    assert str(e.value).encode()  # it can be printed
    (tmp_path / os.fsdecode(b"photos/stra\xdfe.jpg")).rename(tmp_path / "photos" / os.fsdecode(b"stra\xdfe.txt"))
    write(tmp_path / "photos", "1.jpg")
    with pytest.raises(ValueError, match=r"masks/stra\\xdfe\.png has a name"):  # a text beside images does not matter
        load_folders({"image": str(tmp_path / "photos"), "label": str(tmp_path / "masks")})


@pytest.mark.parametrize(
    ("photographs", "message"),
    [
        (["1.jpg", "1.png"], r"photos has both 1.jpg and 1.png. Keep one of them, or choose .*\{'image': '.jpg'\}"),
        (["day 1/1.jpg", "day 2/1.jpg"], r"has its 2 images in subfolders, .*day 1/1.jpg. .*\{'image': '.jpg'\}"),
        (["1.txt", "2.txt", "3.pdf"], r"photos holds no image file; files there: 2 .txt, 1 .pdf. Give"),
        (["1.HEIC"], r"photos has 1 .HEIC files, which Pillow cannot read here. Convert them to JPEG"),
        ([".hidden.png"], r"photos is empty"),
    ],
)
def test_a_folder_that_cannot_be_paired_is_described(photographs, message, tmp_path):
    for name in photographs:
        save(tmp_path / "drawn.png", real_image(0, SIZE))
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "drawn.png").rename(tmp_path / "photos" / name)
    masks = write(tmp_path / "masks", "1.png", value=1)
    with pytest.raises(ValueError, match=message):
        load_folders({"image": str(tmp_path / "photos"), "label": masks})


def test_masks_beside_their_images(tmp_path):
    folder = write(tmp_path / "data", "0.png", "0.jpg")
    with pytest.raises(
        ValueError, match=r"an image and its mask, pass `suffixes=\{'image': '.jpg', 'label': '.png'\}`"
    ):
        load_folders({"image": folder, "label": folder})
    assert len(load_folders({"image": folder, "label": folder}, suffixes={"image": ".jpg", "label": ".png"})) == 1


def test_a_suffix_that_no_file_has(tmp_path):
    with pytest.raises(
        ValueError, match=r"photos has no file that ends with '.jpg'; files there: 1 .JPG, such as 1.JPG"
    ):
        pair(tmp_path, ["1.JPG"], ["1.png"], suffixes={"image": ".jpg"})


def test_prefixes(tmp_path):
    photographs, masks = ["image_1.jpg", "image_2.jpg", "other.jpg"], ["a/gt_1.png", "gt_2.png"]
    with pytest.raises(ValueError, match=r"their starts by `prefixes`"):
        pair(tmp_path, photographs, masks[1:])
    prefixes = {"image": "image_", "label": "gt_"}
    with pytest.raises(ValueError, match=r"masks has no file for 1"):
        pair(tmp_path, photographs, masks, prefixes=prefixes)
    write(tmp_path / "photos" / "a", "image_1.jpg")
    (tmp_path / "photos" / "image_1.jpg").unlink()
    found = pair(tmp_path, [], [], prefixes=prefixes, suffixes={"label": ".png"})
    assert found == ["image_2.jpg", "a/image_1.jpg"]
    with pytest.raises(ValueError, match=r"masks has no file that starts with 'mask_'"):
        pair(tmp_path, [], [], prefixes={"label": "mask_"})
    with pytest.raises(ValueError, match=r"`prefixes` has mask; there are folders for image, label"):
        pair(tmp_path, [], [], prefixes={"mask": "mask_"})


def test_a_zip_file_is_opened_once_for_all_images(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number in range(5):
            save(tmp_path / f"{number}.png", real_image(number, SIZE))
            archive.write(tmp_path / f"{number}.png", f"{number}.png")
    rows = load_folders({"image": str(tmp_path / "photos.zip")})
    opened = []
    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", _counting(zipfile.ZipFile._RealGetContents, opened))
    assert all(np.array_equal(row["image"], real_image(number, SIZE)) for number, row in enumerate(rows))
    assert len(opened) == 1


def _counting(function, calls):
    def count(self):
        calls.append(self)
        return function(self)

    return count


def test_names_of_a_zip_file_are_no_addresses(tmp_path):
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.writestr("x::http://127.0.0.1/y.png", b"")
    with pytest.raises(ValueError, match=r"masks.zip has a file called 'x::http://127.0.0.1/y.png'; names with `::`"):
        load_folders({"image": write(tmp_path / "photos", "1.jpg"), "label": str(tmp_path / "masks.zip")})


def test_a_damaged_zip_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.writestr("1.png", b"x" * 100)
    content = (tmp_path / "masks.zip").read_bytes()
    (tmp_path / "masks.zip").write_bytes(content.replace(b"PK\x01\x02", b"PKxx"))
    with pytest.raises(ValueError, match=r"masks.zip cannot be read as a zip file: .* Copy or export it again"):
        load_folders({"image": write(tmp_path / "photos", "1.jpg"), "label": str(tmp_path / "masks.zip")})
