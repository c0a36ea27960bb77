"""`spade-hf generate` on a tiny saved model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image

from spade_hf import LabelSet, SPADEGenerator, SPADEPipeline
from spade_hf_cli import main

from .conftest import SIZE


def test_an_image_is_written_and_its_path_printed(model, mask, tmp_path, capsys):
    output = tmp_path / "new" / "lake.png"
    assert main(["generate", str(mask), "--model", str(model), "--output", str(output)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(output)]
    assert Image.open(output).size == (SIZE, SIZE)


def test_it_is_reproducible_and_seeded(model, mask, tmp_path):
    paths = {name: tmp_path / f"{name}.png" for name in ("default", "first", "again", "other")}
    for name, seed in (("default", []), ("first", ["0"]), ("again", ["0"]), ("other", ["4"])):
        options = ["--seed", *seed] if seed else []
        assert main(["generate", str(mask), "--model", str(model), "--output", str(paths[name]), *options]) == 0
    default, first, again, other = (np.array(Image.open(path)) for path in paths.values())
    np.testing.assert_array_equal(default, first)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_several_images_are_numbered(model, mask, tmp_path, capsys):
    arguments = ["--model", str(model), "--num-images", "2", "--output", str(tmp_path / "a.png")]
    assert main(["generate", str(mask), *arguments]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "a-0.png"), str(tmp_path / "a-1.png")]


def test_a_style_and_another_size(model, mask, tmp_path):
    output = tmp_path / "styled.png"
    arguments = ["--style", str(mask), "--height", str(SIZE), "--width", "64", "--output", str(output)]
    assert main(["generate", str(mask), "--model", str(model), *arguments]) == 0
    assert Image.open(output).size == (64, SIZE)


# Files


def test_an_existing_file_is_replaced_only_when_asked_to(model, mask, tmp_path, fails):
    output = tmp_path / "lake.png"
    output.write_text("precious")
    arguments = ["generate", mask, "--model", model, "--output", output]
    fails(*arguments, match=r"--output is .*lake\.png, which exists\. Give another name, or --overwrite to replace")
    assert output.read_text() == "precious"
    assert main([*map(str, arguments), "--overwrite"]) == 0
    assert Image.open(output).size == (SIZE, SIZE)


def test_an_existing_numbered_file_is_not_replaced_either(model, mask, tmp_path, fails):
    (tmp_path / "lake-1.png").write_text("precious")
    arguments = ["--model", model, "--num-images", 2, "--output", tmp_path / "lake.png"]
    fails("generate", mask, *arguments, match=r"lake-1\.png, which exists")
    assert not (tmp_path / "lake-0.png").exists()


@pytest.mark.parametrize("option", [None, "--style", "--instance-map"])
def test_urls_are_not_fetched(mask, option, fails):
    address = "https://127.0.0.1:1/mask.png"
    remedy = r"\(https://.*\) is a URL; load it first: `diffusers\.utils\.load_image\(url\)`, or download the file"
    fails("generate", *([address] if option is None else [mask, option, address]), match=remedy)
    fails("edit", address, "--output", "mask.png", match=remedy)


@pytest.mark.parametrize("option", [None, "--style", "--instance-map"])
def test_an_input_is_never_written_over(model, mask, tmp_path, option, fails):
    other = tmp_path / "other.png"
    other.write_bytes(mask.read_bytes())
    before = mask.read_bytes()
    link = tmp_path / "link.png"
    link.symlink_to(mask)
    inputs = [mask] if option is None else [other, option, mask]
    for output in (mask, link):
        arguments = ["generate", *inputs, "--model", model, "--output", output, "--overwrite"]
        fails(*arguments, match=r"--output is .*\.png, which this command reads\. Give another name")
    assert mask.read_bytes() == before


@pytest.mark.parametrize(
    ("output", "match"),
    [
        ("lake", r"--output is .*lake, which ends in 'no suffix'; allowed are \.png, \.jpg"),
        ("lake.mp4", r"which ends in '\.mp4'; allowed are \.png"),
        (".", r"--output is .*, which is a folder\. Give a file in it"),
        ("mask.png/lake.png", r"--output is .*lake\.png, but .*mask\.png is not a folder"),
    ],
)
def test_the_output_is_checked_first(mask, tmp_path, output, match, fails):
    # before the model is looked up: there is none of this name
    fails("generate", mask, "--model", tmp_path / "nowhere", "--output", tmp_path / output, match=match)


# Devices and memory


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99"])
def test_a_device_that_is_not_there(mask, tmp_path, device, fails):
    arguments = ["--model", tmp_path / "nowhere", "--output", tmp_path / "lake.png", "--device", device]
    fails("generate", mask, *arguments, match=rf"--device is {device}, which torch cannot use here: .* or give cpu\.")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu(mask, tmp_path, fails):
    arguments = ["--model", tmp_path / "nowhere", "--output", tmp_path / "lake.png", "--device", "cuda"]
    fails("generate", mask, *arguments, match="--device is cuda, which torch cannot use here: ")


def test_out_of_memory(model, mask, tmp_path, fails):
    arguments = ["--height", 2**25, "--width", 2**25, "--output", tmp_path / "lake.png"]
    fails("generate", mask, "--model", model, *arguments, match="(?i)memory|allocate")


# Models


@pytest.mark.parametrize("typed", ["stret_model", "streetmodel"])
def test_a_mistyped_model_is_answered_with_near_ones(model, mask, tmp_path, typed, monkeypatch, fails):
    monkeypatch.chdir(model.parent)
    for name in (typed, f"./{typed}"):
        match = rf"--model is {name}, which is neither a folder nor a Hub id .* Did you mean street_model\?"
        fails("generate", mask, "--model", name, "--output", tmp_path / "lake.png", match=match)


def test_a_mistyped_model_in_another_folder(model, mask, tmp_path, fails):
    name = model.parent / "stret_model"
    match = rf"--model is {name}, which is neither .* Did you mean {model}\?"
    fails("generate", mask, "--model", name, "--output", tmp_path / "lake.png", match=match)


def test_a_model_like_nothing_else(mask, tmp_path, fails):
    line = fails(
        "generate", mask, "--model", "./x/y/z", "--output", tmp_path / "a.png", match="--model is ./x/y/z, which"
    )
    assert "Did you mean" not in line


def test_a_folder_without_a_pipeline(model, mask, tmp_path, fails):
    (tmp_path / "training" / "final").mkdir(parents=True)
    arguments = ["generate", mask, "--output", tmp_path / "a.png", "--model", tmp_path / "training"]
    line = fails(*arguments, match=r"a folder without model_index\.json, so it is not a saved pipeline\.$")
    (tmp_path / "training" / "final" / "model_index.json").write_text("{}")
    assert fails(*arguments, match=r"Did you mean .*final\?$") != line


def test_a_name_that_is_neither_on_the_hub_nor_here(model, mask, tmp_path, monkeypatch, fails):
    monkeypatch.chdir(model.parent.parent)
    name = f"{model.parent.name}/stret_model"
    match = (
        rf"--model is {name}: there is no such folder\. Did you mean {model.parent.name}/street_model\? "
        rf"The Hub does not return {name}/model_index\.json: .*Repository Not Found"
    )
    fails("generate", mask, "--model", name, "--output", tmp_path / "lake.png", match=match)


def test_a_model_of_the_hub(model, mask, tmp_path, hub):
    api = HfApi(token=hub.token)
    repo = f"{hub.user}/cli-model"
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=model)
    assert main(["generate", str(mask), "--model", repo, "--output", str(tmp_path / "lake.png")]) == 0


# Options


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--height", "33"], "--height is 33"),
        (["--style", "missing.jpg"], r"--style is missing\.jpg, which does not exist"),
        (["--style", __file__], r"--style \(.*test_generate\.py\) cannot be read as an image"),
        (["--instance-map", "missing.png"], r"--instance-map is missing\.png, which does not exist"),
        (["--instance-map", "{mask}"], "--instance-map was given, but this model has no instance edge"),
        (["--num-images", "2", "--style", "{mask}"], "--num-images is 2, but --style fixes the style"),
        (["--num-images", "0"], "--num-images is 0"),
        (["--color-tolerance", "-1"], "--color-tolerance is -1.0; it is a distance"),
        (["--seed", "3", "--style", "{mask}"], "--seed is for random styles, but --style gives the style. Leave one"),
        (["--split", "train"], "--split belongs to --dataset, which is missing"),
        (["--mask-column", "label"], "--mask-column belongs to --dataset, which is missing"),
        (["--instance-column", "x"], "--instance-column belongs to --dataset, which is missing"),
        (["--batch-size", "8"], "--batch-size belongs to --output-dir, which is missing"),
        (["--blend"], "--blend belongs to --style, which is missing"),
        (["--seed", "-1"], "--seed is -1; allowed are 0.."),
        (["--seed", str(2**64)], "--seed is 18446744073709551616; allowed are 0.."),
    ],
)
def test_errors_name_the_option_as_typed(model, tmp_path, arguments, match, fails):
    mask = tmp_path / "colors.png"
    Image.fromarray(LabelSet.from_name("landscapes").palette[np.zeros((SIZE, SIZE), int)]).save(mask)
    arguments = [argument.format(mask=mask) for argument in arguments]
    if "--color-tolerance" in arguments:
        Image.new("RGB", (SIZE, SIZE), (1, 2, 3)).save(mask)
    fails("generate", mask, "--model", model, "--output", tmp_path / "lake.png", *arguments, match=match)


def test_a_model_without_style_encoder_says_how_styles_are_chosen(model, mask, tmp_path, fails):
    pipeline = SPADEPipeline.from_pretrained(model)
    SPADEPipeline(pipeline.generator, pipeline.image_processor).save_pretrained(tmp_path / "random")
    options = ["--model", tmp_path / "random", "--output-dir", tmp_path / "out"]
    match = "--style was given, but this model has no style encoder. Leave it out; --seed chooses a random style."
    fails("generate", mask, *options[:2], "--output", tmp_path / "a.png", "--style", mask, match=match)
    fails("generate", mask, *options, "--style", mask, match=match)
    generator = SPADEGenerator(num_labels=12, image_size=SIZE, base_channels=4, latent_dim=None)
    SPADEPipeline(generator, pipeline.image_processor).save_pretrained(tmp_path / "fixed")
    options[1] = tmp_path / "fixed"
    fails("generate", mask, *options, "--style", mask, match="no style encoder. Leave it out.$")
    fails("generate", mask, *options, "--seed", 0, match="--seed is 0, but this model has no styles. Leave it out.")


def test_the_mask_is_complained_about_first(model, tmp_path, fails):
    (tmp_path / "output.png").write_text("precious")
    arguments = ["missing.png", "--model", model, "--output", tmp_path / "output.png"]
    fails("generate", *arguments, match=r"error: `mask` is missing\.png, which does not exist")


def test_a_photograph_is_named_in_short(model, mask, tmp_path, fails):
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    arguments = ["--model", model, "--output", tmp_path / "a.png"]
    line = fails(
        "generate", tmp_path / "photo.png", *arguments, match=r"photo\.png\) is not a mask: \d+% of its pixels"
    )
    assert "Is it a photograph?" in line and "tolerance" not in line


def test_a_missing_mask(model, tmp_path, fails):
    fails("generate", "missing.png", "--model", model, "--output", tmp_path / "a.png", match=r"missing\.png")


def test_bad_ids_name_the_file(model, tmp_path, fails):
    path = tmp_path / "bad.png"
    Image.fromarray(np.full((SIZE, SIZE), 77, dtype=np.uint8)).save(path)
    fails("generate", path, "--model", model, "--output", tmp_path / "a.png", match=r"bad\.png.*77")


def soft_edges(path: Path) -> None:
    ids = np.zeros((SIZE, SIZE), dtype=int)
    ids[SIZE // 2 :, 5:] = 9
    drawn = Image.fromarray(LabelSet.from_name("landscapes").palette[ids])
    drawn.resize((SIZE * 3, SIZE * 3), Image.Resampling.LANCZOS).save(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_advice_for_soft_edges_works(model, tmp_path, suffix, fails):
    path = tmp_path / f"soft{suffix}"
    soft_edges(path)
    arguments = ["generate", path, "--model", model, "--output", tmp_path / "a.png"]
    line = fails(*arguments, match=r"colors off the palette of label set 'landscapes'.*or pass --color-tolerance \d+")
    tolerance = line.split("--color-tolerance ")[1].split()[0].rstrip(".,")
    fails(*arguments, "--color-tolerance", int(tolerance) - 1, match=f"pass --color-tolerance {tolerance}")
    assert main([*map(str, arguments), "--color-tolerance", tolerance]) == 0
