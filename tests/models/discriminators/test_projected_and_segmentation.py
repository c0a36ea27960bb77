"""The segmentation and the projected discriminator."""

import pytest
import torch

from spade_hf import SegmentationDiscriminator
from spade_hf.models.discriminators.projected import PatchHead

from ...tiny_networks import NUM_LABELS, one_hot, random_images, random_label_map, tiny_projected, tiny_segmentation


SIZE = (64, 96)


@pytest.fixture(
    scope="module",
    params=[tiny_segmentation, lambda: tiny_segmentation(backbone="efficientnet-lite0"), tiny_projected],
    ids=["segmentation", "segmentation on lite0", "projected"],
)
def discriminator(request):
    return request.param()


def test_shapes(discriminator):
    output = discriminator(random_label_map(SIZE), random_images(SIZE))
    if isinstance(discriminator, SegmentationDiscriminator):
        assert [logits.shape for logits in output.logits] == [(2, NUM_LABELS + 1, *SIZE)] and output.features == []
    else:
        assert [logits.shape for logits in output.logits] == [(2, 1, 64 // s, 96 // s) for s in (4, 8, 16, 32)]
        assert [[layer.shape for layer in layers] for layers in output.features] == [[(2, 32, 2, 3)]]
    assert all(logits.dtype == torch.float32 for logits in output.logits)
    plain = discriminator(random_label_map(SIZE), random_images(SIZE), return_dict=False)
    assert torch.equal(plain[0][0], output.logits[0])


def test_a_position_has_the_shares_of_all_its_labels():
    """A single pixel of a label counts wherever it is in the area of a position."""
    torch.manual_seed(0)
    head = PatchHead(2, 3, 2, use_spectral_norm=False)
    torch.nn.init.normal_(head.embed.weight)
    x, rare = 1e5 * torch.randn(1, 2, 2, 2), torch.zeros(1, 8, 8)  # so large that small initial weights show
    rare[0, 1, 2] = rare[0, 5, 7] = 1  # one of 16 pixels at two of the four positions
    with torch.no_grad():
        frequent, other, mixed = (
            head(x, torch.stack([1 - share, share], dim=1))[0, 0] for share in (0 * rare, 0 * rare + 1, rare)
        )
    share = torch.eye(2) / 16
    torch.testing.assert_close(mixed, (1 - share) * frequent + share * other)
    assert ((other - frequent).abs() > 1).all()


def test_what_each_of_them_reads(discriminator):
    images, masks = random_images(SIZE), random_label_map(SIZE)
    logits = discriminator(masks, images).logits
    others = discriminator((masks + 1) % NUM_LABELS, images).logits
    reads_the_mask = not isinstance(discriminator, SegmentationDiscriminator)
    assert all(torch.equal(a, b) != reads_the_mask for a, b in zip(logits, others, strict=True))
    if reads_the_mask:
        torch.testing.assert_close(discriminator(one_hot(masks), images).logits, logits)
    assert not torch.allclose(discriminator(masks, -images).logits[0], logits[0])


def test_updates_leave_the_frozen_part_bit_for_bit(discriminator):
    discriminator = type(discriminator).from_config(discriminator.config)
    discriminator.prepare_backbone(random_images(SIZE))
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for _ in range(3):
        discriminator.requires_grad_(False)  # as between the phases of training
        discriminator.requires_grad_(True)
        output = discriminator(random_label_map(SIZE), random_images(SIZE))
        sum(logits.square().mean() for logits in output.logits).backward()
        optimizer.step()
    after = discriminator.state_dict()
    frozen = {name for name in after if name.startswith(("frozen_features", "mix_"))}
    assert bool(frozen) == ("backbone" in discriminator.config and discriminator.config.backbone is not None)
    assert all(torch.equal(after[name], before[name]) for name in frozen)
    trained = {name for name, _ in discriminator.named_parameters()}
    assert not trained & frozen and all(not torch.equal(after[name], before[name]) for name in trained)


def test_mixed_maps_have_unit_variance():
    maps = tiny_projected().mix(random_images(SIZE))
    for one in maps[:3]:
        assert one.var().item() == pytest.approx(1, abs=0.5)
