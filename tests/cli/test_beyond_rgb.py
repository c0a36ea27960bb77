"""Commands with models of other images than 8-bit RGB: what they write, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEPipeline, SPADEStyleEncoder
from spade_hf.images.photo_files import open_photo
from spade_hf_cli import main

from .conftest import SIZE


def save_model(folder: Path, **images) -> Path:
    """A model of landscapes, with or without a range of values."""
    torch.manual_seed(0)
    count = images.get("image_channels", 3)
    generator = SPADEGenerator(
        num_labels=12,
        image_size=SIZE,
        base_channels=4,
        latent_dim=8,
        spade_hidden_channels=8,
        use_spectral_norm=False,
        image_channels=count,
    )
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    encoder = SPADEStyleEncoder(
        image_size=32, base_channels=4, channel_mult=(1, 2), latent_dim=8, image_channels=count
    )
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"), **images)
    SPADEPipeline(generator, processor, encoder).save_pretrained(folder)
    return folder


KINDS = [
    ({"image_channels": 1}, "output.png", "uint8"),
    ({"image_channels": 1, "value_range": (0, 65535)}, "output.png", "uint16"),
    ({"image_channels": 1, "value_range": (-1000, 1000)}, "output.tiff", "float32"),
    ({"image_channels": 5}, "output.tiff", "uint8"),
    ({"image_channels": 5, "value_range": (0, 4095)}, "output.tiff", "uint16"),
    ({"value_range": (0, 65535)}, "output.tiff", "uint16"),
]


@pytest.mark.parametrize("images, name, dtype", KINDS, ids=[str(kind[0]) for kind in KINDS])
def test_generate_writes_what_the_model_has_read(mask, tmp_path, monkeypatch, capsys, images: dict, name, dtype: str):
    """One mask, and a folder of them; the numbers are those of the pipeline."""
    model, count = save_model(tmp_path / "model", **images), images.get("image_channels", 3)
    monkeypatch.chdir(tmp_path)
    assert main(["generate", str(mask), "--model", str(model)]) == 0
    assert main(["generate", str(mask), "--model", str(model), "--output", "own.npy"]) == 0
    assert main(["generate", str(mask), "--model", str(model), "--output-dir", "many"]) == 0
    found = np.atleast_3d(np.array(open_photo(Path(name), argument="it", image_channels=count)))
    assert found.shape == (SIZE, SIZE, count) and found.dtype == dtype and found.std() > 0
    assert np.array_equal(np.load("own.npy"), found)
    other = open_photo(Path("many", f"mask{Path(name).suffix}"), argument="it", image_channels=count)
    assert np.abs(np.atleast_3d(np.array(other)).astype(float) - found).max() <= 1
    pipeline = SPADEPipeline.from_pretrained(model)
    seeded = {"generator": torch.Generator().manual_seed(0)}
    if "value_range" in images:
        expected = pipeline(mask, output_type="np", denormalize=True, **seeded).images[0]
    else:
        expected = pipeline(mask, output_type="np", **seeded).images[0] * 255
    assert np.abs(expected - found.astype(float)).max() < (0.51 if dtype != "float32" else 0.1)


def test_a_style_has_the_channels_and_units_of_the_model(mask, tmp_path, fails):
    model = save_model(tmp_path / "model", image_channels=5, value_range=(0, 4095))
    style = np.random.default_rng(0).integers(0, 4096, (40, 40, 5), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "style.tiff", style, photometric="minisblack", planarconfig="contig")
    output = tmp_path / "styled.npy"
    command = ["generate", str(mask), "--model", str(model), "--output", str(output), "--style"]
    assert main([*command, str(tmp_path / "style.tiff")]) == 0
    pipeline = SPADEPipeline.from_pretrained(model)
    expected = pipeline(mask, style_image=style, output_type="np", denormalize=True).images[0]
    assert np.abs(expected - np.load(output)).max() < 0.51
    rgb = tmp_path / "rgb.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(rgb)
    fails(*command, rgb, "--overwrite", match=r"--style \(.*rgb.png\) has 3 channels .*, but `image_channels` is 5")


def test_files_that_cannot_hold_the_values(mask, tmp_path, fails):
    model = save_model(tmp_path / "model", image_channels=5)
    command = ["generate", mask, "--model", model, "--output"]
    fails(
        *command, tmp_path / "1.png", match=r"--output is .*1.png, which ends in '.png'; allowed are .tiff, .tif, .npy"
    )


def test_options_about_values(tmp_path, fails, capsys):
    data = ["--image_folder", tmp_path, "--mask_folder", tmp_path, "--label_set", "landscapes"]
    for options, match in (
        (["--value_range", "5", "5"], "--value_range is 5 5; give two numbers"),
        (["--value_range", "5"], "--value_range is 5; give two numbers"),
        (["--value_range", "0", "nan"], "--value_range is 0 nan; give two numbers"),
        (["--image_channels", "5", "--display_channels", "4", "5", "0"], "give three numbers in 0..4"),
        (["--display_channels", "0"], "give three numbers in 0..2"),
    ):
        fails("check", *data, *options, match=match)


@pytest.mark.parametrize("channels, suffix", [(1, "png"), (5, "tiff")])
def test_check_reads_values_and_draws_them(tmp_path, capsys, channels: int, suffix: str):
    """Gray is drawn as gray; of five channels, those that are named."""
    values = np.zeros((64, 64, channels), np.uint16)
    values[..., -1] = np.arange(64) * 1000
    for name, pixels in (("photos", values), ("masks", np.zeros((64, 64), np.uint8))):
        (tmp_path / name).mkdir()
        if name == "masks":
            Image.fromarray(pixels).save(tmp_path / name / "1.png")
        else:
            tiff = {"photometric": "minisblack", "planarconfig": "contig"}
            if channels == 1:
                Image.fromarray(pixels[..., 0]).save(tmp_path / name / "1.png")
            else:
                tifffile.imwrite(tmp_path / name / "1.tiff", pixels, **tiff)
    folders = ["--image_folder", str(tmp_path / "photos"), "--mask_folder", str(tmp_path / "masks")]
    options = ["--image_channels", str(channels), "--value_range", "0", "63000", "--num_workers", "0"]
    shown = ["--display_channels", *[str(channels - 1)] * 3] if channels > 1 else []
    command = [
        "check",
        *folders,
        *options,
        *shown,
        "--label_set",
        "landscapes",
        "--sheet",
        str(tmp_path / "sheet.png"),
    ]
    assert main(command) == 0
    assert "1 pairs read" in capsys.readouterr().out
    sheet = np.array(Image.open(tmp_path / "sheet.png"))[20 : 20 + 256, :256]
    assert np.array_equal(sheet[..., 0], sheet[..., 1]) and np.array_equal(sheet[..., 0], sheet[..., 2])
    assert sheet[128, 0, 0] < 10 and sheet[128, 250, 0] > 240
