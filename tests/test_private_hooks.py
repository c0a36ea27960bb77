"""What the library uses of other libraries' private parts, each tried: a new version that changes one is seen here."""

import argparse
import pickle

import datasets
import diffusers
import pytest
import torch
from diffusers.pipelines import pipeline_loading_utils
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import spade_hf
from spade_hf.layers.spectral_norm import SpectralNorm

from .tiny_networks import tiny_generator


def test_spectral_norm_of_torch():
    """`SpectralNorm` inherits its buffers, its `training` and its power iteration."""
    theirs = parametrizations.spectral_norm(nn.Conv2d(2, 3, 3)).parametrizations.weight[0]
    assert type(theirs) is parametrizations._SpectralNorm
    assert {name for name, _ in theirs.named_buffers()} == {"_u", "_v"}
    weight = torch.randn(3, 2, 3, 3)
    ours = SpectralNorm(weight)
    before = ours._u.clone()
    ours.eval()(weight)
    assert torch.equal(ours._u, before)
    ours.train()(weight)
    assert not torch.equal(ours._u, before)
    assert ours.n_power_iterations == theirs.n_power_iterations == 1


def test_the_class_of_a_parametrized_layer():
    """`fuse_spectral_norm` returns a layer to its base class; `is_plain_conv` looks at that class."""
    layer = parametrizations.spectral_norm(nn.Conv2d(2, 3, 3))
    assert parametrize.is_parametrized(layer, "weight")
    assert type(layer) is not nn.Conv2d and type(layer).__base__ is nn.Conv2d


def test_batch_norm_of_torch():
    """The base class of every batch norm, with the attributes that `frozen_statistics` changes."""
    for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm):
        norm = kind(3)
        assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
        assert norm.momentum == 0.1 and norm.get_buffer("num_batches_tracked") == 0
    assert not isinstance(nn.InstanceNorm2d(3), nn.modules.batchnorm._BatchNorm)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_bf16_instructions():
    """`has_bf16_instructions` takes a missing function for a yes."""
    assert isinstance(torch.ops.mkldnn._is_mkldnn_bf16_supported(), bool)


def test_hooks_of_a_module():
    """`has_hooks` reads these dictionaries; tests/execution/test_plain_layers.py fills each of them."""
    module = nn.Conv2d(2, 3, 3)
    for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
        assert len(getattr(module, name)) == 0


def test_an_assertion_within_a_graph():
    """How a compiled network refuses unknown label ids; tests/layers/test_mask_reading.py compiles it."""
    torch._assert_async(torch.tensor(True), "fine")
    with pytest.raises(RuntimeError, match="not fine"):
        torch._assert_async(torch.tensor(False), "not fine")


def test_the_registry_of_diffusers():
    """Pipelines load from the Hub only because the library is in it."""
    save_and_load = ["save_pretrained", "from_pretrained"]
    assert pipeline_loading_utils.LOADABLE_CLASSES["diffusers"]["ModelMixin"] == save_and_load
    assert pipeline_loading_utils.LOADABLE_CLASSES["spade_hf"]["ModelMixin"] == save_and_load
    assert pipeline_loading_utils.ALL_IMPORTABLE_CLASSES["SPADEImageProcessor"] == save_and_load
    assert diffusers.SPADEPipeline is spade_hf.SPADEPipeline


def test_the_reader_of_an_index_in_diffusers(tmp_path):
    """`SPADEPipeline` changes what it returns: then a model that travels with its code loads as any other."""
    (tmp_path / "model_index.json").write_text('{"_class_name": ["pipeline", "SPADEPipeline"]}')
    index = diffusers.DiffusionPipeline.load_config(tmp_path)
    assert index == {"_class_name": ["pipeline", "SPADEPipeline"]}
    assert index == diffusers.DiffusionPipeline._dict_from_json_file(tmp_path / "model_index.json")
    assert spade_hf.SPADEPipeline.load_config(tmp_path) == {"_class_name": "SPADEPipeline"}


def test_defaults_of_a_config_of_diffusers():
    """`update_config` unmarks what it changes: `from_config` drops values that are marked as defaults."""
    generator = tiny_generator()
    assert "use_spectral_norm" in generator.config["_use_default_values"]
    generator.fuse_spectral_norm()
    assert "use_spectral_norm" not in generator.config["_use_default_values"]
    assert spade_hf.SPADEGenerator.from_config(generator.config).config.use_spectral_norm is False


def test_features_of_datasets_as_yaml():
    """The form of a data card's columns."""
    features = datasets.Features({"image": datasets.Image(), "id": datasets.Value("int64")})
    assert features._to_yaml_list() == [{"name": "image", "dtype": "image"}, {"name": "id", "dtype": "int64"}]


def test_actions_of_a_parser():
    """What options there are, for a YAML file of options, and for messages that name options."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--resolution", type=int, nargs="+")
    parser.add_argument("mask")
    actions = {action.dest: action for action in parser._actions}
    assert actions.keys() == {"help", "resolution", "mask"}
    assert actions["resolution"].option_strings == ["--resolution"] and actions["mask"].option_strings == []


def test_spectral_norm_cannot_be_pickled_but_fused_weights_can():
    """What docs/hub.md says of checkpoints; once torch can, the sentence can go."""
    generator = tiny_generator()
    with pytest.raises(RuntimeError, match="parametrized modules is only supported through state_dict"):
        pickle.dumps(generator)
    generator.fuse_spectral_norm()
    copy = pickle.loads(pickle.dumps(generator))
    assert copy.state_dict().keys() == generator.state_dict().keys()
