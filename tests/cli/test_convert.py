"""`spade-hf convert` on small weights in the public format."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from spade_hf import SPADEPipeline
from spade_hf.training import Pretrained
from spade_hf_cli import main

from .. import public_reference


NORMAL = ("--num-upsampling-layers", "normal")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("public") / "latest_net_G.pth"
    torch.save(public_reference.random_generator_weights(3, base_channels=2, hidden_channels=4), path)
    return path


def arguments(weights: Path, output: Path) -> list[str]:
    return ["convert", str(weights), str(output), "--num-labels", "3", "--image-size", "64", *NORMAL]


def test_a_pipeline_with_a_card(weights, tmp_path, capsys):
    assert main(arguments(weights, tmp_path / "new")) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'new'}\n"
    assert SPADEPipeline.from_pretrained(tmp_path / "new").generator.config.num_labels == 3
    assert "latest_net_G.pth" in (tmp_path / "new" / "README.md").read_text()


def test_a_discriminator_beside_the_pipeline_that_training_takes(weights, tmp_path):
    public = public_reference.random_discriminator_weights(3)
    torch.save(public, tmp_path / "latest_net_D.pth")
    output = tmp_path / "new"
    assert main([*arguments(weights, output), "--discriminator", str(tmp_path / "latest_net_D.pth")]) == 0
    pretrained = Pretrained.load(str(output), str(output))
    label_map, images = torch.arange(3).expand(1, 32, 3).repeat(1, 1, 11)[..., :32], torch.rand(1, 3, 32, 32)
    expected, _ = public_reference.discriminate(public, F.one_hot(label_map).movedim(-1, 1).float(), images)
    with torch.no_grad():
        found = pretrained.networks["discriminator"](label_map, images).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("num_channels", "removed", "match"),
    [
        (5, None, r"latest_net_D\.pth reads 5 semantic channels, but 3 labels, .* make 3\. Pass the label set"),
        (
            3,
            "discriminator_0.model0.0.weight",
            r"latest_net_D\.pth has no weight 'discriminator_0\.model0\.0\.weight'",
        ),
        (3, "discriminator_1.model2.0.0.weight_v", r"latest_net_D\.pth does not fit a MultiscaleDiscriminator"),
    ],
)
def test_another_discriminator_is_refused_before_anything_is_written(
    weights, tmp_path, num_channels, removed, match, fails
):
    public = public_reference.random_discriminator_weights(num_channels)
    public.pop(removed, None)
    torch.save(public, tmp_path / "latest_net_D.pth")
    fails(*arguments(weights, tmp_path / "new"), "--discriminator", tmp_path / "latest_net_D.pth", match=match)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_is_written_only_when_asked_to(weights, tmp_path, fails):
    readme = tmp_path / "README.md"
    readme.write_text("precious")
    fails(
        *arguments(weights, tmp_path), match=r"the output is .*, which is not empty\. Give another folder, or --overwr"
    )
    assert readme.read_text() == "precious"
    assert main([*arguments(weights, tmp_path), "--overwrite"]) == 0
    assert "latest_net_G.pth" in readme.read_text()


@pytest.mark.parametrize("output", ["weights", "other"])
def test_an_output_that_is_a_file(weights, tmp_path, output, fails):
    other = tmp_path / "notes.txt"
    other.write_text("precious")
    output, match = (weights, "which this command reads") if output == "weights" else (other, "which is a file")
    before = output.read_bytes()
    fails(*arguments(weights, output), "--overwrite", match=match)
    assert output.read_bytes() == before


def test_the_model_whose_labels_are_read_is_not_written_over(weights, model, fails):
    options = ["--label-set", model, "--image-size", 64, "--overwrite"]
    fails("convert", weights, model, *options, match="which this command reads")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--num-labels", "3", "--image-size", "1", "2", "3"], "--image-size has 3 numbers"),
        (["--num-labels", "0", "--image-size", "64"], "--num-labels is 0"),
        (["--num-labels", "3", "--image-size", "65", *NORMAL], "--image-size is 65x65"),
        (["--label-set", "mars", "--image-size", "64"], "'mars' is not a label set"),
        (
            ["--num-labels", "3", "--image-size", "64"],
            r"--num-upsampling-layers is missing: .*latest_net_G\.pth .* for 'normal' and 'more'",
        ),
        (
            ["--num-labels", "2", "--image-size", "64"],
            "reads 3 semantic channels, but 2 labels, without --use-unknown-label and without --use-instance-edges",
        ),
        (
            ["--num-labels", "3", "--image-size", "64", *NORMAL, "--style-encoder", "E.pth"],
            "leave --style-encoder out",
        ),
    ],
)
def test_errors_name_the_option_as_typed(weights, tmp_path, options, match, fails):
    fails("convert", weights, tmp_path / "new", *options, match=match)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--image-size", "256"], "--image-size was given, but --preset coco already sets it"),
        (["--use-unknown-label"], "--use-unknown-label was given, but --preset coco already sets it"),
        (["--norm-type", "batch"], "--norm-type was given, but --preset coco already sets it"),
        ([], r"reads 3 semantic channels, but 182 labels, with --use-unknown-label .* make 184"),
    ],
)
def test_a_preset_says_everything(weights, tmp_path, options, match, fails):
    fails("convert", weights, tmp_path / "new", "--preset", "coco", *options, match=match)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_without_a_preset_the_size_is_needed(weights, tmp_path, fails):
    fails("convert", weights, tmp_path / "new", "--num-labels", 3, match="--image-size is missing")


def test_nothing_is_left_of_a_conversion_that_fails_while_it_writes(weights, tmp_path, monkeypatch, fails):
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spade_hf_cli.commands.convert.write_converted_model_card", full)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "README.md").write_text("precious")
    fails(*arguments(weights, tmp_path / "new"), "--overwrite", match="No space left")
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "README.md"]
    assert (tmp_path / "new" / "README.md").read_text() == "precious"


def test_files_that_are_not_weights(tmp_path, fails):
    fails(*arguments(tmp_path / "missing.pth", tmp_path / "new"), match=r"missing\.pth does not exist")
    text = tmp_path / "latest_net_G.pth"
    text.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    fails(*arguments(text, tmp_path / "new"), match=r"latest_net_G\.pth cannot be read as a state dict of tensors")
