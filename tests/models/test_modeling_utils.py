"""The base class of all networks: configs, saving, loading, the Hub, and the names of the weights."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

import spade_hf
from spade_hf import MultiscaleDiscriminator, Pix2PixHDGenerator, SPADEGenerator, SPADESegmenter, SPADEStyleEncoder

from ..tiny_networks import (
    random_images,
    random_label_map,
    random_latents,
    tiny_concatenation,
    tiny_discriminator,
    tiny_generator,
    tiny_pix2pixhd,
    tiny_segmenter,
    tiny_style_encoder,
)


WEIGHTS = "diffusion_pytorch_model.safetensors"
STATE_DICTS = Path(__file__).parents[1] / "fixtures" / "state_dicts.json"
NETWORKS = {
    "generator": tiny_generator,
    "generator without latent": lambda seed=0: tiny_generator(
        seed, latent_dim=None, use_unknown_label=True, use_instance_edges=True, image_size=(64, 96)
    ),
    "fused generator": lambda seed=0: fused(tiny_generator(seed)),
    "style encoder": tiny_style_encoder,
    "fused style encoder": lambda seed=0: fused(tiny_style_encoder(seed)),
    "discriminator": tiny_discriminator,
    "fused discriminator": lambda seed=0: fused(tiny_discriminator(seed)),
    "concatenation generator": tiny_concatenation,
    "pix2pixHD generator": tiny_pix2pixhd,
    "segmenter": tiny_segmenter,
}
SAME = {"atol": 1e-9, "rtol": 1e-9}  # of float64


def fused(network):
    network.fuse_spectral_norm()
    return network


@torch.no_grad()
def outputs(network) -> torch.Tensor:
    dtype, config = network.dtype, network.config
    if isinstance(network, SPADEStyleEncoder):
        return network(random_images((128, 128)).to(dtype)).latent_dist.mean.float()
    if isinstance(network, SPADESegmenter):
        return network(random_images((64, 96)).to(dtype)).logits.float()
    label_map = random_label_map((64, 96))
    edges = label_map == 1 if config.use_instance_edges else None
    if isinstance(network, MultiscaleDiscriminator):
        return network(label_map, random_images((64, 96)).to(dtype)).logits[1].float()
    if isinstance(network, Pix2PixHDGenerator):
        return network(label_map).images.float()
    z = random_latents().to(dtype) if config.latent_dim else None
    return network(label_map, z, instance_edges=edges).images.float()


def assert_same_outputs(network, other) -> None:
    """Compare in float64: the alignment of the weights in memory changes how float32 rounds."""
    ours, theirs = (outputs(copy.deepcopy(each).double()) for each in (network, other))
    torch.testing.assert_close(ours, theirs, **SAME)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A fused generator: spectral norm costs a second at each load."""
    folder = tmp_path_factory.mktemp("saved") / "generator"
    fused(tiny_generator()).save_pretrained(str(folder))
    return folder


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    """A saved generator that a test may damage."""
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


# Configs and names


@pytest.mark.parametrize("name", NETWORKS)
def test_names_of_weights_are_pinned(name):
    """The names are a file format. Changing them breaks all existing checkpoints: add a conversion first."""
    shapes = {key: list(tensor.shape) for key, tensor in NETWORKS[name]().state_dict().items()}
    assert shapes == json.loads(STATE_DICTS.read_text())[name]


def test_config_file_holds_every_argument(saved):
    config = json.loads((saved / "config.json").read_text())
    assert {key: value for key, value in config.items() if not key.startswith("_")} == {
        "num_labels": 4,
        "use_unknown_label": False,
        "use_instance_edges": False,
        "image_size": 64,
        "base_channels": 4,
        "channel_mult": None,
        "latent_dim": 8,
        "spade_hidden_channels": 8,
        "spade_kernel_size": 3,
        "norm_type": "sync_batch",
        "use_spectral_norm": False,
        "num_upsampling_layers": 5,
        "head_upsampling": 1,
        "image_channels": 3,
        "condition_channels": 0,
        "mask_norm": "spade",
    }
    assert config["_class_name"] == "SPADEGenerator"


# Saving and loading


@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
def test_path_objects_and_both_ways_of_loading(saved, low_cpu_mem_usage):
    generator = SPADEGenerator.from_pretrained(saved, low_cpu_mem_usage=low_cpu_mem_usage)
    assert_same_outputs(generator, fused(tiny_generator()))


def test_loaded_generator_trains_on(tmp_path):
    tiny_generator().save_pretrained(str(tmp_path))
    generator = SPADEGenerator.from_pretrained(str(tmp_path)).train()
    before = generator.blocks[0].norm1.param_free_norm.running_mean.clone()
    generator(random_label_map(), random_latents()).images.sum().backward()
    assert generator.blocks[0].conv1.parametrizations.weight.original.grad.abs().sum() > 0
    assert not torch.equal(generator.blocks[0].norm1.param_free_norm.running_mean, before)


def test_auto_model(tmp_path):
    """`diffusers.AutoModel` finds the classes, also by a pipeline's index."""
    pipeline = spade_hf.SPADEPipeline(
        generator=fused(tiny_generator()),
        image_processor=spade_hf.SPADEImageProcessor(label_set=spade_hf.LabelSet.anonymous(4)),
    )
    pipeline.save_pretrained(str(tmp_path))
    generator = diffusers.AutoModel.from_pretrained(str(tmp_path), subfolder="generator")
    assert type(generator) is SPADEGenerator
    assert_same_outputs(generator, fused(tiny_generator()))


@pytest.mark.parametrize("name", ["fused generator", "style encoder", "discriminator", "pix2pixHD generator"])
def test_auto_model_of_a_single_network(name, tmp_path):
    network = NETWORKS[name]()
    network.save_pretrained(str(tmp_path))
    assert type(diffusers.AutoModel.from_pretrained(str(tmp_path))) is type(network)


def test_variant(tmp_path):
    expected = outputs(tiny_generator())
    fused(tiny_generator()).to(torch.float16).save_pretrained(str(tmp_path), variant="fp16")
    assert (tmp_path / "diffusion_pytorch_model.fp16.safetensors").is_file()
    generator = SPADEGenerator.from_pretrained(str(tmp_path), variant="fp16", dtype=torch.float16)
    assert {tensor.dtype for tensor in generator.state_dict().values()} == {torch.float16, torch.int64}
    assert (outputs(generator) - expected).abs().mean() < 0.02 * expected.std()
    generator = SPADEGenerator.from_pretrained(str(tmp_path), variant="fp16")
    assert generator.dtype == torch.float32
    assert (outputs(generator) - expected).abs().mean() < 0.02 * expected.std()
    with pytest.raises(OSError, match="no file named diffusion_pytorch_model.safetensors"):
        SPADEGenerator.from_pretrained(str(tmp_path))
    assert torch.get_default_dtype() == torch.float32


def test_loaded_weights_lie_channels_last(saved):
    for name, weight in SPADEGenerator.from_pretrained(str(saved)).named_parameters():
        assert weight.ndim != 4 or weight.is_contiguous(memory_format=torch.channels_last), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dtype(saved, dtype):
    generator = SPADEGenerator.from_pretrained(str(saved), dtype=dtype)
    assert generator.dtype == dtype
    expected = outputs(tiny_generator())
    assert (outputs(generator) - expected).abs().mean() < 0.1 * expected.std()


def test_shards(tmp_path):
    fused(tiny_generator()).save_pretrained(str(tmp_path), max_shard_size="300KB")
    assert (tmp_path / f"{WEIGHTS}.index.json").is_file()
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_same_outputs(SPADEGenerator.from_pretrained(str(tmp_path)), fused(tiny_generator()))


@pytest.mark.parametrize("save", ["network", "pipeline"])
@pytest.mark.parametrize("arguments", [{"safe_serialization": False}, {"use_flashpack": True}])
def test_formats_that_are_not_read_are_not_written(save, arguments, tmp_path):
    saved = fused(tiny_generator())
    if save == "pipeline":
        processor = spade_hf.SPADEImageProcessor(label_set=spade_hf.LabelSet.anonymous(4))
        saved = spade_hf.SPADEPipeline(saved, processor)
    folder = tmp_path / "saved"
    with pytest.raises(
        ValueError, match=rf"`{next(iter(arguments))}` is .*, but this library reads .* safetensors only"
    ):
        saved.save_pretrained(folder, **arguments)
    assert not folder.exists()
    saved.save_pretrained(folder, safe_serialization=True)
    assert list(folder.rglob(WEIGHTS))


@pytest.mark.parametrize("variant", [None, "ema"])
@pytest.mark.parametrize("order", [("300KB", "10GB"), ("10GB", "300KB"), ("300KB", "600KB")])
def test_saving_again_replaces_the_files_of_the_first_save(order, variant, tmp_path):
    """An index would win over a new single file when loading."""
    names = [f"diffusion_pytorch_model{f'.{variant}' if variant else ''}.safetensors",
             f"{WEIGHTS}.index{f'.{variant}' if variant else ''}.json"]  # fmt: skip
    for seed, size in enumerate(order):
        network = fused(tiny_generator(seed))
        network.save_pretrained(tmp_path, variant=variant, max_shard_size=size)
        assert [(tmp_path / name).exists() for name in names] == [size == "10GB", size != "10GB"]
        assert_same_outputs(SPADEGenerator.from_pretrained(tmp_path, variant=variant), network)


def test_variants_live_side_by_side(tmp_path):
    ema, plain = fused(tiny_generator(1)), fused(tiny_generator(0))
    ema.save_pretrained(tmp_path, variant="ema")
    plain.save_pretrained(tmp_path, max_shard_size="300KB")
    assert_same_outputs(SPADEGenerator.from_pretrained(tmp_path), plain)
    assert_same_outputs(SPADEGenerator.from_pretrained(tmp_path, variant="ema"), ema)


def test_shards_of_another_variant_are_not_deleted(tmp_path):
    """As diffusers would do."""
    ema = fused(tiny_generator(1))
    ema.save_pretrained(tmp_path, variant="ema", max_shard_size="300KB")
    with pytest.raises(
        ValueError, match="has the sharded weights of another variant, such as .*ema-00001.* Save into"
    ):
        fused(tiny_generator()).save_pretrained(tmp_path)
    assert_same_outputs(SPADEGenerator.from_pretrained(tmp_path, variant="ema"), ema)
    ema.save_pretrained(tmp_path, variant="ema")  # its own


@pytest.mark.parametrize("kind", ["generator", "fused style encoder"])
def test_hub(hub, kind):
    network, name = NETWORKS[kind](), f"{hub.user}/single-{kind.replace(' ', '-')}"
    network.push_to_hub(name, token=hub.token)
    assert_same_outputs(type(network).from_pretrained(name), network)


def test_shards_on_the_hub(hub, tmp_path):
    name = f"{hub.user}/sharded-generator"
    fused(tiny_generator()).save_pretrained(
        str(tmp_path), push_to_hub=True, repo_id=name, token=hub.token, max_shard_size="300KB"
    )
    assert_same_outputs(SPADEGenerator.from_pretrained(name), fused(tiny_generator()))


def test_loading_info(saved):
    generator, info = SPADEGenerator.from_pretrained(str(saved), output_loading_info=True)
    assert isinstance(generator, SPADEGenerator)
    assert info["missing_keys"] == []


# Damaged files


@pytest.mark.parametrize("low_cpu_mem_usage", [True, False])
def test_missing_weights(copied, low_cpu_mem_usage):
    weights = load_file(copied / WEIGHTS)
    del weights["conv_out.bias"], weights["blocks.0.norm1.conv_mask.weight"]
    save_file(weights, copied / WEIGHTS)
    with pytest.raises(
        ValueError, match=r"lacks 2 of the weights of SPADEGenerator, .*'blocks\.0\.norm1\.conv_mask\.weight'"
    ):
        SPADEGenerator.from_pretrained(str(copied), low_cpu_mem_usage=low_cpu_mem_usage)


def test_missing_statistics(copied):
    weights = load_file(copied / WEIGHTS)
    del weights["blocks.0.norm1.param_free_norm.running_var"]
    save_file(weights, copied / WEIGHTS)
    with pytest.raises(ValueError, match=r"lacks 1 of the weights .*running_var"):
        SPADEGenerator.from_pretrained(str(copied))


def test_extra_weights(copied):
    save_file(load_file(copied / WEIGHTS) | {"conv_more.bias": torch.zeros(7)}, copied / WEIGHTS)
    with pytest.raises(ValueError, match=r"has 1 weights that SPADEGenerator does not have, .*conv_more\.bias"):
        SPADEGenerator.from_pretrained(str(copied))


@pytest.mark.parametrize("content", [b"", b"no safetensors", "half"])
def test_damaged_weights(copied, content):
    whole = (copied / WEIGHTS).read_bytes()
    (copied / WEIGHTS).write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(ValueError, match=rf"cannot be read: .*{WEIGHTS}'\. Copy or download the file again"):
        SPADEGenerator.from_pretrained(str(copied))


def test_damaged_shard(tmp_path):
    fused(tiny_generator()).save_pretrained(str(tmp_path), max_shard_size="300KB")
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(ValueError, match=rf"cannot be read: .*{shard.name}"):
        SPADEGenerator.from_pretrained(str(tmp_path))


def test_wrong_shape(copied):
    weights = load_file(copied / WEIGHTS)
    save_file(weights | {"conv_out.bias": torch.zeros(7)}, copied / WEIGHTS)
    with pytest.raises(ValueError, match=r"conv_out\.bias expected shape .*3.*, but got .*7"):
        SPADEGenerator.from_pretrained(str(copied))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_channels": "4"}, "config of SPADEGenerator has `base_channels` '4'; allowed is int"),
        ({"base_channels": 10**30}, "has `base_channels` '1000+'; allowed is int"),
        ({"num_labels": True}, "has `num_labels` 'True'; allowed is int"),
        ({"num_labels": None}, "has `num_labels` 'None'; allowed is int"),
        ({"use_unknown_label": 1}, "has `use_unknown_label` '1'; allowed is bool"),
        ({"image_size": [64]}, r"has `image_size` '\[64\]'; allowed is int \| tuple\[int, int\]"),
        ({"channel_mult": [1, "x"]}, "has `channel_mult`"),
        ({"norm_type": "layer"}, "has `norm_type` 'layer'; allowed is"),
    ],
)
def test_values_of_a_config_are_checked(copied, changes, message):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(ValueError, match=message):
        SPADEGenerator.from_pretrained(str(copied))


def test_a_config_without_what_is_needed(copied):
    config = json.loads((copied / "config.json").read_text())
    del config["num_labels"]
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="The config of SPADEGenerator lacks `num_labels`"):
        SPADEGenerator.from_pretrained(str(copied))


@pytest.mark.parametrize("text", ['"alice/other"', "7", "[1]"])
def test_a_config_that_is_no_object_leads_nowhere(copied, text, monkeypatch):
    """Diffusers takes a string for a repository's name, and downloads it."""
    (copied / "config.json").write_text(text)
    monkeypatch.setattr("diffusers.configuration_utils.hf_hub_download", None)
    with pytest.raises(ValueError, match="The config of SPADEGenerator is .* which is not a dict"):
        SPADEGenerator.from_pretrained(str(copied))


def test_pickles_are_not_read(copied):
    torch.save(load_file(copied / WEIGHTS), copied / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match="`use_safetensors` is False, but .* safetensors only"):
        SPADEGenerator.from_pretrained(str(copied), use_safetensors=False)
    (copied / WEIGHTS).unlink()
    with pytest.raises(OSError, match="no file named diffusion_pytorch_model.safetensors"):
        SPADEGenerator.from_pretrained(str(copied))


def test_no_such_folder(hub):
    with pytest.raises(OSError, match="alice/no-such-network"):
        SPADEGenerator.from_pretrained("alice/no-such-network")


@pytest.mark.parametrize("name", ["./no_such_network", "no_such_network", "a/b/c", Path("no_such_network")])
def test_a_name_that_is_neither_a_folder_nor_a_hub_id(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no_such_networks").mkdir()
    with pytest.raises(
        ValueError, match=r"`pretrained_model_name_or_path` is .*, which is neither a folder nor a Hub"
    ):
        SPADEGenerator.from_pretrained(name)
    with pytest.raises(ValueError, match="Did you mean no_such_networks"):
        SPADEGenerator.from_pretrained("no_such_network")


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (SPADEGenerator, "is a whole pipeline; pass `subfolder='generator'` to load its SPADEGenerator"),
        (SPADEStyleEncoder, "is a whole pipeline; pass `subfolder='style_encoder'` to load its SPADEStyleEncoder"),
        (MultiscaleDiscriminator, r"its parts are generator, .* none of which is a .* `subfolder='discriminator'`"),
    ],
)
def test_a_pipelines_folder_is_answered_with_the_subfolder(cls, message):
    with pytest.raises(ValueError, match=message):
        cls.from_pretrained(spade_hf.BUNDLED_MODEL)


def test_a_pipeline_on_the_hub_is_answered_with_the_subfolder(hub):
    processor = spade_hf.SPADEImageProcessor(label_set=spade_hf.LabelSet.anonymous(4))
    spade_hf.SPADEPipeline(fused(tiny_generator()), processor).push_to_hub("a-whole-pipeline", token=hub.token)
    with pytest.raises(ValueError, match="a-whole-pipeline is a whole pipeline; pass `subfolder='generator'`"):
        SPADEGenerator.from_pretrained(f"{hub.user}/a-whole-pipeline")


def test_other_folders_keep_their_error(tmp_path):
    with pytest.raises(OSError, match="no file named config.json"):
        SPADEGenerator.from_pretrained(str(tmp_path))
    with pytest.raises(OSError, match="no file named config.json"):
        SPADEGenerator.from_pretrained(spade_hf.BUNDLED_MODEL, subfolder="image_processor")


def test_layerwise_casting_wants_fused_weights():
    """It would round the singular vectors, and with them every weight's scale."""
    network = tiny_generator()
    with pytest.raises(ValueError, match=r"has spectral norm, and layerwise .* Call `fuse_spectral_norm\(\)` first"):
        network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    network.fuse_spectral_norm()
    network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    assert (outputs(network) - outputs(tiny_generator())).abs().mean() < 0.1


FORKING = """
import os, sys, threading
import torch
from spade_hf import SPADEGenerator

torch.set_num_threads(2)
def threads(): return len(os.listdir("/proc/self/task"))
before = threads()
for dtype in (torch.float32, torch.bfloat16):
    generator = SPADEGenerator.from_pretrained(sys.argv[1], dtype=dtype)
    assert threads() == before, (dtype, before, threads())
assert torch.get_num_threads() == 2
torch.ones(10**6).add_(1)  # this starts one: the check above can fail
assert threads() > before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the process's threads in /proc")
def test_loading_starts_no_threads(tmp_path):
    """A server that loads the model and then forks its workers would hang: a fork does not copy threads."""
    fused(tiny_generator(base_channels=16)).save_pretrained(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
