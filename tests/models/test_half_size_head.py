"""A generator whose blocks work at half the image's size."""

import pytest
import torch

from spade_hf import SPADEGenerator
from spade_hf.layers.initialization import XAVIER_GAIN, subpixel_conv2d

from ..tiny_networks import one_hot, random_label_map, random_latents, tiny_generator


SIZE = (64, 128)


@pytest.fixture(scope="module")
def generator() -> SPADEGenerator:
    return tiny_generator(head_upsampling=2)


@torch.no_grad()
@pytest.mark.parametrize("latent_dim", [None, 8])
def test_the_last_block_works_at_half_the_size(latent_dim):
    generator = tiny_generator(head_upsampling=2, latent_dim=latent_dim, image_size=SIZE)
    assert generator.size_divisor == 64 and generator.start_size == (1, 2)
    sides = []
    for block in generator.blocks:
        block.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    assert generator(random_label_map(SIZE), random_latents() if latent_dim else None).images.shape == (2, 3, *SIZE)
    assert sides == [2, 4, 4, 8, 16, 32, 64]


@torch.no_grad()
def test_the_pixels_of_a_position_differ_by_their_weights(generator):
    """The planes are interleaved as in Shi et al.: red at (0, 0), (0, 1), (1, 0) and (1, 1), then green, then blue."""
    x = torch.randn(1, generator.conv_out.in_channels, 5, 7, generator=torch.Generator().manual_seed(0))
    planes = torch.tanh(generator.conv_out(torch.nn.functional.leaky_relu(x, 0.2)))  # (1, 12, 5, 7)
    images = generator.to_image(x)
    assert images.shape == (1, 3, 10, 14)
    for number, plane in enumerate(planes[0]):
        color, row, column = number // 4, number // 2 % 2, number % 2
        torch.testing.assert_close(images[0, color, row::2, column::2], plane)


@torch.no_grad()
@pytest.mark.parametrize("form", ["dense", "sparse", "one-hot"])
def test_the_mask_is_read_at_half_the_size(generator, form):
    """So a mask of half the size, enlarged, is all that it can read: no border of it moves by a pixel."""
    generator.set_modulation_backend("dense" if form == "one-hot" else form)
    half = random_label_map((SIZE[0] // 2, SIZE[1] // 2)).roll((3, 3), dims=(1, 2))  # borders between multiples of 8
    enlarged = half.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    other = torch.randint(4, enlarged.shape, generator=torch.Generator().manual_seed(0))
    other[:, ::2, ::2] = half
    images = [generator(one_hot(m) if form == "one-hot" else m, random_latents()).images for m in (enlarged, other)]
    assert torch.equal(*images)
    assert not torch.equal(images[0][..., ::2, :], images[0][..., 1::2, :])  # though the head paints each pixel


def test_neighbors_begin_equal():
    """With the paper's variance for 3 planes, not for 12, and unlike their other neighbors."""
    torch.manual_seed(0)
    conv = subpixel_conv2d(64, 3, 3, upsampling=2, padding=1)
    planes = conv.weight.unflatten(0, (3, 4))
    assert conv.weight.shape == (12, 64, 3, 3) and not conv.bias.any()
    assert (planes == planes[:, :1]).all() and not torch.equal(planes[0], planes[1])
    std = XAVIER_GAIN * (2 / (9 * (64 + 3))) ** 0.5
    assert planes[:, 0].std().item() == pytest.approx(std, rel=0.05)
    images = (
        SPADEGenerator(num_labels=4, base_channels=4, image_size=64, latent_dim=8, head_upsampling=2)
        .eval()(random_label_map(), random_latents())
        .images
    )
    corners = [images[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
    assert all(torch.equal(corner, corners[0]) for corner in corners)
    assert corners[0].std(dim=(2, 3)).min() > 0


def test_without_upsampling_the_head_is_drawn_as_before():
    torch.manual_seed(0)
    conv = subpixel_conv2d(8, 3, 3, upsampling=1, padding=1)
    torch.manual_seed(0)
    expected = torch.nn.Conv2d(8, 3, 3, padding=1)
    torch.nn.init.xavier_normal_(expected.weight, gain=XAVIER_GAIN)
    assert torch.equal(conv.weight, expected.weight)


def test_an_earlier_model_has_the_papers_head():
    """Its config lacks the option."""
    config = dict(tiny_generator().config)
    del config["head_upsampling"]
    generator = SPADEGenerator.from_config(config)
    assert generator.config.head_upsampling == 1 and generator.size_divisor == 32
    assert generator.conv_out.weight.shape[0] == 3


def test_sizes_are_multiples_of_twice_as_much(generator):
    message = (
        r"`segmap` is 96x96 \(height x width\); both must be multiples of 64 \(2 \*\* num_upsampling_layers \* head"
    )
    with pytest.raises(ValueError, match=message):
        generator(random_label_map((96, 96)), random_latents())
