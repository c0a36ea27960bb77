import torch

from spade_hf import SPADEGenerator

from ..tiny_networks import (
    random_label_map,
    random_latents,
    tiny_concatenation,
    tiny_generator,
)


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
