"""Natural outlines on the command line: `generate --outline-strength` and `edit --natural`."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEOutlineModel, SPADEPipeline
from spade_hf_cli import main

from ..tiny_networks import tiny_outlines
from .conftest import SIZE


NAMES = LabelSet.from_name("landscapes").names


@pytest.fixture(scope="module")
def outlines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outlines") / "outlines"
    tiny_outlines(num_labels=12, labels=NAMES).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def natural_model(model, outlines, tmp_path_factory):
    """The tiny model with an outline model."""
    folder = tmp_path_factory.mktemp("models") / "natural"
    pipeline = SPADEPipeline.from_pretrained(model)
    pipeline.register_modules(outline_model=tiny_outlines(num_labels=12, labels=NAMES))
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def holes(mask, tmp_path):
    """The mask with 255 in its upper half."""
    pixels = np.array(Image.open(mask))
    pixels[: SIZE // 2] = 255
    Image.fromarray(pixels).save(tmp_path / "holes.png")
    return tmp_path / "holes.png"


def painted(path, *options):
    assert main(["generate", *map(str, options), "--output", str(path)]) == 0
    return np.array(Image.open(path))


def test_outlines_are_drawn_first(natural_model, mask, holes, tmp_path):
    exact, again = (painted(tmp_path / name, mask, "--model", natural_model, "--outline-strength", strength)
                    for name, strength in (("a.png", "0"), ("b.png", "0.0")))  # fmt: skip
    natural = painted(tmp_path / "c.png", mask, "--model", natural_model, "--outline-strength", "0.8")
    assert (exact == again).all() and (natural != exact).any()
    filled = painted(tmp_path / "d.png", holes, "--model", natural_model, "--outline-strength", "0.8")
    pipeline = SPADEPipeline.from_pretrained(natural_model)
    expected = pipeline(str(holes), outline_strength=0.8, generator=_seeded())
    assert (filled == np.array(expected.images[0])).all()


def _seeded():
    return torch.Generator().manual_seed(0)


def test_an_outline_model_of_its_own(model, natural_model, outlines, mask, tmp_path):
    options = ("--outline-strength", "0.8", "--outline-steps", "2")
    ours = painted(tmp_path / "a.png", mask, "--model", model, "--outline-model", outlines, *options)
    theirs = painted(tmp_path / "b.png", mask, "--model", natural_model, *options)
    of_pipeline = painted(tmp_path / "c.png", mask, "--model", model, "--outline-model", natural_model, *options)
    assert (ours == theirs).all() and (of_pipeline == theirs).all()


def test_an_outline_model_on_the_hub(model, outlines, mask, hub, tmp_path, monkeypatch, fails):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    repo_id = f"{hub.user}/outlines-alone"
    SPADEOutlineModel.from_pretrained(outlines).push_to_hub(repo_id, token=hub.token)
    options = ("--model", model, "--outline-strength", "0.8", "--outline-model")
    ours, theirs = (painted(tmp_path / f"{i}.png", mask, *options, one) for i, one in enumerate((outlines, repo_id)))
    assert (ours == theirs).all()
    missing = f"{hub.user}/no-outlines"
    fails("generate", mask, "--output", tmp_path / "no.png", *options, missing, match=missing)


def test_many_masks(natural_model, mask, holes, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for path in (mask, holes):
        shutil.copy(path, folder)
    arguments = ["generate", folder, "--model", natural_model, "--outline-strength", "0.8", "--num-images", "2"]
    assert main([*map(str, arguments), "--output-dir", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "holes-0.png", "holes-1.png", "mask-0.png", "mask-1.png",
    ]  # fmt: skip
    alone = painted(tmp_path / "alone.png", mask, "--model", natural_model, "--outline-strength", "0.8")
    assert np.array(Image.open(tmp_path / "out" / "mask-0.png")).shape == alone.shape


def test_a_new_mask_with_natural_outlines(natural_model, mask, holes, tmp_path):
    def edited(source, name, *options):
        arguments = ["edit", source, "--model", natural_model, "--natural", *options, "--output", tmp_path / name]
        assert main([*map(str, arguments)]) == 0
        return np.array(Image.open(tmp_path / name))

    assert (edited(mask, "same.png", 0) == np.array(Image.open(mask))).all()
    filled, other = edited(holes, "filled.png", 0), edited(holes, "other.png", 0, "--seed", 1)
    assert filled.max() < 12 and (filled != other).any()
    assert (filled[SIZE // 2 :] == np.array(Image.open(holes))[SIZE // 2 :]).all()
    assert edited(mask, "wide.png", 0.7, "--size", SIZE, 2 * SIZE).shape == (SIZE, 2 * SIZE)


def test_a_seed_is_that_of_the_outlines_where_there_are_no_styles(outlines, mask, tmp_path, fails):
    torch.manual_seed(0)
    generator = SPADEGenerator(num_labels=12, image_size=SIZE, base_channels=4, latent_dim=None)
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    SPADEPipeline(generator, processor, outline_model=tiny_outlines(num_labels=12)).save_pretrained(tmp_path / "model")
    arguments = (mask, "--model", tmp_path / "model", "--outline-strength", "0.9", "--seed")
    first, again, other = (painted(tmp_path / f"{i}.png", *arguments, seed) for i, seed in enumerate((3, 3, 4)))
    assert (first == again).all() and (first != other).any()
    fails("generate", mask, "--model", tmp_path / "model", "--seed", 3, "--output", tmp_path / "exact.png",
          match="--seed is 3, but this model has no styles")  # fmt: skip


def test_a_model_on_the_hub(natural_model, mask, hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    repo_id = f"{hub.user}/natural-edits"
    SPADEPipeline.from_pretrained(natural_model).push_to_hub(repo_id, token=hub.token)
    for name, model in (("folder.png", natural_model), ("hub.png", repo_id)):
        arguments = ["edit", mask, "--natural", 0.8, "--model", model, "--output", tmp_path / name]
        assert main([*map(str, arguments)]) == 0
    assert (tmp_path / "folder.png").read_bytes() == (tmp_path / "hub.png").read_bytes()


def test_what_is_wrong(model, natural_model, mask, holes, tmp_path, fails):
    arguments = ["generate", mask, "--output", tmp_path / "a.png", "--model"]
    fails(*arguments, model, "--outline-strength", "0.5", match="This model has no --outline-model, .* Add one")
    fails(*arguments, natural_model, "--outline-steps", "3", match="--outline-steps has no effect without --outline-s")
    fails("generate", holes, "--model", natural_model, "--output", tmp_path / "a.png",
          match=r"label ids \[255\].*--outline-strength")  # fmt: skip
    fails(*arguments, model, "--outline-strength", "0.5", "--outline-model", tmp_path / "outlinez",
          match=r"--outline-model is .*outlinez, which is neither a folder nor a Hub id")  # fmt: skip
    with pytest.raises(SystemExit):
        main(["generate", str(mask), "--outline-strength", "1.5"])
    edit = ["edit", mask, "--output", tmp_path / "b.png"]
    fails(*edit, "--seed", "1", match="--seed belongs to --natural")
    fails(*edit, "--natural", "0.5", "--model", natural_model, "--label-set", "ade20k", match="other labels than the")
