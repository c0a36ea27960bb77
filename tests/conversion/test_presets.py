"""Presets of the three public checkpoints, on random weights under the real names."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import spade_hf_cli
from spade_hf import SPADEPipeline
from spade_hf.conversion import PRESETS, convert_nvlabs_checkpoint
from spade_hf.conversion.presets import PRESET_OF_CHANNELS
from spade_hf.models.semantics import num_semantic_channels
from spade_hf_cli.parser import PRESETS as COMMAND_PRESETS

from .. import public_reference
from ..parity_cases import random_regions


# preset -> semantic channels, where the id is of no class, ids, start size, parameters in millions
PUBLIC = {
    "ade20k": (151, 0, range(151), (8, 8), 96.5),
    "coco": (184, 255, [*range(182), 255], (8, 8), 97.5),
    "cityscapes": (36, None, range(35), (4, 8), 93.05),
}
EDGES = {"coco", "cityscapes"}


def weights_of(name: str, **widths: int) -> dict[str, torch.Tensor]:
    return public_reference.random_generator_weights(
        PUBLIC[name][0], variant=PRESETS[name]["num_upsampling_layers"], has_converged=False, **widths
    )


def segmap_of(name: str, label_map: np.ndarray, instance_map: np.ndarray | None) -> torch.Tensor:
    """The semantic channels as the data sets' public conventions have them."""
    planes = torch.stack([torch.from_numpy(label_map == i) for i in PUBLIC[name][2]], dim=1).float()
    if instance_map is None:
        return planes
    edges = public_reference.one_hot(label_map, instance_map, num_labels=1, use_unknown_label=False)[:, -1:]
    return torch.cat([planes, edges], dim=1)


def assert_paints_as_the_reference(pipeline: SPADEPipeline, name: str, weights: dict[str, torch.Tensor]) -> None:
    random, (height, width) = np.random.RandomState(0), PRESETS[name]["image_size"]
    label_map = np.array(PUBLIC[name][2])[random_regions(random, 1, (height, width), len(PUBLIC[name][2]))]
    instance_map = random_regions(random, 1, (height, width), 9) if name in EDGES else None
    expected = public_reference.generate(
        weights, segmap_of(name, label_map, instance_map), variant=PRESETS[name]["num_upsampling_layers"]
    )
    images = pipeline(label_map, instance_map=instance_map, output_type="pt").images
    assert images.shape[-2:] == (height, width)
    torch.testing.assert_close(images, expected / 2 + 0.5, atol=1e-4, rtol=0)


def test_the_command_line_names_the_presets():
    assert COMMAND_PRESETS == tuple(PRESETS) == tuple(PUBLIC)
    assert PRESET_OF_CHANNELS == {facts[0]: name for name, facts in PUBLIC.items()}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_of_the_published_shape(name, tmp_path):
    weights = weights_of(name, base_channels=2, hidden_channels=4)
    torch.save(weights, tmp_path / "latest_net_G.pth")
    pipeline = convert_nvlabs_checkpoint(tmp_path / "latest_net_G.pth", **PRESETS[name])
    config, labels = pipeline.generator.config, pipeline.image_processor.label_set
    channels, unknown_id, ids, start_size, _ = PUBLIC[name]
    assert num_semantic_channels(labels.num_labels, labels.use_unknown_label, config.use_instance_edges) == channels
    assert (labels.ids, labels.unknown_id) == (tuple(ids), unknown_id)
    assert pipeline.generator.start_size == start_size
    assert (config.latent_dim, config.norm_type) == (None, "sync_batch")
    assert_paints_as_the_reference(pipeline, name, weights)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_weights_of_the_real_size(name, tmp_path):
    weights = weights_of(name, base_channels=64, hidden_channels=128)
    count = sum(value.numel() for key, value in weights.items() if key.endswith(("weight", "bias", "weight_orig")))
    assert count / 1e6 == pytest.approx(PUBLIC[name][4], abs=0.05)
    torch.save(weights, tmp_path / "latest_net_G.pth", _use_new_zipfile_serialization=False)  # as published
    output = tmp_path / "new"
    assert spade_hf_cli.main(["convert", str(tmp_path / "latest_net_G.pth"), str(output), "--preset", name]) == 0
    assert json.loads((output / "generator" / "config.json").read_text())["base_channels"] == 64
    assert_paints_as_the_reference(SPADEPipeline.from_pretrained(output), name, weights)


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("public") / "latest_net_G.pth"
    torch.save(weights_of("cityscapes", base_channels=2, hidden_channels=4), path)
    return path


def test_another_data_set_names_the_right_preset(cityscapes):
    match = r"reads 36 semantic channels, .* make 184\. .* The public weights of the preset cityscapes read 36\."
    with pytest.raises(ValueError, match=match):
        convert_nvlabs_checkpoint(cityscapes, **PRESETS["coco"])


@pytest.mark.parametrize("name", PRESETS)
def test_the_card_of_a_preset(name, tmp_path, capsys):
    torch.save(weights_of(name, base_channels=2, hidden_channels=4), tmp_path / "G.pth")
    assert spade_hf_cli.main(["convert", str(tmp_path / "G.pth"), str(tmp_path / "new"), "--preset", name]) == 0
    card = (tmp_path / "new" / "README.md").read_text(encoding="utf-8")
    assert "\nlicense: cc-by-nc-sa-4.0\n" in card
    assert "[CC BY-NC-SA 4.0](https://creativecommons.org/licenses/by-nc-sa/4.0/)" in card
    assert ('instance_map="instances.png"' in card) == (name in EDGES)
    assert {path.name for path in tmp_path.iterdir()} == {"G.pth", "new"}
