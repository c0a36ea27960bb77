from pathlib import Path

import pytest
import torch
from huggingface_hub import get_session
from safetensors.torch import load_file, save_file
from torch import nn

from spade_hf.features.vgg import VGG19_REPO, VGG19Features


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Random weights of a VGG-19 of width 4, with torchvision's keys, including the unused last layers."""
    generator = torch.Generator().manual_seed(0)
    convs = [(0, 3, 4), (2, 4, 4), (5, 4, 8), (7, 8, 8), (10, 8, 16), (12, 16, 16), (14, 16, 16), (16, 16, 16)]
    convs += [(19, 16, 32), (21, 32, 32), (23, 32, 32), (25, 32, 32), (28, 32, 32), (30, 32, 32)]
    weights = {}
    for index, in_channels, out_channels in convs:
        std = (2 / (9 * in_channels)) ** 0.5  # keeps the features' size from layer to layer
        weights[f"features.{index}.weight"] = torch.randn(out_channels, in_channels, 3, 3, generator=generator) * std
        weights[f"features.{index}.bias"] = torch.randn(out_channels, generator=generator) * 0.1
    return weights | {"head.fc.weight": torch.zeros(10, 32)}


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("vgg19")
    save_file(weights, folder / "model.safetensors")
    return folder


def reference_features(weights: dict[str, torch.Tensor], images: torch.Tensor) -> list[torch.Tensor]:
    """The five features from five plain stacks, each written out."""

    def conv(index: int) -> list[nn.Module]:
        weight = weights[f"features.{index}.weight"]
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        layer.load_state_dict({"weight": weight, "bias": weights[f"features.{index}.bias"]})
        return [layer, nn.ReLU()]

    pool = nn.MaxPool2d(2, 2)
    stacks = (
        nn.Sequential(*conv(0)),
        nn.Sequential(*conv(2), pool, *conv(5)),
        nn.Sequential(*conv(7), pool, *conv(10)),
        nn.Sequential(*conv(12), *conv(14), *conv(16), pool, *conv(19)),
        nn.Sequential(*conv(21), *conv(23), *conv(25), pool, *conv(28)),
    )
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x, features = (images * 0.5 + 0.5 - mean) / std, []
    for stack in stacks:
        x = stack(x)
        features.append(x)
    return features


def assert_features_match(net: VGG19Features, weights: dict[str, torch.Tensor]) -> None:
    images = torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    features, expected = net(images), reference_features(weights, images)
    assert [tuple(x.shape[1:]) for x in features] == [(4, 48, 32), (8, 24, 16), (16, 12, 8), (32, 6, 4), (32, 3, 2)]
    for feature, reference in zip(features, expected, strict=True):
        assert reference.abs().mean() > 0.1  # not a comparison of zeros
        torch.testing.assert_close(feature, reference)


def test_from_folder_and_file(folder, weights):
    assert_features_match(VGG19Features.from_pretrained(folder), weights)
    assert_features_match(VGG19Features.from_pretrained(str(folder / "model.safetensors")), weights)


def test_from_hub(hub, folder, weights):
    hub.add_repo(VGG19_REPO, {"model.safetensors": (folder / "model.safetensors").read_bytes()})
    assert_features_match(VGG19Features.from_pretrained(), weights)
    assert_features_match(VGG19Features.from_pretrained(local_files_only=True), weights)  # now in the cache


def test_real_width():
    with torch.device("meta"):
        net = VGG19Features()
    shapes = {name: tuple(p.shape) for name, p in net.state_dict().items()}
    assert shapes["features.0.weight"] == (64, 3, 3, 3)
    assert shapes["features.28.weight"] == (512, 512, 3, 3)
    assert len(shapes) == 26


def test_gradient_reaches_images_only(folder):
    net = VGG19Features.from_pretrained(folder)
    images = torch.zeros(1, 3, 32, 32, requires_grad=True)
    sum(feature.sum() for feature in net(images)).backward()
    assert images.grad.abs().sum() > 0
    assert not net.training
    assert all(not p.requires_grad and p.grad is None for p in net.parameters())


def test_half_precision_file(weights, tmp_path):
    save_file({name: weight.bfloat16() for name, weight in weights.items()}, tmp_path / "model.safetensors")
    assert {p.dtype for p in VGG19Features.from_pretrained(tmp_path).parameters()} == {torch.float32}


def test_missing_weights(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    del weights["features.5.bias"], weights["features.28.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"model\.safetensors` lacks 2 of VGG-19's 26 weights.*'features\.28\.weight'"
    ):
        VGG19Features.from_pretrained(tmp_path)


def test_wrong_shape(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    weights["features.5.bias"] = torch.zeros(7)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds features\.5\.bias of shape \(7,\), in VGG-19 it is \(8,\)"):
        VGG19Features.from_pretrained(tmp_path)


def test_corrupt_file(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors` can't be read as safetensors.*Download it again"):
        VGG19Features.from_pretrained(tmp_path)


def test_folder_without_weights(tmp_path):
    with pytest.raises(ValueError, match=r"model\.safetensors` can't be read"):
        VGG19Features.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["no/such/folder", "alice/absent-vgg", "alice/vgg-without-weights"])
def test_unknown_name(hub, name):
    hub.add_repo("alice/vgg-without-weights", {"README.md": b"empty"})
    with pytest.raises(ValueError, match=rf"`{name}` is neither a local file or folder nor a Hub repo with 'model"):
        VGG19Features.from_pretrained(name)


@pytest.mark.parametrize("is_cached", [False, True])
def test_without_network_the_hub_is_asked_once(hub, is_cached, folder, monkeypatch, tmp_path):
    """And the weights of an earlier download are used."""
    name = f"alice/vgg-{is_cached}"
    hub.add_repo(name, {"model.safetensors": (folder / "model.safetensors").read_bytes()})
    if is_cached:
        VGG19Features.from_pretrained(name, cache_dir=tmp_path)
    asked = []

    def refuse(self, request, **_):
        asked.append(request.url)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(type(get_session()), "send", refuse)
    if is_cached:
        assert VGG19Features.from_pretrained(name, cache_dir=tmp_path) is not None
    else:
        message = r"Give a local folder that holds 'model.safetensors', or go online \(ConnectionError: no route"
        with pytest.raises(ValueError, match=message):
            VGG19Features.from_pretrained(name, cache_dir=tmp_path)
    assert len(asked) == 1
