"""`convert_nvlabs_checkpoint` from files to a pipeline; the numbers are compared with tests/public_reference.py."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import spade_hf
from spade_hf import LabelSet, SPADEPipeline, convert_nvlabs_checkpoint
from spade_hf.conversion import convert_nvlabs_discriminator

from .. import public_reference
from ..parity_cases import Case, random_case, random_regions


OUTPUT_TOLERANCE = {"atol": 1e-5, "rtol": 0}
OPTIONS = {"num_labels": 5, "use_unknown_label": True, "use_instance_edges": False, "image_size": 64}
PLAIN = {**OPTIONS, "num_upsampling_layers": "normal"}  # weights without a latent do not tell


def save(folder: Path, name: str, weights: dict[str, torch.Tensor]) -> Path:
    torch.save(weights, folder / name)
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("public")


@pytest.fixture(scope="module")
def plain_case() -> Case:
    return random_case("ade")


@pytest.fixture(scope="module")
def plain(folder, plain_case) -> Path:
    return save(folder, "plain_net_G.pth", plain_case.weights)


@pytest.fixture(scope="module")
def latent_case() -> Case:
    return random_case("coco-with-latent")


@pytest.fixture(scope="module")
def latent(folder, latent_case) -> Path:
    return save(folder, "latent_net_G.pth", latent_case.weights)


@pytest.fixture(scope="module")
def encoder(folder) -> Path:
    return save(folder, "latest_net_E.pth", public_reference.random_encoder_weights())


def in_unit_range(images: torch.Tensor) -> torch.Tensor:
    """From [-1, 1] to the pipeline's [0, 1]."""
    return images / 2 + 0.5


def paint(pipeline: SPADEPipeline, *inputs: Any, **options: Any) -> torch.Tensor:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(*inputs, output_type="pt", **options).images


# From files to images


def test_generator_without_latent(plain, plain_case):
    pipeline = convert_nvlabs_checkpoint(plain, **PLAIN)
    expected = public_reference.generate(plain_case.weights, plain_case.segmap)
    torch.testing.assert_close(paint(pipeline, plain_case.label_map), in_unit_range(expected), **OUTPUT_TOLERANCE)
    assert pipeline.style_encoder is None
    assert pipeline.generator.config.latent_dim is None
    assert not pipeline.generator.training


def test_generator_with_latent_edges_and_encoder(latent, latent_case, encoder):
    case = latent_case
    pipeline = convert_nvlabs_checkpoint(
        str(latent), style_encoder_path=str(encoder), **{**OPTIONS, "use_instance_edges": True}
    )
    expected = public_reference.generate(case.weights, case.segmap, case.z, start_size=(2, 2))
    images = paint(pipeline, case.label_map, instance_map=case.instance_map, latents=case.z)
    torch.testing.assert_close(images, in_unit_range(expected), **OUTPUT_TOLERANCE)

    photo = public_reference.WeightMaker(3).normal(1, 3, 256, 256).tanh()
    mean, logvar = public_reference.encode(public_reference.random_encoder_weights(), photo)
    posterior = pipeline.style_encoder(photo).latent_dist
    torch.testing.assert_close(posterior.mean, mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(posterior.logvar, logvar, atol=1e-5, rtol=1e-5)

    style_image = Image.fromarray(np.uint8((photo[0].permute(1, 2, 0) + 1) * 127.5))
    result = pipeline(case.label_map, instance_map=case.instance_map, style_image=style_image, output_type="pt")
    z = result.latents.expand(2, -1)
    expected = public_reference.generate(case.weights, case.segmap, z, start_size=(2, 2))
    torch.testing.assert_close(result.images, in_unit_range(expected), **OUTPUT_TOLERANCE)


def test_widths_are_read_from_the_weights(folder):
    weights = public_reference.random_generator_weights(
        5, base_channels=2, hidden_channels=6, kernel_size=5, latent_dim=3, variant="most", start_size=(1, 2)
    )
    pipeline = convert_nvlabs_checkpoint(
        save(folder, "most_net_G.pth", weights),
        num_labels=5,
        use_instance_edges=False,
        image_size=(128, 256),
        num_upsampling_layers="most",
    )
    config = pipeline.generator.config
    assert (config.base_channels, config.spade_hidden_channels, config.spade_kernel_size) == (2, 6, 5)
    assert (config.latent_dim, config.num_upsampling_layers, config.image_size) == (3, 7, (128, 256))
    label_map = random_regions(np.random.RandomState(0), 1, (128, 256), 5)
    z = torch.ones(1, 3)
    segmap = public_reference.one_hot(label_map, None, num_labels=5, use_unknown_label=False)
    expected = public_reference.generate(weights, segmap, z, variant="most", start_size=(1, 2))
    torch.testing.assert_close(paint(pipeline, label_map, latents=z), in_unit_range(expected), **OUTPUT_TOLERANCE)


@pytest.mark.parametrize("name", ["kernel-5-instance", "kernel-1-plain", "more"])
def test_other_options(name, folder):
    case = random_case(name)
    pipeline = convert_nvlabs_checkpoint(
        save(folder, f"{name}_net_G.pth", case.weights),
        **case.labels,
        image_size=case.image_size,
        norm_type="instance" if case.options["norm"] == "instance" else "batch",
        num_upsampling_layers=case.options["variant"],
    )
    expected = public_reference.generate(case.weights, case.segmap, **case.options)
    images = paint(pipeline, case.label_map, instance_map=case.instance_map)
    torch.testing.assert_close(images, in_unit_range(expected), **OUTPUT_TOLERANCE)


def test_built_in_label_set(folder):
    """ADE20K: the released weights see raw ids, 0 = unknown."""
    weights = public_reference.random_generator_weights(151, base_channels=2, hidden_channels=4)
    path = save(folder, "ade20k_net_G.pth", weights)
    pipeline = convert_nvlabs_checkpoint(
        path, label_set="ade20k", use_instance_edges=False, image_size=64, num_upsampling_layers="normal"
    )
    label_map = random_regions(np.random.RandomState(0), 1, (64, 64), 151)
    segmap = torch.from_numpy(label_map[:, None] == np.arange(151).reshape(-1, 1, 1)).float()
    expected = public_reference.generate(weights, segmap)
    torch.testing.assert_close(paint(pipeline, label_map), in_unit_range(expected), **OUTPUT_TOLERANCE)
    assert pipeline.image_processor.label_set == LabelSet.from_name("ade20k")


def test_anonymous_labels(plain):
    labels = convert_nvlabs_checkpoint(plain, **PLAIN).image_processor.label_set
    assert labels.names == ("label 0", "label 1", "label 2", "label 3", "label 4", "unknown")
    assert labels.unknown_id == 255


def test_own_label_set(plain):
    labels = LabelSet(
        "mine", tuple((i, name, (i, 0, 9)) for i, name in enumerate(["sky", "sea", "sand", "rock", "tree"])), 255
    )
    options = {key: PLAIN[key] for key in ("use_instance_edges", "image_size", "num_upsampling_layers")}
    pipeline = convert_nvlabs_checkpoint(plain, label_set=labels, **options)
    assert pipeline.image_processor.label_set == labels


def test_converted_pipeline_is_fused_and_saves(plain, plain_case, tmp_path):
    pipeline = convert_nvlabs_checkpoint(plain, **PLAIN)
    assert pipeline.generator.config.use_spectral_norm is False
    pipeline.save_pretrained(str(tmp_path))
    loaded = SPADEPipeline.from_pretrained(str(tmp_path))
    expected = paint(pipeline, plain_case.label_map)
    torch.testing.assert_close(paint(loaded, plain_case.label_map), expected, **OUTPUT_TOLERANCE)


@pytest.mark.parametrize("form", ["legacy file", "no batch counts"])
def test_files_of_old_versions_of_torch(plain_case, form, tmp_path):
    weights = dict(plain_case.weights)
    if form == "no batch counts":
        weights = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    torch.save(weights, tmp_path / "G.pth", _use_new_zipfile_serialization=form != "legacy file")
    pipeline = convert_nvlabs_checkpoint(tmp_path / "G.pth", **PLAIN)
    expected = public_reference.generate(plain_case.weights, plain_case.segmap)
    torch.testing.assert_close(paint(pipeline, plain_case.label_map), in_unit_range(expected), **OUTPUT_TOLERANCE)


@torch.no_grad()
def test_names_with_the_prefix_of_distributed_training(folder, plain, plain_case):
    path = save(folder, "wrapped", {f"module.{key}": value for key, value in plain_case.weights.items()})
    ours, theirs = (convert_nvlabs_checkpoint(one, **PLAIN).generator.state_dict() for one in (path, plain))
    torch.testing.assert_close(ours, theirs, atol=0, rtol=0)


@pytest.mark.parametrize("name", ["ade-like", "coco-vae-like"])
def test_full_cases(name, shared_folder):
    case = shared_folder / "parity" / name
    options = json.loads((case / "options.json").read_text())
    inputs, expected = np.load(case / "inputs.npz"), np.load(case / "expected.npz")
    pipeline = spade_hf.convert_nvlabs_checkpoint(
        case / "latest_net_G.pth",
        style_encoder_path=case / "latest_net_E.pth" if options["use_vae"] else None,
        num_labels=options["label_nc"],
        use_unknown_label=options["contain_dontcare_label"],
        use_instance_edges=not options["no_instance"],
        image_size=options["crop_size"],
        num_upsampling_layers=options["num_upsampling_layers"],
    )
    images = paint(
        pipeline,
        inputs["label"],
        instance_map=None if options["no_instance"] else inputs["instance"],
        latents=torch.from_numpy(inputs["z"]) if "z" in inputs else None,
    )
    expected_images = torch.from_numpy(expected["image_eval"])
    torch.testing.assert_close(images, in_unit_range(expected_images), **OUTPUT_TOLERANCE)
    if options["use_vae"]:
        photos = torch.from_numpy(inputs["image"]).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            mean = pipeline.style_encoder(photos).latent_dist.mean
        torch.testing.assert_close(mean, torch.from_numpy(expected["mu"]), **OUTPUT_TOLERANCE)


# Wrong options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_labels": 6}, r"reads 6 semantic channels, but 6 labels, with `use_unknown_label` .* make 7\. Pass"),
        ({"use_unknown_label": False}, r"reads 6 semantic channels, but 5 labels, .* make 5"),
        (
            {"use_instance_edges": True},
            r"reads 6 semantic channels, but 5 labels, .* with `use_instance_edges`, make 7",
        ),
        ({"num_labels": None, "label_set": "ade20k"}, r"reads 6 semantic channels, but 150 labels, .* make 151"),
        ({"num_labels": None, "label_set": "ade"}, "`name` is 'ade'; the built-in label sets are ade20k"),
        ({"label_set": "ade20k"}, "Give either `label_set` or `num_labels`"),
        ({"num_labels": None}, "Give either `label_set` or `num_labels`"),
        (
            {"num_labels": None, "label_set": "cityscapes"},
            "`use_unknown_label` is True, but label set 'cityscapes' has unknown id None",
        ),
        ({"num_upsampling_layers": "many"}, "`num_upsampling_layers` is 'many'; allowed are normal, more, most"),
        ({"num_upsampling_layers": "most", "image_size": 128}, "does not fit a SPADEGenerator .*the file lacks"),
        ({"num_upsampling_layers": None}, "`num_upsampling_layers` is missing: .*plain_net_G.pth has no latent"),
        ({"norm_type": "instance"}, r"does not fit .*`norm_type`\): the file has \d+ extra weights"),
        ({"norm_type": "layer"}, "`norm_type` is 'layer'; allowed are"),
        ({"image_size": 100}, "`image_size` is 100x100 .*multiples of 32"),
    ],
)
def test_wrong_options(plain, changes, message):
    with pytest.raises(ValueError, match=message):
        convert_nvlabs_checkpoint(plain, **{**PLAIN, **changes})


def test_wrong_image_size_with_a_latent(latent):
    with pytest.raises(ValueError, match=r"does not fit .*linear_in\.weight is \[256, 8\] in the file and \[576, 8\]"):
        convert_nvlabs_checkpoint(latent, **{**OPTIONS, "use_instance_edges": True, "image_size": 96})


def test_style_encoder_of_another_model(plain, latent, encoder, folder):
    with pytest.raises(ValueError, match="plain_net_G.pth has no latent, so it has no style encoder"):
        convert_nvlabs_checkpoint(plain, style_encoder_path=encoder, **PLAIN)
    options = {**OPTIONS, "use_instance_edges": True}
    with pytest.raises(
        ValueError, match="latent_net_G.pth has no weight 'fc_mu.weight'; it is not the expected network"
    ):
        convert_nvlabs_checkpoint(latent, style_encoder_path=latent, **options)
    other = save(folder, "other_net_E.pth", public_reference.random_encoder_weights(latent_dim=4))
    with pytest.raises(ValueError, match="`latent_dim` is 8 in the generator and 4 in the style encoder"):
        convert_nvlabs_checkpoint(latent, style_encoder_path=other, **options)


# Wrong files


class RunsCode:
    def __reduce__(self) -> tuple:
        return os.system, ("touch code-has-run",)


def write_bad_file(path: Path, kind: str, weights: dict[str, torch.Tensor]) -> None:
    if kind == "text":
        path.write_text("<html>404: Not Found</html>\n" * 20)
    elif kind == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "half":
        torch.save(weights, path)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "folder":
        path.mkdir()
    else:
        torch.save({"conv_img.weight": RunsCode()}, path)


@pytest.mark.parametrize("kind", ["text", "pointer", "empty", "half", "folder", "code"])
def test_unreadable_file(plain_case, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "latest_net_G.pth"
    write_bad_file(path, kind, plain_case.weights)
    with pytest.raises(ValueError, match=r"latest_net_G\.pth cannot be read as a state dict of tensors \(") as error:
        convert_nvlabs_checkpoint(path, **PLAIN)
    assert "weights_only" not in str(error.value)  # no advice to switch the protection off
    assert "\n" not in str(error.value)
    assert not (tmp_path / "code-has-run").exists()


def test_a_file_without_permission_is_not_called_damaged(plain, monkeypatch):
    def refuse(*args, **kwargs):  # the user of the tests can be root, who may read every file
        raise PermissionError(13, "Permission denied", str(plain))

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(ValueError, match=r"net_G\.pth cannot be opened: Permission denied\. Allow reading it"):
        convert_nvlabs_checkpoint(plain, **PLAIN)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.pth does not exist; pass the path of a `latest_net_"):
        convert_nvlabs_checkpoint(tmp_path / "nowhere.pth", **PLAIN)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], "G.pth is not a dict of named tensors"),
        ({"state_dict": {}}, "G.pth is not a dict of named tensors"),
        ({3: torch.zeros(2)}, "G.pth is not a dict of named tensors"),
        ({}, r"G.pth has no weight 'conv_img\.weight'; it is not the expected network"),
    ],
)
def test_other_content(content, message, tmp_path):
    torch.save(content, tmp_path / "G.pth")
    with pytest.raises(ValueError, match=message):
        convert_nvlabs_checkpoint(tmp_path / "G.pth", **PLAIN)


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("fc.weight", r"has no weight 'fc\.weight'"),
        ("up_0.norm_0.mlp_beta.weight", r"unknown or missing 'up_0\.norm_0\.mlp_beta\.weight'"),
        ("up_0.conv_0.weight_v", r"the file lacks 1 weights, the first: blocks\.3\.conv1\.parametrizations"),
    ],
)
def test_incomplete_weights(plain_case, removed, message, tmp_path):
    weights = {key: value for key, value in plain_case.weights.items() if key != removed}
    torch.save(weights, tmp_path / "G.pth")
    with pytest.raises(ValueError, match=message):
        convert_nvlabs_checkpoint(tmp_path / "G.pth", **PLAIN)


def test_foreign_weights_are_not_dropped(plain_case, tmp_path):
    torch.save(dict(plain_case.weights) | {"attention.weight": torch.zeros(3)}, tmp_path / "G.pth")
    with pytest.raises(ValueError, match=r"the file has 1 extra weights, the first: attention\.weight"):
        convert_nvlabs_checkpoint(tmp_path / "G.pth", **PLAIN)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "conv_img.weight",
            torch.zeros(3),
            r"has a weight 'conv_img\.weight' of shape \[3\]; it is not the expected network",
        ),
        ("fc.weight", torch.zeros(3, 3, 3), r"has a weight 'fc\.weight' of shape \[3, 3, 3\]"),
        ("head_0.norm_0.mlp_shared.0.weight", torch.zeros(4), r"mlp_shared\.0\.weight' of shape \[4\]"),
        ("head_0.norm_0.mlp_shared.0.weight", torch.zeros(0, 6, 3, 3), r"of shape \[0, 6, 3, 3\]"),
        ("attention", torch.zeros(3), r"the file has 1 extra weights, the first: attention\."),
        ("head_0", torch.zeros(3), "is not the expected network of the public implementation: unknown or missing ''"),
        (
            "conv_img.weight",
            torch.zeros(1).expand(3, 10**9, 3, 3),
            "claims the shape .*, of which the file holds only a part",
        ),
        ("conv_img.bias", torch.tensor([0.0, 1.0, float("nan")]), "'conv_img.bias' that has values that are NaN"),
        ("conv_img.bias", torch.zeros(3, dtype=torch.int64), r"'conv_img.bias' that has dtype torch\.int64"),
        ("conv_img.bias", torch.zeros(3, device="meta"), "'conv_img.bias' that is not a plain tensor"),
        (
            "up_0.norm_0.mlp_beta.weight",
            torch.tensor(1.0),
            "is not the expected network of the public implementation: ",
        ),
    ],
)
def test_malformed_weights(plain_case, key, value, message, tmp_path):
    torch.save(dict(plain_case.weights) | {key: value}, tmp_path / "G.pth")
    with pytest.raises(ValueError, match=message):
        convert_nvlabs_checkpoint(tmp_path / "G.pth", **PLAIN)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("discriminator_999999999.model0.0.weight", r"the file lacks \d+ weights, .* extra weights"),
        ("discriminator_0.model99999999.0.weight", r"the file lacks \d+ weights, .* extra weights"),
    ],
)
def test_a_key_makes_no_thousand_layers(key, message, tmp_path):
    weights = public_reference.random_discriminator_weights(3)
    torch.save({**weights, key: weights["discriminator_0.model0.0.weight"]}, tmp_path / "D.pth")
    with pytest.raises(ValueError, match=message):
        convert_nvlabs_discriminator(tmp_path / "D.pth", num_labels=3, use_instance_edges=False)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_kept_in_float32(plain_case, dtype, tmp_path):
    halves = {
        key: value.to(dtype) if value.is_floating_point() else value for key, value in plain_case.weights.items()
    }
    torch.save(halves, tmp_path / "G.pth")
    generator = convert_nvlabs_checkpoint(tmp_path / "G.pth", **PLAIN).generator
    assert {value.dtype for value in generator.parameters()} == {torch.float32}


def test_malformed_encoder_weights(latent, tmp_path):
    torch.save({"fc_mu.weight": torch.zeros(3), "fc_var.weight": torch.zeros(3)}, tmp_path / "E.pth")
    with pytest.raises(ValueError, match=r"E\.pth has a weight 'fc_mu\.weight' of shape \[3\]"):
        convert_nvlabs_checkpoint(
            latent, style_encoder_path=tmp_path / "E.pth", **{**OPTIONS, "use_instance_edges": True}
        )
