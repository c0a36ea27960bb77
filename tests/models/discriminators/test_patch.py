import pytest
import torch
import torch.nn.functional as F

from spade_hf import MultiscaleDiscriminator

from ...tiny_networks import (
    NUM_LABELS,
    one_hot,
    random_images,
    random_label_map,
    tiny_discriminator,
)


@pytest.fixture(scope="module")
def discriminator() -> MultiscaleDiscriminator:
    return tiny_discriminator()


def patch_side(side: int, num_layers: int) -> int:
    """Positions of the logits along a side: 4x4 convolutions, padding 2, stride 2 except in the last two."""
    for stride in [2] * (num_layers - 1) + [1, 1]:
        side = (side + 2 * 2 - 4) // stride + 1
    return side


@pytest.mark.parametrize("num_scales", [1, 2, 3])
@pytest.mark.parametrize("num_layers", [2, 4])
def test_scales_and_patches(num_scales, num_layers):
    discriminator = tiny_discriminator(num_scales=num_scales, num_layers=num_layers)
    output = discriminator(random_label_map((64, 128)), random_images((64, 128)))
    assert len(output.logits) == len(output.features) == num_scales
    for scale, (logits, features) in enumerate(zip(output.logits, output.features, strict=True)):
        sides = tuple(patch_side(side // 2**scale, num_layers) for side in (64, 128))
        assert logits.shape == (2, 1, *sides)
        assert [layer.shape[1] for layer in features] == [4 * 2**layer for layer in range(num_layers)]


def test_paper_layers():
    with torch.device("meta"):
        discriminator = MultiscaleDiscriminator(num_labels=150, use_unknown_label=True)
    assert sum(p.numel() for p in discriminator.parameters()) / 1e6 == pytest.approx(5.8, abs=0.05)
    for scale in discriminator.scales:
        convs = [scale.conv_in, *scale.convs, scale.conv_out]
        assert [conv.out_channels for conv in convs] == [64, 128, 256, 512, 1]
        assert [conv.stride[0] for conv in convs] == [2, 2, 2, 1, 1]
        assert {(conv.kernel_size, conv.padding) for conv in convs} == {((4, 4), (2, 2))}
        assert [conv.bias is not None for conv in convs] == [True, False, False, False, True]
        assert ["parametrizations" in dict(conv.named_children()) for conv in convs] == [
            False,
            True,
            True,
            True,
            False,
        ]


def test_widths_end_at_512():
    with torch.device("meta"):
        discriminator = MultiscaleDiscriminator(num_labels=4, num_layers=6)
    assert [conv.out_channels for conv in discriminator.scales[0].convs] == [128, 256, 512, 512, 512]


@torch.no_grad()
def test_second_scale_sees_the_average(discriminator):
    """Pooling 3, stride 2, padding excluded from the mean."""
    label_map, images = random_label_map(), random_images()
    x = torch.cat([one_hot(label_map), images], dim=1)
    counts = F.conv2d(torch.ones(1, 1, 64, 64), torch.ones(1, 1, 3, 3), stride=2, padding=1)
    sums = F.conv2d(x, torch.ones(x.shape[1], 1, 3, 3), stride=2, padding=1, groups=x.shape[1])
    expected, _ = discriminator.scales[1](sums / counts)
    torch.testing.assert_close(discriminator(label_map, images).logits[1], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_mask_and_edges_matter():
    discriminator = tiny_discriminator(use_unknown_label=True, use_instance_edges=True)
    label_map, images = random_label_map(), random_images()
    edges = torch.zeros_like(label_map)
    expected = discriminator(label_map, images, instance_edges=edges).logits[0]
    other = discriminator(torch.full_like(label_map, NUM_LABELS), images, instance_edges=edges).logits[0]
    assert (other - expected).abs().mean() > 1e-3
    edges[:, 30] = 1
    assert (discriminator(label_map, images, instance_edges=edges).logits[0] - expected).abs().mean() > 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_labels": 0}, "`num_labels` is 0"),
        ({"num_layers": 1}, "`num_layers` is 1 and `num_scales` 2; they must be at least 2 and 1"),
        ({"num_scales": 0}, "`num_layers` is 4 and `num_scales` 0"),
    ],
)
def test_wrong_config(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_discriminator(**changes)
