"""`spade-hf check`."""

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from spade_hf import LabelSet
from spade_hf_cli import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five pairs of 48x32 pixels, half sky and half grass, the last one half water."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(5):
        ids = np.zeros((32, 48), np.uint8)
        ids[16:] = 5 if number < 4 else 8
        Image.fromarray(ids).save(tmp_path / "masks" / f"{number}.png")
        Image.new("RGB", (48, 32), (50 * number, 90, 120)).save(tmp_path / "images" / f"{number}.jpg")
    return tmp_path


@pytest.fixture
def check(data, capsys):
    """Run the command; its status and what it printed."""

    def run(*options: object) -> tuple[int, str]:
        folders = ["--image_folder", data / "images", "--mask_folder", data / "masks"]
        typed = [*folders, "--label_set", "landscapes", "--resolution", 32, 48, *options]
        status = main(["check", *map(str, typed)])
        return status, capsys.readouterr().out

    return run


@pytest.mark.parametrize("workers", [0, 2])
def test_good_pairs(check, data, workers):
    status, out = check("--num_workers", workers, "--sheet", data / "sheet.png")
    assert status == 0 and "5 pairs read in" in out and ", 0 bad." in out
    assert "sizes (width x height): 48x32 (5)" in out
    table = {
        line.split()[1]: line.split()[2:] for line in out.splitlines() if line.strip()[:1].isdigit() and "%" in line
    }
    assert table == {"sky": ["50.00%", "5"], "grass": ["40.00%", "4"], "water": ["10.00%", "1"]}
    assert "in no pair: cloud, mountain" in out
    sheet = np.array(Image.open(data / "sheet.png")).astype(int)
    head, line, gap = 20, 20, 6
    assert sheet.shape[0] > head + 2 * (32 + line + gap) and sheet.shape[1] == 4 * (96 + gap)
    first = sheet[head:]
    assert np.abs(first[20, 20] - [0, 90, 120]).max() < 12  # the first image
    assert np.abs(2 * first[20, 68] - first[20, 20] - [124, 200, 0]).max() < 3  # and grass over it
    assert (sheet[:head] < 128).any() and (first[32 : 32 + line, :96] < 128).any()  # the heading, the name
    legend = sheet[head + 2 * (32 + line + gap) :]
    for color in LabelSet.from_name("landscapes").palette.tolist():
        assert (legend == color).all(axis=-1).any()


@pytest.mark.parametrize("resolution", [[], [64], [64, 32]])
def test_the_sheet_has_the_photographs_proportions_or_the_crop(data, resolution, capsys):
    folders = ["--image_folder", data / "images", "--mask_folder", data / "masks", "--label_set", "landscapes"]
    chosen = ["--resolution", *resolution] if resolution else []
    options = [*folders, "--num_workers", 0, "--sheet", data / "sheet.png", *chosen]
    assert main(["check", *map(str, options)]) == 0
    height, width = {0: (256, 384), 1: (64, 64), 2: (64, 32)}[len(resolution)]
    sheet = np.array(Image.open(data / "sheet.png")).astype(int)
    assert sheet.shape[1] == max(4 * (2 * width + 6), 190)
    tile = sheet[20 : 20 + height, : 2 * width]
    assert np.abs(tile[height - 2, width - 2] - [0, 90, 120]).max() < 12  # the end of the image, then mask over it
    assert np.abs(2 * tile[height - 2, width + 2] - tile[height - 2, 2] - [124, 200, 0]).max() < 3


def oddities(data: Path, check) -> dict[str, tuple[int, list[str]]]:
    status, out = check("--num_workers", 0, "--json", data / "report.json", "--overwrite")
    report = json.loads((data / "report.json").read_text())
    assert (status, report["bad"]) == (0, 0) and f"{report['pairs']} pairs read" in out
    for one in report["warnings"]:
        assert f"warning: {one['kind']}: {one['count']} " in out and one["files"][0] in out
        assert set(one) == {"kind", "count", "files"}
    return {one["kind"]: (one["count"], one["files"]) for one in report["warnings"]}


def turned(data):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(data / "images" / "1.jpg").save(data / "images" / "1.jpg", exif=exif)
    return {"exif": (1, ["1.jpg"])}


def turned_with_its_mask(data):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(data / "images" / "1.jpg").save(data / "images" / "1.jpg", exif=exif)
    Image.open(data / "masks" / "1.png").save(data / "masks" / "1.png", exif=exif)
    return {}


def sixteen_bits(data):
    Image.fromarray(np.full((32, 48), 4095, np.uint16)).save(data / "images" / "2.png")
    (data / "images" / "2.jpg").unlink()
    Image.fromarray(np.full((32, 48), 65000, np.uint16)).save(data / "images" / "3.png")
    (data / "images" / "3.jpg").unlink()
    return {"range_16bit": (1, ["2.png"])}


def large(data):
    Image.new("RGB", (480, 320)).save(data / "images" / "4.jpg")
    return {"size": (1, ["4.jpg"])}


def rare(data):
    """Water is in pair 4 alone, among enough pairs; and so is one stray number."""
    for number in range(5, 12):
        for folder, end in (("images", ".jpg"), ("masks", ".png")):
            (data / folder / f"{number}{end}").write_bytes((data / folder / f"0{end}").read_bytes())
    ids = np.array(Image.open(data / "masks" / "7.png"))
    ids[0, 0] = 1
    Image.fromarray(ids).save(data / "masks" / "7.png")
    return {"rare_id": (2, ["4.jpg", "7.jpg"])}


@pytest.mark.parametrize("make", [turned, turned_with_its_mask, sixteen_bits, large, rare, lambda data: {}])
def test_what_is_suspicious_is_counted(make, check, data):
    expected = make(data)
    assert oddities(data, check) == expected


def test_masks_in_colors_that_are_guesses(data, capsys):
    """A lossy file, and a palette in another order: read with a tolerance, and counted."""
    labels = LabelSet.from_name("landscapes")
    for number in range(5):
        ids = np.array(Image.open(data / "masks" / f"{number}.png"))
        colors = Image.fromarray(labels.colorize(ids))
        if number == 1:
            (data / "masks" / "1.png").unlink()
            colors.save(data / "masks" / "1.jpg", quality=95)
        elif number == 2:
            colors.quantize(2).save(data / "masks" / "2.png")
        else:
            colors.save(data / "masks" / f"{number}.png")
    assert kinds(data, "landscapes", "--color_tolerance", 442) == {"lossy_mask": ["1.jpg"], "palette": ["2.jpg"]}


def test_transparent_pixels_of_masks_are_unknown(data):
    (data / "labels.csv").write_text("sky,70,130,180\nvoid,0,0,0\n")
    for number in range(5):
        mask = Image.new("RGBA", (48, 32), (70, 130, 180, 255))
        mask.putpixel((5, 5), (70, 130, 180, 0 if number in (1, 3) else 255))
        mask.save(data / "masks" / f"{number}.png")
    assert kinds(data, data / "labels.csv") == {"alpha": ["1.jpg", "3.jpg"]}


def kinds(data: Path, labels: object, *options: object) -> dict[str, list[str]]:
    folders = ["--image_folder", data / "images", "--mask_folder", data / "masks", "--label_set", labels]
    typed = [*folders, "--num_workers", 0, "--json", data / "report.json", *options]
    assert main(["check", *map(str, typed)]) == 0
    return {one["kind"]: one["files"] for one in json.loads((data / "report.json").read_text())["warnings"]}


def test_the_report_lists_some_files_and_the_sheet_shows_them(check, data):
    for number in range(5, 60):
        for folder, end in (("images", ".jpg"), ("masks", ".png")):
            (data / folder / f"{number}{end}").write_bytes((data / folder / f"0{end}").read_bytes())
    exif = Image.Exif()
    exif[0x0112] = 3
    for number in range(25):
        Image.new("RGB", (48, 32), (250, 0, 0)).save(data / "images" / f"{number}.jpg", exif=exif)
    status, out = check("--num_workers", 0, "--json", data / "new" / "report.json", "--sheet", data / "sheet.png")
    warnings = json.loads((data / "new" / "report.json").read_text())["warnings"]
    (found,) = [one for one in warnings if one["kind"] == "exif"]
    assert status == 0 and found["count"] == 25 and len(found["files"]) == 20 and " and 22 more)" in out
    sheet = np.array(Image.open(data / "sheet.png"))[20:].astype(int)
    tops = [(row * 58 + 4, column * 102 + 4) for row in range(6) for column in range(4)]
    assert sum((np.abs(sheet[top, left] - [250, 0, 0]) < 5).all() for top, left in tops) >= 12


def test_an_existing_report_is_kept(data, fails):
    (data / "report.json").write_text("mine")
    folders = ["--image_folder", data / "images", "--mask_folder", data / "masks", "--label_set", "landscapes"]
    fails(
        "check", *map(str, [*folders, "--json", data / "report.json"]), match="report.json exists. Give another file"
    )
    assert (data / "report.json").read_text() == "mine"


def test_all_problems_at_once(check, data):
    Image.fromarray(np.full((32, 48), 77, np.uint8)).save(data / "masks" / "1.png")
    (data / "masks" / "2.png").write_bytes(b"broken")
    Image.new("RGB", (48, 40)).save(data / "images" / "3.jpg")
    status, out = check("--num_workers", 2)
    bad = [line for line in out.splitlines() if line.startswith("bad: ")]
    assert status == 2 and len(bad) == 3 and "5 pairs read" in out and ", 3 bad." in out
    for line, number, words in zip(bad, (1, 2, 3), ("77", "cannot be read", "same frame"), strict=True):
        assert f"Row {number}" in line and words in line and f"{number}.jpg" in line


def test_a_data_set(check, data, capsys):
    columns = {"photo": [str(path) for path in sorted((data / "images").iterdir())]}
    columns["mask"] = [str(path) for path in sorted((data / "masks").iterdir())]
    features = datasets.Features({name: datasets.Image() for name in columns})
    rows = datasets.Dataset.from_dict(columns, features=features)
    rows.to_parquet(data / "pairs.parquet")
    options = ["--image_column", "photo", "--mask_column", "mask", "--label_set", "landscapes", "--num_workers", "0"]
    assert main(["check", "--dataset_name", str(data / "pairs.parquet"), *options]) == 0
    assert "5 pairs read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ([], "Give either --dataset_name, or --image_folder"),
        (["--dataset_name", "{data}/none"], "cannot be loaded"),
        (["--image_folder", "{data}/images", "--mask_folder", "{data}/masks"], "--label_set is missing"),
        (["--image_folder", "{data}/images", "--mask_folder", "{data}/none"], "is neither a folder nor a zip file"),
    ],
)
def test_what_cannot_be_checked_is_one_line(data, fails, options, match):
    fails("check", *[option.format(data=data) for option in options], match=match)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--split", "validation"), "--split belongs to --dataset_name, which is missing"),
        (("--overwrite",), "--overwrite belongs to --sheet or --json, which is missing"),
        (("--resolution", 32, 48, 64), "--resolution has 3 numbers; give one side, or height and width"),
        (("--dataset_config_name", "a"), "--dataset_config_name belongs to --dataset_name; folders have no"),
        (("--mask_column", "mask"), "--mask_column belongs to --dataset_name; folders have no"),
        (("--instance_column", "ids"), "--instance_column belongs to --dataset_name; folders have no"),
    ],
)
def test_options_without_effect_are_refused(data, options, match, fails):
    folders = ["--image_folder", data / "images", "--mask_folder", data / "masks", "--label_set", "landscapes"]
    fails("check", *folders, *options, match=match)


def test_names_with_prefixes_and_one_mask_per_class(data, capsys):
    for folder, prefix in (("images", "image_"), ("masks", "gt_")):
        for file in (data / folder).iterdir():
            file.rename(file.with_name(prefix + file.name))
    for number in range(5):
        ids = np.array(Image.open(data / "masks" / f"gt_{number}.png"))
        for id_, name in ((0, "sky"), (5, "grass"), (8, "water")):
            if (ids == id_).any():
                file = data / "class_masks" / f"image_{number}-{name}-0.png"
                file.parent.mkdir(exist_ok=True)
                Image.fromarray(np.where(ids == id_, 255, 0).astype(np.uint8)).save(file)
    options = ["--label_set", "landscapes", "--num_workers", 0, "--image_folder", data / "images"]
    outputs = []
    for more in (
        ["--mask_folder", data / "masks", "--image_prefix", "image_", "--mask_prefix", "gt_"],
        ["--mask_folder", data / "class_masks", "--class_masks"],
    ):
        assert main(["check", *map(str, [*options, *more])]) == 0
        outputs.append(capsys.readouterr().out.splitlines()[1:])
    assert outputs[0] == outputs[1] and any("water" in line and "10.00%" in line for line in outputs[0])


def test_messages_name_the_options_as_they_are_typed(data, fails):
    (data / "both").mkdir()
    for folder in ("images", "masks"):
        for file in (data / folder).iterdir():
            file.rename(data / "both" / file.name)
    folders = ["--image_folder", data / "both", "--mask_folder", data / "both", "--label_set", "landscapes"]
    fails("check", *map(str, folders), match=r"its mask, pass --image_suffix .jpg --mask_suffix .png\.")
