"""`spade-hf generate --latents`: styles from the files that the painting pages save, and from arrays."""

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import SPADEPipeline
from spade_hf.demo.painter import Painter, Style, Styles
from spade_hf.demo.scene import DOWNLOADS, Scene
from spade_hf_cli import main


@pytest.fixture
def pipeline(model):
    return SPADEPipeline.from_pretrained(model)


@pytest.fixture
def files(pipeline, tmp_path):
    """What the page saves of a blend of two styles, an array of two styles, and the latents in them."""
    latent_dim = pipeline.generator.config.latent_dim
    latents = torch.randn(2, latent_dim, generator=torch.Generator().manual_seed(1))
    scene = Scene(np.zeros((8, 8), np.int64), Styles(Style("a", latents[:1]), Style("b", latents[1:])), 0.25)
    painter, folder = Painter(pipeline), tmp_path / "saved"
    folder.mkdir()
    for what in ("Style", "Scene"):
        name, save = DOWNLOADS[what]
        save(scene, painter, folder / name)
    np.save(folder / "two.npy", latents.numpy())
    return folder, latents


def painted(pipeline, mask, latents):
    return [np.asarray(image) for image in pipeline(str(mask), latents=latents).images]


@pytest.mark.parametrize("name", ["latents.safetensors", "scene.spade.json"])
def test_the_style_of_a_page(name, files, model, mask, pipeline, tmp_path):
    folder, latents = files
    output = tmp_path / "out.png"
    assert (
        main(["generate", str(mask), "--model", str(model), "--latents", str(folder / name), "--output", str(output)])
        == 0
    )
    (expected,) = painted(pipeline, mask, torch.lerp(latents[:1], latents[1:], 0.25))
    np.testing.assert_array_equal(np.asarray(Image.open(output)), expected)


def test_several_styles(files, model, mask, pipeline, tmp_path, capsys):
    """Of one mask a picture each; of as many masks one each, and one style for all."""
    folder, latents = files
    options = ["--model", str(model), "--latents", str(folder / "two.npy")]
    assert main(["generate", str(mask), *options, "--output", str(tmp_path / "a.png")]) == 0
    expected = painted(pipeline, mask, latents)
    for number, image in enumerate(expected):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"a-{number}.png")), image)
    masks = [tmp_path / f"{name}.png" for name in "pq"]
    for path in masks:
        path.write_bytes(mask.read_bytes())
    assert main(["generate", *map(str, masks), *options, "--output-dir", str(tmp_path / "many")]) == 0
    for path, image in zip(masks, expected, strict=True):
        np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "many" / path.name)), image, atol=1)
    np.save(tmp_path / "one.npy", latents[0].numpy())
    options = ["--model", str(model), "--latents", str(tmp_path / "one.npy"), "--output-dir", str(tmp_path / "same")]
    assert main(["generate", *map(str, masks), *options]) == 0
    for path in masks:
        np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "same" / path.name)), expected[0], atol=1)


def test_what_is_no_style_says_so(files, model, mask, fails, tmp_path):
    folder, latents = files
    np.save(tmp_path / "long.npy", np.zeros((1, 99)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "broken.safetensors").write_bytes(b"?")
    (tmp_path / "no.json").write_text('{"styles": []}')
    (tmp_path / "none.json").write_text('{"format": "spade_hf scene 1", "blend": 1}')
    for name, match in {
        "long.npy": r"--latents has shape \(1, 99\); this model takes \(M, ",
        "objects.npy": r"--latents \(.*objects\.npy\) cannot be read: Object arrays cannot be loaded",
        "broken.safetensors": "cannot be read: .*Give a style or a scene",
        "no.json": "cannot be read: not enough values",
        "none.json": "cannot be read: it lacks 'styles'",
        "gone.npy": "--latents is .*gone.npy, which does not exist",
    }.items():
        fails("generate", mask, "--model", model, "--latents", tmp_path / name, match=match)
    two = folder / "two.npy"
    fails("generate", mask, "--latents", mask, match="ends in '.png'; allowed are .safetensors, .json, .npy")
    fails("generate", mask, "--latents", two, "--style", mask, match="--style and --latents both give the style")
    fails("generate", mask, "--latents", two, "--seed", 1, match="--seed is for random styles, but --latents gives")
    fails("generate", mask, "--latents", two, "--num-images", 2, match="--num-images is for random styles")
    for name in "rst":
        (tmp_path / f"{name}.png").write_bytes(mask.read_bytes())
    masks = [tmp_path / f"{name}.png" for name in "rst"]
    many = ("generate", *masks, "--model", model, "--latents", two, "--output-dir", tmp_path / "many")
    fails(*many, match="--latents has 2 styles for 3 masks: give one, or one per mask")
