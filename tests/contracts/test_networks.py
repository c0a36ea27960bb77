"""What holds for every network that `spade_hf.models` exports, whatever it computes.

A new network is a row of `NETWORKS`; its own tests say what it computes.
"""

import copy
import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spade_hf import DiagonalGaussianDistribution, SPADEOutlineModel, SPADESegmenter, SPADEStyleEncoder
from spade_hf.hub.registration import NETWORKS as EXPORTED
from spade_hf.models.discriminators import Discriminator
from spade_hf.training.adversaries import DISCRIMINATORS

from ..tiny_networks import (
    NUM_LABELS,
    assert_finite_gradients,
    one_hot,
    random_images,
    random_label_map,
    random_latents,
    tiny_concatenation,
    tiny_discriminator,
    tiny_generator,
    tiny_outlines,
    tiny_pix2pixhd,
    tiny_projected,
    tiny_segmentation,
    tiny_segmenter,
    tiny_style_encoder,
)


EDGES = {"use_unknown_label": True, "use_instance_edges": True}
NETWORKS: dict[str, Any] = {
    "generator": tiny_generator,
    "generator without latent": lambda: tiny_generator(latent_dim=None, image_size=(64, 96), **EDGES),
    "generator with instance norm": lambda: tiny_generator(norm_type="instance"),
    "generator with half-size head": lambda: tiny_generator(head_upsampling=2),
    "style encoder": tiny_style_encoder,
    "outline model": tiny_outlines,
    "segmenter": tiny_segmenter,
    "patch discriminator": tiny_discriminator,
    "patch discriminator with edges": lambda: tiny_discriminator(**EDGES),
    "segmentation discriminator": tiny_segmentation,
    "segmentation discriminator on frozen features": lambda: tiny_segmentation(backbone="efficientnet-lite0"),
    "projected discriminator": tiny_projected,
    "concatenation generator": tiny_concatenation,
    "concatenation generator with half-size head": lambda: tiny_concatenation(head_upsampling=2),
    "concatenation generator without latent": lambda: tiny_concatenation(latent_dim=None, **EDGES),
    "concatenation generator with instance norm": lambda: tiny_concatenation(norm_type="instance"),
    "pix2pixHD generator": lambda: tiny_pix2pixhd(**EDGES),
    "pix2pixHD generator with batch norm": lambda: tiny_pix2pixhd(norm_type="sync_batch"),
    "generator of gray": lambda: tiny_generator(image_channels=1),
    "style encoder of 5 channels": lambda: tiny_style_encoder(image_channels=5),
    "patch discriminator of 5 channels": lambda: tiny_discriminator(image_channels=5),
    "segmentation discriminator of gray": lambda: tiny_segmentation(image_channels=1),
    "projected discriminator of 5 channels": lambda: tiny_projected(image_channels=5),
    "concatenation generator of gray": lambda: tiny_concatenation(image_channels=1),
    "pix2pixHD generator of 5 channels": lambda: tiny_pix2pixhd(image_channels=5),
    "generator with condition": lambda: tiny_generator(condition_channels=2, **EDGES),
    "generator without labels": lambda: tiny_generator(num_labels=0, condition_channels=3, latent_dim=None),
    "concatenation generator with condition": lambda: tiny_concatenation(condition_channels=2),
    "pix2pixHD generator without labels": lambda: tiny_pix2pixhd(num_labels=0, condition_channels=3),
    "patch discriminator with condition": lambda: tiny_discriminator(condition_channels=2, **EDGES),
    "patch discriminator without labels": lambda: tiny_discriminator(num_labels=0, condition_channels=3),
    "segmentation discriminator with condition": lambda: tiny_segmentation(condition_channels=2),
    "projected discriminator with condition": lambda: tiny_projected(condition_channels=2),
}
READS_IMAGES = (SPADEStyleEncoder, SPADESegmenter)
SIZE = (64, 128)
WEIGHTS = "diffusion_pytorch_model.safetensors"
EXACT = {
    "atol": 1e-9,
    "rtol": 1e-9,
}  # of float64: how float32 rounds depends on a weight's alignment, and on the batch


@functools.cache
def built(name: str) -> Any:
    """Random weights take longer to make than to copy, most of all beside a frozen part."""
    return NETWORKS[name]()


@pytest.fixture(params=NETWORKS)
def network(request) -> Any:
    """In evaluation mode, with random weights."""
    return copy.deepcopy(built(request.param))


def inputs_of(network: Any, size: tuple[int, int] = SIZE) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Two samples: arguments of `forward` in float32."""
    images, label_map = random_images(size, channels=channels_of(network)), random_label_map(size)
    if isinstance(network, READS_IMAGES):
        return (images,), {}
    if isinstance(network, SPADEOutlineModel):
        noisy_map = torch.randn(2, NUM_LABELS, *size, generator=torch.Generator().manual_seed(1))
        return (noisy_map, label_map, torch.tensor([-3.0, 1.0])), {}
    more = {"instance_edges": label_map == 1} if network.config.use_instance_edges else {}
    if network.config.condition_channels:
        more["condition"] = random_images(size, channels=network.config.condition_channels).flip(-1)
    mask: Any = label_map if network.config.num_labels else None
    if isinstance(network, Discriminator):
        return (mask, images), more
    return (mask, random_latents()) if network.config.latent_dim else (mask,), more


def channels_of(network: Any) -> int:
    return network.config.get("image_channels", 3)


def has_labels(network: Any) -> bool:
    return not isinstance(network, SPADEStyleEncoder)


def takes_soft_masks(network: Any) -> bool:
    return not isinstance(network, (*READS_IMAGES, SPADEOutlineModel)) and network.config.num_labels > 0


def flat(output: Any) -> list[Tensor]:
    """The tensors of an output in either of its forms."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, DiagonalGaussianDistribution):
        return [output.mean, output.logvar]
    parts = output.values() if isinstance(output, dict) else output
    return [tensor for part in parts for tensor in flat(part)]


def run(network: nn.Module, args: tuple[Tensor, ...], more: dict[str, Tensor], **options: Any) -> list[Tensor]:
    """The outputs for inputs in the network's dtype."""
    dtype = next(network.parameters()).dtype

    def cast(one: Any) -> Any:
        return one.to(dtype) if isinstance(one, Tensor) and one.is_floating_point() else one

    return flat(network(*map(cast, args), **{name: cast(one) for name, one in more.items()}, **options))


@torch.no_grad()
def outputs(network: Any, **options: Any) -> list[Tensor]:
    return run(network, *inputs_of(network), **options)


def assert_same(network: Any, other: Any) -> None:
    ours, theirs = (outputs(copy.deepcopy(one).double()) for one in (network, other))
    torch.testing.assert_close(ours, theirs, **EXACT)


def fused(network: Any) -> Any:
    network = copy.deepcopy(network)
    network.fuse_spectral_norm()
    return network


def test_every_exported_network_keeps_the_contract():
    assert {type(built(name)) for name in NETWORKS} == {*EXPORTED}


class TestConfig:
    @pytest.mark.parametrize("change", [lambda network: network, fused], ids=["", "fused"])
    def test_a_config_builds_the_same_network(self, network, change):
        network = change(network)
        other = type(network).from_config(network.config)
        ours, theirs = ({k: v for k, v in one.config.items() if k[0] != "_"} for one in (other, network))
        assert ours == theirs
        ours, theirs = ({k: v.shape for k, v in one.state_dict().items()} for one in (other, network))
        assert ours == theirs

    def test_a_network_reads_at_least_one_label(self, network):
        if has_labels(network):
            takes_conditions = not isinstance(network, (SPADEOutlineModel, SPADESegmenter))
            changes = {"condition_channels": 0} if takes_conditions else {}
            with pytest.raises(ValueError, match="`num_labels` is 0; a model needs at least one label"):
                type(network).from_config(network.config, num_labels=0, **changes)


class TestFiles:
    @pytest.mark.parametrize("change", [lambda network: network, fused], ids=["", "fused"])
    def test_a_saved_network_is_loaded(self, network, change, tmp_path):
        network = change(network)
        network.save_pretrained(str(tmp_path))
        assert {path.name for path in tmp_path.iterdir()} == {"config.json", WEIGHTS}
        loaded = type(network).from_pretrained(str(tmp_path))
        assert not loaded.training
        torch.testing.assert_close(dict(loaded.state_dict()), dict(network.state_dict()), atol=0, rtol=0)
        assert_same(loaded, network)

    def test_fusing_spectral_norm_changes_no_output(self, network):
        network = network.double()
        other = fused(network)
        assert not other.config.get("use_spectral_norm", False)
        assert not any("parametrizations" in name for name in other.state_dict())
        assert sum(p.numel() for p in other.parameters()) == sum(p.numel() for p in network.parameters())
        assert_same(other, network)


class TestForward:
    def test_both_forms_of_the_output_are_the_same(self, network):
        torch.testing.assert_close(outputs(network, return_dict=False), outputs(network), atol=0, rtol=0)

    @torch.no_grad()
    def test_a_sample_does_not_depend_on_its_batch(self, network):
        network = network.double()
        args, edges = inputs_of(network)
        together = run(network, args, edges)
        for i in (0, 1):
            own = tuple(None if arg is None else arg[i : i + 1] for arg in args)
            alone = run(network, own, {k: v[i : i + 1] for k, v in edges.items()})
            torch.testing.assert_close(alone, [tensor[i : i + 1] for tensor in together], **EXACT)
        assert any((one - other).abs().mean() > 1e-3 for one, other in together)  # so that mixing would show

    @torch.no_grad()
    def test_ids_and_one_hot_masks_are_the_same(self, network):
        if not takes_soft_masks(network):
            return
        network = network.double()
        (label_map, *others), edges = inputs_of(network)
        num_channels = network.config.num_labels + network.config.use_unknown_label
        soft = run(network, (one_hot(label_map, num_channels), *others), edges)
        torch.testing.assert_close(soft, run(network, (label_map, *others), edges), **EXACT)

    @torch.no_grad()
    def test_half_precision_is_close(self, network):
        network = fused(network)  # as models are published
        expected = outputs(network)
        network.to(torch.bfloat16)
        assert {p.dtype for p in network.parameters()} == {torch.bfloat16}
        for ours, theirs in zip(outputs(network), expected, strict=True):
            assert ours.dtype == torch.bfloat16
            assert (ours.float() - theirs).abs().mean() < 0.2 * theirs.std()

    def test_tensors_are_made_on_the_device_of_the_inputs(self, network):
        expected, (args, edges) = outputs(network), inputs_of(network)
        with torch.no_grad(), torch.device("meta"):  # the device of what is made without one: an error among others
            found = run(network, args, edges)
        torch.testing.assert_close(found, expected, atol=0, rtol=0)

    def test_every_parameter_gets_a_finite_gradient(self, network):
        sum(out.float().square().mean() for out in run(network.train(), *inputs_of(network))).backward()
        assert_finite_gradients(network)
        for name, parameter in network.named_parameters():  # a bias before a norm has no effect
            assert parameter.ndim == 1 or parameter.grad.any(), name

    def test_a_wrong_shape_is_an_error_that_names_it(self, network):
        (first, *others), more = inputs_of(network)
        if first is None:
            more["condition"] = torch.zeros(5)
        with pytest.raises(ValueError, match=r"`(images|segmap|noisy_map|condition)` .*\(5,\)"):
            network(None if first is None else torch.zeros(5), *others, **more)


class TestGenerators:
    @pytest.fixture(params=[name for name in NETWORKS if "generator" in name])
    def network(self, request) -> Any:
        return copy.deepcopy(built(request.param))

    @pytest.mark.parametrize("size", [(64, 64), (64, 192)])
    @torch.no_grad()
    def test_images_are_as_large_as_the_mask(self, network, size):
        (images,) = run(network, *inputs_of(network, size))
        assert images.shape == (2, channels_of(network), *size)
        assert images.abs().max() <= 1 and images.std() > 0.01  # neither blank nor washed out


class TestDiscriminators:
    @pytest.fixture(params=[name for name in NETWORKS if "discriminator" in name])
    def network(self, request) -> Any:
        return copy.deepcopy(built(request.param))

    def test_all_kinds_of_training_keep_the_contract(self):
        kinds = {type(built(name)) for name in NETWORKS if "discriminator" in name}
        assert kinds == {kind.network for kind in DISCRIMINATORS.values()}

    @pytest.mark.parametrize("size", [SIZE, (32, 32), (50, 70)])
    @torch.no_grad()
    def test_logits_are_maps_the_finest_first(self, network, size):
        args, edges = inputs_of(network, size)
        output = network(*args, **edges)
        shapes = [logits.shape for logits in output.logits]
        assert all(len(shape) == 4 and shape[:2] == (2, shapes[0][1]) for shape in shapes)
        assert shapes == sorted(shapes, key=lambda shape: -shape[2] * shape[3])
        assert all(logits.isfinite().all() for logits in output.logits)
        assert all(layer.ndim == 4 and len(layer) == 2 for layers in output.features for layer in layers)

    @torch.no_grad()
    def test_forward_is_the_score_of_the_masks_it_has_read(self, network):
        (label_map, images), edges = inputs_of(network)
        labels = network.read_labels(
            label_map, edges.get("instance_edges"), dtype=images.dtype, condition=edges.get("condition")
        )
        torch.testing.assert_close(flat(network.score(labels, images)), run(network, (label_map, images), edges))

    def test_a_gradient_reaches_the_images(self, network):
        (label_map, images), edges = inputs_of(network)
        output = network(label_map, images.requires_grad_(), **edges)
        sum(logits.square().mean() for logits in output.logits).backward()
        assert images.grad.isfinite().all() and (images.grad != 0).float().mean() > 0.9

    @pytest.mark.parametrize("count, size", [(2, (64, 64)), (1, SIZE)], ids=["size", "number"])
    def test_images_have_the_size_and_number_of_the_masks(self, network, count, size):
        (label_map, _), edges = inputs_of(network)
        images = random_images(size, batch_size=count, channels=channels_of(network))
        with pytest.raises(ValueError, match=r"`images` has shape \(\d, \d, 64, \d+\); .* be \(2, \d, 64, 128\)"):
            network(label_map, images, **edges)

    def test_images_have_the_channels_of_the_model(self, network):
        (label_map, images), edges = inputs_of(network)
        with pytest.raises(ValueError, match=r"`images` has shape \(2, 2, 64, 128\)"):
            network(label_map, images[:, :1].expand(-1, 2, -1, -1), **edges)
