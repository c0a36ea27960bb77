"""The landscape renderer: its options, the data set that it writes, and, where Mitsuba is installed, an image."""

import importlib
import io
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from datasets import Image, Value, load_dataset
from PIL import Image as PILImage

from spade_hf import LabelSet


LANDSCAPES = Path(__file__).resolve().parents[2] / "examples" / "landscapes"
SETTINGS = {"size": 32, "samples_per_pixel": 4, "styles": 2, "style_names": None, "kind": None}
MAP_SETTINGS = {"size": 32, "samples_per_pixel": 4, "labels_only": True, "kind": None}
STYLES = ["noon", "dusk"]


def render(*options: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(LANDSCAPES / "render.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


@pytest.fixture
def load_module(monkeypatch: pytest.MonkeyPatch):
    """Imports a module of the example as its script does."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(LANDSCAPES)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(LANDSCAPES) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def dataset_folder(load_module) -> ModuleType:
    return load_module("dataset_folder")


def fake_rows(dataset_folder: ModuleType, layout: int) -> list[dict]:
    """Two small images of noise, with a label map that is the layout's number modulo 12."""
    rng = np.random.default_rng(layout)
    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    labels = np.full((32, 32), layout % 12, np.uint8)
    return [
        dataset_folder.encode_row(
            image, labels, layout=layout, index=index, kind="lake", style=style, sun_elevation=1.5
        )
        for index, style in enumerate(STYLES)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--layouts 0", "--layouts is 0; at least 1 is needed"),
        ("--first -1", "--first and --layouts ask for layouts -1 to 6; 0 to 99999 are allowed"),
        ("--first 99999 --layouts 2", "--first and --layouts ask for layouts 99999 to 100000; 0 to 99999 are allowed"),
        ("--styles 0", "--styles is 0; at least 1 is needed"),
        ("--size 65", "--size is 65; even numbers from 32 to 1024 are allowed"),
        ("--size 2048", "--size is 2048; even numbers from 32 to 1024 are allowed"),
        ("--samples_per_pixel 0", "--samples_per_pixel is 0; at least 1 is needed"),
        ("--style_names noon noon", "--style_names noon noon has a name twice"),
        ("--labels_only --styles 2", "--labels_only makes no pictures: --styles and --style_names cannot be given"),
        ("--labels_only --style_names noon", "--labels_only makes no pictures"),
        ("--style_names night", "invalid choice: 'night'"),
        ("--kind moon", "invalid choice: 'moon'"),
        ("--layouts 2 --validation_layouts 3", "--validation_layouts is 3; 0 to --layouts (2) are allowed"),
        (
            "--first 8999 --layouts 2 --validation_layouts 1",
            "layouts below 1000 and from 9000 up are not for training",
        ),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: str, message: str):
    result = render("--output_dir", str(tmp_path / "data"), *options.split())
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "data").exists()


def test_an_old_llvm_is_refused_before_it_aborts_the_process(tmp_path: Path):
    result = render("--output_dir", str(tmp_path / "data"), DRJIT_LIBLLVM_PATH="/usr/lib/x/libLLVM-14.so.1")
    assert result.returncode == 2
    assert "LLVM 16 or newer is needed: apt-get install libllvm19" in result.stderr.splitlines()[-1]


def test_a_missing_renderer_is_one_line(tmp_path: Path):
    if importlib.util.find_spec("mitsuba"):
        pytest.skip("Mitsuba is installed")
    result = render("--output_dir", str(tmp_path / "data"), DRJIT_LIBLLVM_PATH="/usr/lib/x/libLLVM.so.19.1")
    assert result.returncode == 2
    assert "Remedy: pip install -r" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_labels_are_those_of_the_library(load_module, tmp_path: Path):
    label_set = LabelSet.from_name("landscapes")
    vocabulary = load_module("vocabulary")
    assert vocabulary.LABELS == [label.name for label in label_set.labels]
    assert vocabulary.PALETTE == [tuple(label.color) for label in label_set.labels]
    (tmp_path / "labels.json").write_text(load_module("data_card").labels_json())
    assert LabelSet.from_file(tmp_path / "labels.json").labels == label_set.labels


def test_layouts_go_to_the_splits_that_they_are_for(load_module):
    script = load_module("render")
    options = "--output_dir x --first {} --layouts {} --validation_layouts {}"

    def splits(*numbers: int) -> dict[int, str]:
        return script.choose_splits(script.build_parser().parse_args(options.format(*numbers).split()))

    assert splits(998, 4, 0) == {998: "test", 999: "test", 1000: "train", 1001: "train"}
    assert splits(8998, 4, 0) == {8998: "train", 8999: "train", 9000: "test", 9001: "test"}
    assert splits(1000, 3, 1) == {1000: "train", 1001: "train", 1002: "validation"}
    options += " --labels_only"
    assert splits(999, 2, 0) == {999: "test", 1000: "train"}
    assert splits(8999, 2, 0) == {8999: "train", 9000: "test"}


def test_a_written_folder_loads(dataset_folder: ModuleType, tmp_path: Path):
    folder = dataset_folder.DatasetFolder(tmp_path / "data", SETTINGS)
    for layout, split in ((1000, "train"), (1001, "train"), (1003, "train"), (1002, "validation")):
        folder.add(split, layout, fake_rows(dataset_folder, layout))
    data = load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    assert {split: data[split].num_rows for split in data} == {"train": 6, "validation": 2}
    assert data["train"].features == {
        "image": Image(),
        "label": Image(),
        "style": Value("string"),
        "kind": Value("string"),
        "layout": Value("int32"),
        "sun_elevation": Value("float32"),
    }
    assert data["train"]["layout"][:] == [1000, 1000, 1001, 1001, 1003, 1003]
    row = data["train"][3]
    assert (row["style"], row["kind"], row["sun_elevation"]) == ("dusk", "lake", 1.5)
    assert np.unique(np.array(row["label"])).tolist() == [1001 % 12]
    assert row["image"].format == "JPEG" and row["image"].size == (32, 32)
    card = (tmp_path / "data" / "README.md").read_text()
    assert "license: cc0-1.0" in card
    assert "| train | 3: 1000-1001, 1003 | 6 |" in card
    assert "path: data/validation-*.parquet" in card and "data/test-" not in card


def test_a_folder_of_label_maps_loads_and_takes_no_images(dataset_folder: ModuleType, load_module, tmp_path: Path):
    folder = dataset_folder.DatasetFolder(tmp_path / "maps", MAP_SETTINGS)
    for layout in (1000, 1001):
        labels = np.full((32, 32), layout % 12, np.uint8)
        folder.add("train", layout, [dataset_folder.encode_labels(labels, layout=layout, index=0, kind="sea")])
    assert folder.missing(dict.fromkeys((1000, 1001, 1002), "train")) == [1002]
    data = load_dataset(str(tmp_path / "maps"), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.features == {"label": Image(), "kind": Value("string"), "layout": Value("int32")}
    assert data["layout"][:] == [1000, 1001]
    assert np.unique(np.array(data[1]["label"])).tolist() == [1001 % 12]
    card = (tmp_path / "maps" / "README.md").read_text()
    assert "2 label maps of procedural landscapes, without pictures" in card
    assert "| train | 2: 1000-1001 | 2 |" in card
    assert "`image`" not in card and "`style`" not in card

    with pytest.raises(ValueError, match="`styles` is 2, but the pictures in .* were begun with None"):
        dataset_folder.DatasetFolder(tmp_path / "maps", SETTINGS)
    dataset_folder.DatasetFolder(tmp_path / "images", SETTINGS)
    with pytest.raises(ValueError, match="`labels_only` is True, but the pictures in .* were begun with None"):
        dataset_folder.DatasetFolder(tmp_path / "images", MAP_SETTINGS)

    files = [folder.path("train", layout) for layout in (1000, 1001)]
    load_module("contact_sheet").save_contact_sheet(files, tmp_path / "sheet.png", cell=16)
    sheet = PILImage.open(tmp_path / "sheet.png")
    assert sheet.size == (16, 32)
    assert sheet.getpixel((5, 20)) == load_module("vocabulary").PALETTE[1001 % 12]


def test_a_view_keeps_what_reaches_into_the_image(load_module):
    layout = load_module("layout").draw_layout(1000)
    layout.pitch, layout.field_of_view = 5.0, 60.0
    view = load_module("view").View(layout, 3.0)
    ahead, left, behind, zenith = [0, 10, 3], [-50, 10, 3], [0, -10, 3], [0, 1, 50]
    wide = [[-1000, 100, 3], [1000, 100, 3], [0, 100, 3]]  # corners on both sides of the image
    vertices = np.array([ahead, left, behind, zenith, *wide], float)
    faces = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3], [0, 1, 2], [4, 5, 6]])
    assert view.shows(vertices, faces).tolist() == [True, False, False, False, True, True]
    azimuths = np.radians(np.arange(-60, 61))
    # looking up, the upper corners are at 31.6 degrees, and two more are kept for gradients
    assert np.degrees(view.crop(azimuths)[[0, -1]]).round().tolist() == [-33, 33]


def test_a_killed_run_goes_on(dataset_folder: ModuleType, tmp_path: Path):
    splits = dict.fromkeys((1000, 1001), "train")
    folder = dataset_folder.DatasetFolder(tmp_path / "data", SETTINGS)
    assert folder.missing(splits) == [1000, 1001]
    folder.add("train", 1000, fake_rows(dataset_folder, 1000))
    complete = folder.path("train", 1000)
    content, written = complete.read_bytes(), complete.stat().st_mtime_ns
    # what is left when the run is killed while it writes
    complete.with_name("train-01001.unfinished").write_bytes(content[: len(content) // 2])
    (tmp_path / "data" / "README.md.unfinished").write_text("---")
    assert load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))["train"].num_rows == 2

    resumed = dataset_folder.DatasetFolder(tmp_path / "data", SETTINGS)
    assert resumed.missing(splits) == [1001]
    resumed.add("train", 1001, fake_rows(dataset_folder, 1001))
    assert resumed.missing(splits) == []
    assert complete.stat().st_mtime_ns == written
    assert sorted(path.name for path in (tmp_path / "data" / "data").iterdir()) == [
        "train-01000.parquet",
        "train-01001.parquet",
    ]
    assert not list((tmp_path / "data").glob("*.unfinished"))


def test_a_folder_of_something_else_is_refused(dataset_folder: ModuleType, tmp_path: Path):
    folder = dataset_folder.DatasetFolder(tmp_path / "data", SETTINGS)
    folder.add("train", 1000, fake_rows(dataset_folder, 1000))
    with pytest.raises(ValueError, match="`size` is 64, but the pictures in .* were begun with 32"):
        dataset_folder.DatasetFolder(tmp_path / "data", SETTINGS | {"size": 64})
    with pytest.raises(ValueError, match="layout 1000 is in the split train .* would now be in validation"):
        folder.missing({1000: "validation"})
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(ValueError, match="is not empty and holds no data set of render.py"):
        dataset_folder.DatasetFolder(tmp_path / "photos", SETTINGS)
    with pytest.raises(ValueError, match="holiday.jpg is not a folder"):
        dataset_folder.DatasetFolder(tmp_path / "photos" / "holiday.jpg", SETTINGS)


def test_contact_sheet(dataset_folder: ModuleType, load_module, tmp_path: Path):
    folder = dataset_folder.DatasetFolder(tmp_path / "data", SETTINGS)
    for layout in (1000, 1001):
        folder.add("train", layout, fake_rows(dataset_folder, layout))
    files = [folder.path("train", layout) for layout in (1000, 1001)]
    load_module("contact_sheet").save_contact_sheet(files, tmp_path / "sheets" / "sheet.png", cell=16)
    sheet = PILImage.open(tmp_path / "sheets" / "sheet.png")
    assert sheet.size == (32, 64)
    assert sheet.getpixel((5, 20)) == load_module("vocabulary").PALETTE[1000 % 12]


@pytest.mark.slow
def test_the_published_image_is_rendered_again(shared_folder: Path, tmp_path: Path):
    """Layout 1372 in its first style, resumed once: what the bundled model's data set holds."""
    pytest.importorskip("mitsuba")
    published = load_dataset(str(shared_folder / "data" / "landscapes-256"), split="validation")[0]
    options = ["--output_dir", str(tmp_path / "data"), "--first", "1372", "--layouts", "1", "--styles", "1"]
    result = render(*options)
    assert result.returncode == 0, result.stderr
    row = load_dataset(str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))[0]
    for column in ("layout", "kind", "style", "sun_elevation"):
        assert row[column] == published[column]
    # another processor may round differently
    assert (np.array(row["label"]) == np.array(published["label"])).mean() > 0.999
    difference = np.array(row["image"]).astype(float) - np.array(published["image"])
    assert np.abs(difference).mean() < 0.5

    again = render(*options)
    assert again.returncode == 0, again.stderr
    assert "0 layouts rendered, 1 were complete before" in again.stdout


@pytest.mark.slow
def test_every_style_of_a_tiny_layout(tmp_path: Path):
    pytest.importorskip("mitsuba")
    sheet = tmp_path / "sheet.png"
    options = "--first 3 --layouts 1 --styles 8 --size 32 --samples_per_pixel 2".split()
    result = render("--output_dir", str(tmp_path / "data"), "--sheet", str(sheet), *options)
    assert result.returncode == 0, result.stderr
    data = load_dataset(str(tmp_path / "data"), split="test", cache_dir=str(tmp_path / "cache"))
    assert len(set(data["style"][:7])) == 7 and data["style"][7] == data["style"][0]
    images = [np.array(image) for image in data["image"]]
    assert all(image.std() > 5 for image in images)
    assert not np.array_equal(images[0], images[7])  # another variant of the style
    assert PILImage.open(io.BytesIO(sheet.read_bytes())).size == (8 * 256, 512)


@pytest.mark.slow
def test_label_maps_are_those_of_the_images(tmp_path: Path):
    pytest.importorskip("mitsuba")
    options = "--first 1002 --layouts 3 --size 64 --samples_per_pixel 2".split()
    maps = []
    for name, mode in (("images", ["--styles", "1"]), ("maps", ["--labels_only"])):
        result = render("--output_dir", str(tmp_path / name), *options, *mode)
        assert result.returncode == 0, result.stderr
        data = load_dataset(str(tmp_path / name), split="train", cache_dir=str(tmp_path / "cache"))
        assert data["layout"][:] == [1002, 1003, 1004]
        maps.append(np.stack([np.array(label) for label in data["label"]]))
    assert np.array_equal(*maps)
    assert len(np.unique(maps[0])) > 4


@pytest.mark.slow
def test_another_size_shows_the_same_scene(tmp_path: Path):
    """A forest by a lake, whose trees once depended on the size."""
    pytest.importorskip("mitsuba")
    options = "--first 1007 --layouts 1 --styles 1 --style_names noon --samples_per_pixel 4".split()
    rows = []
    for size in ("128", "256"):
        result = render("--output_dir", str(tmp_path / size), *options, "--size", size)
        assert result.returncode == 0, result.stderr
        rows.append(load_dataset(str(tmp_path / size), split="train", cache_dir=str(tmp_path / "cache"))[0])
    small, large = rows
    image, enlarged = np.array(small["image"]).astype(float), np.array(large["image"]).astype(float)
    reduced = enlarged.reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(image - reduced).mean() < 7.5
    votes = np.array(large["label"]).reshape(128, 2, 128, 2) == np.array(small["label"])[:, None, :, None]
    assert votes.mean() > 0.96
