"""`--style` of the synthesis script: each row in the style of one of the pictures, which it names."""

import io
import json
import re

import datasets
import numpy as np
import pytest
from PIL import Image

from spade_hf import SPADEPipeline

from ..tiny_networks import tiny_style_encoder
from ..training_data import make_rows
from .test_synthesize_dataset import make_generator, save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    encoder = tiny_style_encoder()
    encoder.fuse_spectral_norm()
    return save_model(tmp_path_factory.mktemp("model"), generator=make_generator(), style_encoder=encoder)


@pytest.fixture
def styles(tmp_path):
    folder = tmp_path / "styles"
    folder.mkdir()
    for number, color in enumerate(((250, 40, 10), (10, 60, 240))):
        noise = np.random.default_rng(number).integers(-10, 10, (128, 128, 3)) + color
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("of last summer")
    return folder


@pytest.fixture
def masks(tmp_path):
    make_rows(4).save_to_disk(str(tmp_path / "masks"))
    return tmp_path / "masks"


@pytest.mark.parametrize("output_format", ["parquet", "folders"])
def test_each_row_has_the_style_that_it_names(output_format, synthesize, model, masks, styles, tmp_path):
    options = ("--model", model, "--dataset_name", masks, "--images_per_mask", 3, "--style", styles)
    result = synthesize(*options, "--output_format", output_format, "--output_dir", tmp_path / "out")
    assert result.status == 0, result.stderr
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 12 and set(rows["style"][:]) == {"0.png", "1.png"}
    pipeline = SPADEPipeline.from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    for row in rows:
        size = {"height": row["image"].height, "width": row["image"].width}
        label = row["label"] if output_format == "parquet" else Image.open(
            tmp_path / "out" / "labels" / f"{row['source_index']:06}-{rows['seed'][:].index(row['seed']) % 3:03}.png"
        )  # fmt: skip
        (expected,) = pipeline(np.array(label), style_image=str(styles / row["style"]), **size).images
        difference = np.abs(np.array(row["image"], dtype=int) - np.array(expected, dtype=int))
        assert difference.max() <= 1, row["style"]  # batches of other sizes round differently
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| `style` | the style picture whose light and colors it has |" in card
    assert "3 for each mask, each in its own style, that of a picture" in card
    assert list(json.loads((tmp_path / "out" / "settings.json").read_text())["styles"]) == ["0.png", "1.png"]


def test_a_folder_goes_on_only_with_the_same_pictures(synthesize, model, masks, styles, tmp_path):
    options = ("--model", model, "--dataset_name", masks, "--output_dir", tmp_path / "out")
    assert synthesize(*options, "--style", styles).status == 0
    assert synthesize(*options, "--style", styles / "0.png", styles / "1.png").status == 0  # the same ones
    for other in (("--style", styles / "0.png"), ()):
        result = synthesize(*options, *other)
        assert result.status == 2 and "were begun with" in result.stderr
    buffer = io.BytesIO()
    Image.open(styles / "1.png").rotate(90).save(buffer, "PNG")
    (styles / "1.png").write_bytes(buffer.getvalue())
    result = synthesize(*options, "--style", styles)
    assert result.status == 2 and "`styles` is" in result.stderr.replace("--styles", "`styles`")


def test_what_is_no_style(synthesize, model, masks, styles, tmp_path):
    options = ("--model", model, "--dataset_name", masks, "--output_dir", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "0.png").write_bytes((styles / "0.png").read_bytes())
    for given, message in {
        (tmp_path / "empty",): "--style is .*empty, a folder without pictures",
        (styles, tmp_path / "twin"): "--style has two pictures 0.png",
        (tmp_path / "gone",): "--style is .*gone, which does not exist",
    }.items():
        result = synthesize(*options, "--style", *given)
        assert result.status == 2 and re.search(message, result.stderr), result.stderr
    plain = save_model(tmp_path / "plain", generator=make_generator())
    result = synthesize("--model", plain, *options[2:], "--style", styles)
    assert result.status == 2 and "this model has no style encoder" in result.stderr
    assert not (tmp_path / "out").exists()
