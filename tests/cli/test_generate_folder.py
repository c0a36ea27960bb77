"""`spade-hf generate --output-dir` on a tiny saved model."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEPipeline
from spade_hf.files import atomic
from spade_hf_cli import main

from .conftest import SIZE


NAMES = ("a", "b", "c", "d", "e")
SOURCES = Path(__file__).parents[2] / "src"


def write_mask(path: Path, seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 12, size, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        write_mask(folder / f"{name}.png", seed)
    (folder / "notes.txt").write_text("not a mask")
    return folder


@pytest.fixture
def paint(model, tmp_path):
    """Run the command into tmp_path/out; the status, and the images by name."""

    def run(*arguments: object) -> tuple[int, dict[str, np.ndarray]]:
        options = ["--model", model, "--output-dir", tmp_path / "out", *arguments]
        status = main(["generate", *map(str, options)])
        return status, {path.name: np.array(Image.open(path)).astype(int) for path in (tmp_path / "out").iterdir()}

    return run


def single(model: Path, mask: Path, **options: object) -> np.ndarray:
    """What the library paints for one mask in the style of seed 0."""
    pipeline = SPADEPipeline.from_pretrained(model)
    if "style_image" not in options and "latents" not in options:
        options["generator"] = torch.Generator().manual_seed(0)
    return np.array(pipeline(mask, **options).images[0]).astype(int)


def test_a_folder_of_masks(model, masks, paint, capsys):
    status, images = paint(masks, "--batch-size", 2)
    assert status == 0 and sorted(images) == [f"{name}.png" for name in NAMES]
    for name in NAMES:
        expected = single(model, masks / f"{name}.png")
        assert np.abs(images[f"{name}.png"] - expected).max() <= 1  # batches may round otherwise
    captured = capsys.readouterr()
    assert [Path(line).name for line in captured.out.splitlines()] == [f"{name}.png" for name in NAMES]
    assert re.search(r"5 pictures in [\d.]+ s, [\d.]+ per second", captured.err)


def test_files_and_folders_of_unlike_proportions(masks, paint, tmp_path):
    wide = write_mask(tmp_path / "wide.png", 9, (SIZE, 2 * SIZE))
    status, images = paint(wide, masks)
    assert status == 0 and len(images) == 6
    height, width, _ = images["wide.png"].shape
    assert width > height


def test_what_exists_is_skipped_unless_overwritten(masks, paint, tmp_path, capsys):
    paint(masks)
    before = (tmp_path / "out" / "b.png").stat().st_mtime_ns
    (tmp_path / "out" / "c.png").unlink()
    capsys.readouterr()
    status, images = paint(masks)
    captured = capsys.readouterr()
    assert status == 0 and captured.out.split() == [str(tmp_path / "out" / "c.png")]
    assert "4 of 5 masks have their pictures already" in captured.err
    assert len(images) == 5 and (tmp_path / "out" / "b.png").stat().st_mtime_ns == before
    paint(masks, "--overwrite")
    assert (tmp_path / "out" / "b.png").stat().st_mtime_ns > before


def test_unfinished_images_of_others_are_kept_and_old_ones_of_ours_removed(masks, paint, tmp_path):
    """Of the user, and of another process that paints into the same folder now; old ones are of a killed process."""
    theirs, old = tmp_path / "out" / "mine.unfinished.png", tmp_path / "out" / f"a.png.{'0' * 16}.unfinished"
    with atomic(tmp_path / "out" / "z.png") as unfinished:
        for path in (unfinished, theirs, old):
            Image.new("RGB", (2, 2)).save(path, format="PNG")
        os.utime(old, (0, 0))
        status, images = paint(masks)
        assert status == 0 and unfinished.exists() and theirs.exists() and not old.exists()
    assert (tmp_path / "out" / "z.png").exists() and not unfinished.exists()


def test_an_image_that_cannot_be_written_does_not_stop_the_rest(model, masks, tmp_path, capsys):
    (tmp_path / "out" / "b.png").mkdir(parents=True)
    arguments = [masks, "--model", model, "--output-dir", tmp_path / "out", "--overwrite"]
    assert main(["generate", *map(str, arguments)]) == 1
    captured = capsys.readouterr()
    assert [Path(line).name for line in captured.out.splitlines()] == ["a.png", "c.png", "d.png", "e.png"]
    assert re.search(r"^failed: .*b\.png: .*[Dd]irectory", captured.err, re.MULTILINE)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}.png" for name in NAMES]


def test_a_name_that_is_not_utf8_is_printed_as_an_escape(model, masks, tmp_path):
    name = os.fsdecode(b"b\xff.png")
    try:
        (masks / "b.png").rename(masks / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    command = [sys.executable, "-m", "spade_hf_cli", "generate", str(masks), "--model", str(model)]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}  # as in a UTF-8 locale such as en_US
    result = subprocess.run(
        [*command, "--output-dir", str(tmp_path / "out")], cwd=SOURCES, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert [Path(line).name for line in result.stdout.splitlines()] == [
        "a.png", "b\\udcff.png", "c.png", "d.png", "e.png"
    ]  # fmt: skip
    assert (tmp_path / "out" / name).exists()


def test_failures_name_the_option_as_typed(masks, paint, capsys):
    red, green, blue = LabelSet.from_name("landscapes").palette[0].tolist()
    Image.new("RGB", (SIZE, SIZE), (red + 1, green, blue)).save(masks / "b.png")
    assert paint(masks)[0] == 1
    assert re.search(r"failed: .*b\.png.*or pass --color-tolerance \d+", capsys.readouterr().err)


def test_a_broken_mask_does_not_stop_the_rest(masks, paint, capsys):
    (masks / "b.png").write_bytes(b"broken")
    Image.fromarray(np.full((SIZE, SIZE), 77, np.uint8)).save(masks / "d.png")
    status, images = paint(masks)
    assert status == 1 and sorted(images) == ["a.png", "c.png", "e.png"]
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2
    assert "b.png" in failed[0] and "d.png" in failed[1] and "77" in failed[1]


def test_one_style_for_all_or_one_each(model, masks, paint, tmp_path):
    styles = []
    for number in range(len(NAMES)):
        color = (40 * number, 200 - 30 * number, 90)
        Image.new("RGB", (32, 32), color).save(tmp_path / f"style{number}.png")
        styles.append(tmp_path / f"style{number}.png")
    _, images = paint(masks, "--style", styles[3])
    assert np.abs(images["b.png"] - single(model, masks / "b.png", style_image=styles[3])).max() <= 1
    _, images = paint(masks, "--overwrite", "--style", *styles)
    for name, style in zip(NAMES, styles, strict=True):
        expected = single(model, masks / f"{name}.png", style_image=style)
        assert np.abs(images[f"{name}.png"] - expected).max() <= 1


def test_a_blend_goes_from_style_to_style(model, masks, paint, tmp_path):
    styles = [tmp_path / f"style{number}.png" for number in range(3)]
    for number, path in enumerate(styles):
        Image.new("RGB", (32, 32), (100 * number, 50, 200)).save(path)
    _, images = paint(masks, "--style", *styles, "--blend")
    z = SPADEPipeline.from_pretrained(model).encode_style([str(path) for path in styles])
    for name, latents in zip(NAMES, [z[0], (z[0] + z[1]) / 2, z[1], (z[1] + z[2]) / 2, z[2]], strict=True):
        expected = single(model, masks / f"{name}.png", latents=latents[None])
        assert np.abs(images[f"{name}.png"] - expected).max() <= 1


def test_several_random_styles_of_each(model, masks, paint):
    status, images = paint(masks, "--num-images", 2, "--seed", 3)
    assert status == 0 and len(images) == 10
    generator = torch.Generator().manual_seed(3)
    expected = SPADEPipeline.from_pretrained(model)(masks / "e.png", num_images_per_mask=2, generator=generator).images
    assert np.abs(images["e-1.png"] - np.array(expected[1])).max() <= 1
    assert (images["e-0.png"] != images["e-1.png"]).any()


def test_a_data_set_with_a_broken_row(model, masks, paint, tmp_path, capsys):
    cells = [{"bytes": (masks / f"{name}.png").read_bytes(), "path": None} for name in NAMES]
    cells[1] = {"bytes": b"broken", "path": None}
    features = datasets.Features({"segmentation": datasets.Image()})
    datasets.Dataset.from_dict({"segmentation": cells}, features=features).to_parquet(tmp_path / "masks.parquet")
    status, images = paint("--dataset", tmp_path / "masks.parquet", "--mask-column", "segmentation")
    assert status == 1 and sorted(images) == ["0.png", "2.png", "3.png", "4.png"]
    assert np.abs(images["2.png"] - single(model, masks / "c.png")).max() <= 1
    assert "failed: row 1 of" in capsys.readouterr().err


def test_half_precision(masks, paint):
    _, full = paint(masks)
    _, half = paint(masks, "--overwrite", "--dtype", "bfloat16")
    assert 0 < np.abs(full["a.png"] - half["a.png"]).max() < 60


@pytest.mark.slow
def test_a_killed_run_goes_on(model, masks, tmp_path):
    for number in range(60):
        write_mask(masks / f"{number:03d}.png", number)
    command = [
        sys.executable,
        "-m",
        "spade_hf_cli",
        "generate",
        str(masks),
        "--model",
        str(model),
        "--batch-size",
        "1",
    ]
    command += ["--output-dir", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=SOURCES, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list((tmp_path / "out").glob("0*.png"))) < 10:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert subprocess.run(command, cwd=SOURCES, capture_output=True, check=False).returncode == 0
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == sorted(path.with_suffix(".png").name for path in masks.glob("*.png"))
    for file in files:
        Image.open(tmp_path / "out" / file).load()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["{masks}"], "--output-dir is missing: it is needed for several masks"),
        (["{masks}/a.png", "{masks}/b.png"], "--output-dir is missing"),
        (["{masks}/a.png", "--style", "x", "y"], "--output-dir is missing"),
        (["--style", "{masks}/a.png", "--output-dir", "o"], "Write masks before --style"),
        (["{masks}", "--dataset", "x", "--output-dir", "o"], "Give masks, or --dataset"),
        (["{masks}", "--output-dir", "o", "--output", "x.png"], "Leave one of them out"),
        (["{masks}", "{masks}/a.png", "--output-dir", "o"], "would both become a.png"),
        (["{masks}", "--output-dir", "o", "--style", "x", "y"], "--style has 2 pictures for 5 masks"),
        (["{masks}", "--output-dir", "o", "--style", "x", "--blend"], "give --style two pictures or more"),
        (["{masks}", "--output-dir", "{masks}/a.png"], "which is a file. Give a folder"),
        (["{masks}", "--output-dir", "{masks}", "--overwrite"], "which this command reads"),
        (["{masks}/a.png", "{masks}/b.png", "--output-dir", "{masks}"], "would replace .*a.png. Give another folder"),
        (["--dataset", "x", "--output-dir", "o", "--instance-map", "m"], "--dataset has --instance-column"),
        (["{empty}", "--output-dir", "o"], "holds no image file"),
        (["{masks}", "--output-dir", "o", "--instance-map", "{empty}"], "holds no image file"),
        (["--dataset", "{empty}", "--output-dir", "o"], "cannot be loaded"),
    ],
)
def test_what_cannot_be_painted_is_one_line(model, masks, tmp_path, monkeypatch, fails, arguments, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    typed = [argument.format(masks=masks, empty=tmp_path / "empty") for argument in arguments]
    fails("generate", *typed, "--model", model, match=match)
    assert not (tmp_path / "o").exists() or not any((tmp_path / "o").iterdir())
