"""Backbones of transformers, with random weights."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    ConvNextBackbone,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
)

from spade_hf.metrics import load_feature_network
from spade_hf.metrics.transformers_networks import spread

from ..tiny_networks import save_tiny_segmenter


CLASSES = ("Wall", "sky", "grass, lawn", "tree", "Rock-stone")
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


def images(size: tuple[int, int] = (64, 96)) -> torch.Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def backbone(tmp_path):
    torch.manual_seed(0)
    config = ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    ConvNextModel(config).save_pretrained(tmp_path / "convnext")
    write_normalization(tmp_path / "convnext")
    return tmp_path / "convnext"


@pytest.fixture
def segmenter(tmp_path):
    save_tiny_segmenter(tmp_path / "segformer", CLASSES)
    write_normalization(tmp_path / "segformer")
    return tmp_path / "segformer"


def write_normalization(folder, **more):
    content = {"image_mean": MEAN, "image_std": STD, **more}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))


def normalized(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return ((images + 1) / 2 - mean) / std


def test_maps_are_the_backbone_s(backbone):
    network = load_feature_network(str(backbone))
    assert network.feature_channels() == (8, 12, 16, 20)
    maps = network(images())
    assert [level.shape for level in maps] == [(2, 8, 16, 24), (2, 12, 8, 12), (2, 16, 4, 6), (2, 20, 2, 3)]
    stages = ["stage1", "stage2", "stage3", "stage4"]
    reference = ConvNextBackbone.from_pretrained(
        backbone, config=ConvNextConfig.from_pretrained(backbone, out_features=stages)
    )
    with torch.no_grad():
        for level, expected in zip(maps, reference(normalized(images())).feature_maps, strict=True):
            torch.testing.assert_close(level, expected)


def test_vision_transformers_give_four_maps(tmp_path):
    config = Dinov2Config(hidden_size=16, num_hidden_layers=6, num_attention_heads=2, image_size=56)
    Dinov2Model(config).save_pretrained(tmp_path)
    maps = load_feature_network(str(tmp_path))(images())
    assert [level.shape for level in maps] == [(2, 16, 4, 6)] * 4
    assert spread(7) == [1, 3, 4, 6] and spread(5) == [1, 2, 3, 4] and spread(13) == [3, 6, 9, 12]


def test_images_are_not_normalized_where_the_model_says_so(backbone):
    write_normalization(backbone, do_normalize=False)
    plain = load_feature_network(str(backbone))
    torch.testing.assert_close(plain.normalization(images()), (images() + 1) / 2)
    (backbone / "preprocessor_config.json").unlink()
    imagenet = load_feature_network(str(backbone)).normalization
    assert imagenet.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_what_cannot_be_loaded(backbone, segmenter, tmp_path):
    with pytest.raises(ValueError, match="can't be loaded as a vision backbone: .*no backbone class.*'segformer'"):
        load_feature_network(str(segmenter))
    with pytest.raises(ValueError, match="can't be loaded as a vision backbone"):
        load_feature_network(str(tmp_path))

    weights = backbone / "model.safetensors"
    state = load_file(weights)
    removed = next(name for name in state if name.endswith("pwconv1.weight"))
    save_file({name: tensor for name, tensor in state.items() if name != removed}, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"weights are missing, such as {removed}"):
        load_feature_network(str(backbone))
    weights.write_bytes(weights.read_bytes()[:900])
    with pytest.raises(ValueError, match="can't be loaded as a vision backbone"):
        load_feature_network(str(backbone))
