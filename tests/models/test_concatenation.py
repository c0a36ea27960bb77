import pytest
import torch

from spade_hf import SPADEGenerator

from ..tiny_networks import (
    assert_finite_gradients,
    one_hot,
    random_label_map,
    random_latents,
    tiny_concatenation,
    tiny_generator,
)


@torch.no_grad()
def test_sizes_and_output_forms():
    generator = tiny_concatenation()
    for size in ((64, 64), (32, 96)):
        label_map = random_label_map(size)
        images = generator(label_map, random_latents()).images
        assert images.shape == (2, 3, *size) and images.abs().max() <= 1 and images.std() > 0.01
        torch.testing.assert_close(generator(one_hot(label_map), random_latents(), return_dict=False)[0], images)


@pytest.mark.parametrize("options", [{"norm_type": "instance"}, {"latent_dim": None, "use_instance_edges": True}])
def test_every_parameter_gets_a_finite_gradient(options):
    generator = tiny_concatenation(**options).train()
    label_map = random_label_map()
    z = None if generator.config.latent_dim is None else random_latents()
    edges = torch.zeros_like(label_map) if generator.config.use_instance_edges else None
    generator(label_map, z, instance_edges=edges).images.square().mean().backward()
    assert_finite_gradients(generator)


def test_it_is_spades_decoder_with_other_norms():
    """The blocks' convolutions also read the mask's channels; otherwise only the norms differ."""
    ours, spade = (one.state_dict() for one in (tiny_concatenation(), tiny_generator()))
    others = {key for key in ours.keys() | spade.keys() if ".norm" not in key and ".conv" not in key}
    assert all(ours[key].shape == spade[key].shape for key in others)
    key = "blocks.0.conv1.parametrizations.weight.original"
    assert ours[key].shape[1] == spade[key].shape[1] + 4
    assert not any("conv_mask" in key for key in ours) and "blocks.0.norm1.weight" in ours


@torch.no_grad()
def test_several_styles_of_a_mask_and_a_batch_of_masks():
    generator, label_map, z = tiny_concatenation(), random_label_map(), random_latents(4)
    images = generator(label_map, z).images
    for number, image in enumerate(images):
        alone = generator(label_map[number // 2][None], z[number][None]).images[0]
        torch.testing.assert_close(alone, image)


@torch.no_grad()
def test_the_mask_is_read_where_it_is():
    generator, z = tiny_concatenation(), random_latents(1)
    label_map = torch.zeros(1, 64, 64, dtype=torch.int64)
    changed = label_map.clone()
    changed[..., :8, :8] = 1
    difference = (generator(label_map, z).images - generator(changed, z).images).abs().amax(dim=1)[0]
    assert difference[:8, :8].mean() > 0.02 and difference[56:, 56:].mean() < 1e-3
    assert isinstance(generator, SPADEGenerator)
