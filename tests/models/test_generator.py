import copy
from typing import Any

import pytest
import torch
from torch import nn

from spade_hf import LabelSet, SPADEGenerator

from ..tiny_networks import (
    LATENT_DIM,
    NUM_LABELS,
    assert_finite_gradients,
    one_hot,
    random_label_map,
    random_latents,
    tiny_generator,
)


NO_LATENT = {"latent_dim": None}
EDGES = {"use_instance_edges": True}
SAME = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def generator() -> SPADEGenerator:
    return tiny_generator()


@torch.no_grad()
def paint(generator: SPADEGenerator, size: tuple[int, int] = (64, 64), **inputs: Any) -> torch.Tensor:
    z = random_latents() if generator.config.latent_dim else None
    return generator(random_label_map(size), z, **inputs).images


# Sizes and options


@pytest.mark.parametrize("latent_dim", [None, LATENT_DIM])
@pytest.mark.parametrize("num_upsampling_layers", [5, 6, 7])
def test_sizes(num_upsampling_layers, latent_dim):
    unit = 2**num_upsampling_layers
    generator = tiny_generator(
        image_size=unit, num_upsampling_layers=num_upsampling_layers, latent_dim=latent_dim, base_channels=2
    )
    assert generator.size_divisor == unit
    for size in ((unit, unit), (unit, 2 * unit), (3 * unit, unit)):
        images = paint(generator, size)
        assert images.shape == (2, 3, *size)
        assert images.abs().max() <= 1
        assert images.std() > 0.01  # neither blank nor washed out


def test_at_another_size_the_first_activation_is_interpolated():
    """Bilinearly, from the size that the latent gives."""
    generator = tiny_generator()
    height, width = (2 * side for side in generator.start_size)
    size = (height * generator.size_divisor, width * generator.size_divisor)
    seen: list[torch.Tensor] = []
    generator.blocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
    z = random_latents(1)
    generator(torch.zeros(1, *size, dtype=torch.int64), z)
    start = generator.linear_in(z).unflatten(1, (-1, *generator.start_size))
    start = nn.functional.interpolate(start, (height, width), mode="bilinear", align_corners=False)
    torch.testing.assert_close(seen[0], start)


def test_image_size_need_not_be_square():
    generator = tiny_generator(image_size=(32, 96))
    assert generator.start_size == (1, 3)
    assert paint(generator, (32, 96)).shape == (2, 3, 32, 96)
    assert paint(generator, (64, 64)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_kernel_size_sets_how_far_a_label_reaches(kernel_size):
    generator = tiny_generator(spade_kernel_size=kernel_size)
    layer = generator.blocks[-1].norm1
    assert layer.conv_mask.kernel_size == layer.conv_gamma_beta.kernel_size == (kernel_size, kernel_size)
    assert paint(generator).shape == (2, 3, 64, 64)


def test_upsamplings_are_where_the_paper_has_them():
    """Figure 4 and the public variants: "normal" keeps its resolution at the third block."""
    sides = {}
    for num_upsampling_layers in (5, 6, 7):
        generator = tiny_generator(image_size=128, num_upsampling_layers=num_upsampling_layers, base_channels=2)
        seen = sides[num_upsampling_layers] = []
        for block in generator.blocks:
            block.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output.shape[-1]))
        paint(generator, (128, 128))
    assert sides == {
        5: [4, 8, 8, 16, 32, 64, 128],
        6: [2, 4, 8, 16, 32, 64, 128],
        7: [1, 2, 4, 8, 16, 32, 64, 128],
    }


def test_channel_mult():
    generator = tiny_generator(channel_mult=(4, 4, 3, 3, 2, 1.5, 1))
    assert [block.conv2.out_channels for block in generator.blocks] == [16, 16, 12, 12, 8, 6, 4]
    assert [block.has_learned_shortcut for block in generator.blocks] == [False, False, True, False, True, True, True]
    assert paint(generator).shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ("config", "millions"),
    [
        ({"num_labels": 150, "use_unknown_label": True, "latent_dim": None}, 96.5),  # ADE20K
        ({"num_labels": 182, "use_unknown_label": True, **EDGES, "latent_dim": None}, 97.5),  # COCO-Stuff
        (
            {"num_labels": 35, **EDGES, "latent_dim": None, "num_upsampling_layers": 6, "image_size": (256, 512)},
            93.05,  # Cityscapes
        ),
        ({"num_labels": 150, "use_unknown_label": True}, 111.9),  # ADE20K with an encoder's latent
    ],
)
def test_published_parameter_counts(config, millions):
    with torch.device("meta"):
        generator = SPADEGenerator(**config, use_spectral_norm=False)  # it has no parameters, and is slow to build
    assert sum(p.numel() for p in generator.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_arguments_are_keywords():
    with pytest.raises(TypeError, match="positional argument"):
        SPADEGenerator(35)


# What goes in


def test_same_input_same_output(generator):
    torch.testing.assert_close(paint(generator), paint(generator), atol=0, rtol=0)


@torch.no_grad()
def test_latent_and_mask_both_matter(generator):
    label_map, z = random_label_map(), random_latents()
    images = generator(label_map, z).images
    assert (generator(label_map, z.flip(0)).images - images).abs().mean() > 0.01
    assert (generator(label_map.flip(0), z).images - images).abs().mean() > 0.01


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
@torch.no_grad()
def test_ids_and_one_hot_give_the_same_image(generator, dtype):
    label_map, z = random_label_map(), random_latents()
    expected = generator(one_hot(label_map), z).images
    torch.testing.assert_close(generator(label_map.to(dtype), z).images, expected, **SAME)


@torch.no_grad()
def test_unknown():
    generator, z = tiny_generator(use_unknown_label=True), random_latents()
    label_map = random_label_map()
    label_map[:, 10:30, 20:40] = NUM_LABELS
    expected = generator(one_hot(label_map, NUM_LABELS + 1), z).images
    torch.testing.assert_close(generator(label_map, z).images, expected, **SAME)


def test_255_is_no_channel_as_unknown_is_not_always_the_last():
    """ADE20K's unknown is id 0 and channel 0; if 255 meant the last channel, it would be ADE20K's last class, flag."""
    labels = LabelSet.from_name("ade20k")
    generator = tiny_generator(num_labels=labels.num_labels, use_unknown_label=True)
    label_map = torch.full((1, 64, 64), 255)
    message = r"`segmap` has label ids \[255\]; this model knows the channels 0\.\.150\. .*preprocess_mask` maps .*ids"
    with pytest.raises(ValueError, match=message):
        generator(label_map, random_latents(1))


@pytest.mark.parametrize("backend", ["dense", "sparse"])
@torch.no_grad()
def test_instance_edges(backend):
    generator, label_map, z = tiny_generator(**EDGES), random_label_map(), random_latents()
    generator.set_modulation_backend(backend)
    edges = torch.zeros_like(label_map)
    edges[:, 20:22], edges[:, :, 40] = 1, 1
    segmap = torch.cat([one_hot(label_map), edges[:, None].float()], dim=1)
    expected = generator(segmap, z).images
    for form in (edges, edges.bool(), edges.float(), edges[:, None]):
        torch.testing.assert_close(generator(label_map, z, instance_edges=form).images, expected, **SAME)
        torch.testing.assert_close(generator(one_hot(label_map), z, instance_edges=form).images, expected, **SAME)
    without = generator(label_map, z, instance_edges=torch.zeros_like(edges)).images
    assert (without - expected).abs().mean() > 1e-3


@torch.no_grad()
def test_soft_mask(generator):
    """A mixture of two labels gives another image than either label, and the sparse backend uses the dense path."""
    segmap, z = one_hot(random_label_map()), random_latents()
    soft = 0.5 * segmap + 0.5 * segmap.flip(1)
    other = copy.deepcopy(generator)
    other.set_modulation_backend("sparse")
    torch.testing.assert_close(other(soft, z).images, generator(soft, z).images)
    assert (generator(soft, z).images - generator(segmap, z).images).abs().mean() > 1e-3


def test_gradient_reaches_soft_masks_and_latents(generator):
    segmap, z = one_hot(random_label_map()).requires_grad_(), random_latents().requires_grad_()
    generator(segmap, z).images.sum().backward()
    assert segmap.grad.abs().sum() > 0 and z.grad.abs().sum() > 0


# Spectral norm


@pytest.mark.parametrize("config", [{}, NO_LATENT])
def test_fused_generator_paints_the_same(config):
    generator = tiny_generator(**config)
    expected, num_weights = paint(generator), sum(p.numel() for p in generator.parameters())
    fused = copy.deepcopy(generator)
    fused.fuse_spectral_norm()
    torch.testing.assert_close(paint(fused), expected, **SAME)
    assert not any("parametrizations" in name for name in fused.state_dict())
    assert type(fused.blocks[0].conv1) is nn.Conv2d
    assert sum(p.numel() for p in fused.parameters()) == num_weights
    assert fused.config.use_spectral_norm is False

    assert generator.config.use_spectral_norm is True  # fusing a deep copy does not change the original
    assert any("parametrizations" in name for name in generator.state_dict())
    torch.testing.assert_close(paint(generator), expected, **SAME)
    again = copy.deepcopy(generator)
    again.train()(
        random_label_map(), random_latents() if generator.config.latent_dim else None
    ).images.sum().backward()
    assert_finite_gradients(again)


def test_fused_generator_trains():
    generator = tiny_generator()
    generator.train().fuse_spectral_norm()
    assert generator.training
    generator(random_label_map(), random_latents()).images.sum().backward()
    assert_finite_gradients(generator)


def test_spectral_norm_is_on_the_blocks_convolutions_alone():
    names = [n.removesuffix(".parametrizations.weight.original") for n in tiny_generator().state_dict()]
    normalized = {name.split(".", 2)[2] for name in names if name.startswith("blocks") and "weight" not in name}
    normalized = {name for name in normalized if name.startswith("conv") and "." not in name}
    assert normalized == {"conv1", "conv2", "conv_shortcut"}


# Precision


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.02)])
@pytest.mark.parametrize("backend", ["dense", "sparse"])
@torch.no_grad()
def test_half_precision(dtype, tolerance, backend):
    generator = tiny_generator()
    generator.fuse_spectral_norm()
    expected = paint(generator)
    generator.to(dtype).set_modulation_backend(backend)
    images = generator(random_label_map(), random_latents().to(dtype)).images
    assert images.dtype == dtype
    assert (images.float() - expected).abs().mean() < tolerance * expected.std()


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_labels": 0}, "`num_labels` is 0; a model needs at least one"),
        ({"num_upsampling_layers": 4}, "`num_upsampling_layers` is 4; allowed are 5, 6 and 7"),
        (
            {"head_upsampling": 4},
            "`head_upsampling` is 4; allowed are 1, the paper's head, and 2, with a last block at",
        ),
        (
            {"head_upsampling": 2, "image_size": 96},
            r"`image_size` is 96x96 .*multiples of 64 \(2 \*\* num_upsampling_layers \* head_upsampling\)",
        ),
        ({"image_size": 100}, r"`image_size` is 100x100 .*multiples of 32 .*such as 96x96"),
        ({"image_size": (64, 16)}, r"`image_size` is 64x16 .*such as 64x32"),
        ({"channel_mult": (4, 2, 1)}, "`channel_mult` has 3 entries; with `num_upsampling_layers` 5 it must have 7"),
        ({"base_channels": 0}, "`base_channels` is 0; .* a block has no channels"),
        ({"latent_dim": 0}, "`latent_dim` is 0; pass at least 1, or None for a model without latent"),
        ({"norm_type": "layer"}, "`norm_type` is 'layer'; allowed are 'sync_batch', 'batch' and 'instance'"),
        (
            {"norm_type": "instance", "image_size": 32},
            "`image_size` is 32x32: .* single position.*smallest size is 32x64",
        ),
        ({"spade_kernel_size": 7}, "`kernel_size` is 7; allowed are 1, 3 and 5"),
    ],
)
def test_wrong_config(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_generator(**changes)


def test_wrong_label_ids(generator):
    label_map = random_label_map()
    label_map[0, 0, :2] = torch.tensor([4, 9])
    with pytest.raises(ValueError, match=r"label ids \[4, 9\]; this model knows the channels 0\.\.3\. "):
        generator(label_map, random_latents())
    label_map[0, 0, :2] = torch.tensor([-1, 255])
    with pytest.raises(ValueError, match=r"label ids \[-1, 255\]"):
        generator(label_map, random_latents())
    with pytest.raises(ValueError, match=r"label ids \[-1, 255\]; this model knows the channels 0\.\.4\. "):
        tiny_generator(use_unknown_label=True)(label_map, random_latents())
    with pytest.raises(ValueError, match=r"label ids \[4, 5, 6, 7, 8, 9, 10, 11, 12, 13\] \.\.\.;"):
        generator(torch.arange(64).expand(2, 64, 64), random_latents())


@pytest.mark.parametrize(
    ("segmap", "message"),
    [
        (torch.zeros(64, 64, dtype=torch.int64), r"`segmap` is torch\.int64 of shape \(64, 64\); pass label channels"),
        (torch.zeros(2, 64, 64), r"`segmap` is torch\.float32 of shape \(2, 64, 64\)"),
        (torch.zeros(2, 4, 64, 64, dtype=torch.int64), r"`segmap` is torch\.int64 of shape \(2, 4, 64, 64\)"),
        (torch.zeros(2, 5, 64, 64), r"`segmap` has 5 channels; this model reads 4 label channels\."),
        (torch.zeros(2, 50, 64, dtype=torch.int64), r"`segmap` is 50x64 .*multiples of 32 .*such as 64x64"),
        (torch.zeros(2, 4, 64, 16), r"`segmap` is 64x16 .*such as 64x32"),
    ],
)
def test_wrong_segmap(generator, segmap, message):
    with pytest.raises(ValueError, match=message):
        generator(segmap, random_latents())


def test_wrong_latents(generator):
    label_map = random_label_map()
    with pytest.raises(ValueError, match=r"`z` is missing; this model and mask need \(2, 8\)"):
        generator(label_map)
    with pytest.raises(ValueError, match=r"`z` is of shape \(3, 8\); this model and mask need \(2, 8\)"):
        generator(label_map, random_latents(3))
    with pytest.raises(ValueError, match=r"`z` was given, but this model has no latent"):
        tiny_generator(latent_dim=None)(label_map, random_latents())


def test_wrong_edges(generator):
    label_map, z = random_label_map(), random_latents()
    with pytest.raises(ValueError, match="`instance_edges` was given, but this model has no edge channel"):
        generator(label_map, z, instance_edges=torch.zeros_like(label_map))
    generator = tiny_generator(**EDGES)
    with pytest.raises(ValueError, match="reads instance edges; pass `instance_edges`"):
        generator(label_map, z)
    with pytest.raises(ValueError, match=r"`instance_edges` has shape \(2, 32, 64\); the mask needs \(2, 64, 64\)"):
        generator(label_map, z, instance_edges=torch.zeros_like(label_map)[:, :32])
    with pytest.raises(
        ValueError, match=r"`instance_edges` has values in 0\.\.21; .*computes edges from instance ids"
    ):
        generator(label_map, z, instance_edges=7 * label_map)
    segmap = torch.cat([one_hot(label_map), torch.zeros(2, 1, 64, 64)], dim=1)
    with pytest.raises(ValueError, match="`segmap` already has an edge channel"):
        generator(segmap, z, instance_edges=torch.zeros_like(label_map))
    with pytest.raises(ValueError, match=r"`segmap` has 3 channels; .* 4 label channels, or 5 with the edge channel"):
        generator(segmap[:, :3], z)


def test_wrong_backend(generator):
    with pytest.raises(ValueError, match="`backend` is 'fast'; allowed are 'auto', 'dense' and 'sparse'"):
        generator.set_modulation_backend("fast")
