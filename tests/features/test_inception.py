"""Inception-v3 with random weights. The figures are those of torchvision 0.29.1 and of pytorch-fid 0.3.0."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from spade_hf.features.inception import InceptionV3Features
from spade_hf.metrics import load_feature_network, pooled_features

from ..tiny_networks import random_images, randomized


NAMES = {1000: "model.safetensors", 1008: "pt_inception-2015-12-05-6726825d.pth"}  # by number of classes
DEVIATIONS = {  # of each map
    1000: [0.211610, 0.229142, 0.204022, 0.203872],
    1008: [0.211610, 0.229142, 0.204196, 0.204012],
}
FEATURES = {1000: [0.2126327, 0.7040884], 1008: [0.2128091, 0.6987569]}  # second and third of the first image


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return randomized(InceptionV3Features(), 0).state_dict()


def write(weights: dict[str, Tensor], folder: Path, num_classes: int) -> Path:
    """Write a weights file as on the Hub into a folder."""
    file = folder / NAMES[num_classes]
    state = {**weights, "fc.weight": torch.zeros(num_classes, 2048), "fc.bias": torch.zeros(num_classes)}
    save_file(state, file) if file.suffix == ".safetensors" else torch.save(state, file)
    (folder / "config.json").write_text('{"architecture": "inception_v3"}')
    return file


@pytest.mark.parametrize("num_classes", [1000, 1008])
def test_maps_are_the_public_networks(weights, tmp_path, num_classes):
    write(weights, tmp_path, num_classes)
    network = load_feature_network(str(tmp_path))
    assert isinstance(network, InceptionV3Features)
    maps = network(random_images())
    assert [level.shape for level in maps] == [(2, 64, 73, 73), (2, 192, 35, 35), (2, 768, 17, 17), (2, 2048, 8, 8)]
    assert tuple(level.shape[1] for level in maps) == network.feature_channels()
    assert [level.std().item() for level in maps] == pytest.approx(DEVIATIONS[num_classes], abs=1e-6)
    assert pooled_features(maps)[0, 1:3].tolist() == pytest.approx(FEATURES[num_classes], rel=1e-4)


def test_the_name_means_torchvision_s_on_the_hub(weights, tmp_path, hub):
    file = write(weights, tmp_path, 1000)
    hub.add_repo("timm/inception_v3.tv_in1k", {path.name: path.read_bytes() for path in tmp_path.iterdir()})
    downloaded, local = load_feature_network("inception-v3"), InceptionV3Features.from_file(file)
    assert isinstance(downloaded, InceptionV3Features)
    for weight, expected in zip(downloaded.state_dict().values(), local.state_dict().values(), strict=True):
        assert weight.equal(expected)


def test_older_files_count_no_batches(weights, tmp_path):
    counted = {name: weight for name, weight in weights.items() if not name.endswith("num_batches_tracked")}
    InceptionV3Features.from_file(write(counted, tmp_path, 1000))


def test_files_of_something_else_are_named(weights, tmp_path):
    file = write(weights, tmp_path, 1008)
    file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=f"{file} can't be read as weights .*Download it again"):
        load_feature_network(str(tmp_path))
    file = write({}, tmp_path, 1008)
    with pytest.raises(ValueError, match=f"{file} is not an Inception-v3: it lacks 'Conv2d_1a_3x3.bn.bias'"):
        InceptionV3Features.from_file(file)
    file = write({**weights, "Mixed_7c.branch1x1.bn.bias": torch.zeros(3)}, tmp_path, 1008)
    with pytest.raises(ValueError, match="is not an Inception-v3: .*Mixed_7c.branch1x1.bn.bias"):
        InceptionV3Features.from_file(file)
    torch.save({"state": 1}, file)
    with pytest.raises(ValueError, match="is not an Inception-v3: it lacks 'fc.weight'"):
        InceptionV3Features.from_file(file)
