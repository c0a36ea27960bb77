"""The segmentation and the projected discriminator."""

import pytest
import torch

from spade_hf import ProjectedDiscriminator, SegmentationDiscriminator
from spade_hf.models.discriminators.projected import PatchHead

from ...tiny_networks import NUM_LABELS, assert_finite_gradients, one_hot, random_images, random_label_map, randomized


SIZE = (64, 96)
LITE0 = {"backbone": "efficientnet-lite0"}


def build(kind, **options):
    """A discriminator with an unchanged frozen part and random weights elsewhere."""
    discriminator = kind(num_labels=NUM_LABELS, base_channels=4, **options)
    discriminator.prepare_backbone(random_images(SIZE))
    frozen = {name: buffer.clone() for name, buffer in discriminator.named_buffers()}
    randomized(discriminator, 0)
    for name, buffer in discriminator.named_buffers():
        if not name.endswith(("._u", "._v")):
            buffer.copy_(frozen[name])
    return discriminator


@pytest.fixture(
    scope="module",
    params=[(SegmentationDiscriminator, {}), (SegmentationDiscriminator, LITE0), (ProjectedDiscriminator, LITE0)],
    ids=["segmentation", "segmentation on lite0", "projected"],
)
def discriminator(request):
    kind, options = request.param
    return build(kind, **options)


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


@pytest.mark.parametrize("size", [(50, 70), (32, 32)])
def test_any_size(discriminator, size):
    assert discriminator(random_label_map(size), random_images(size)).logits[0].isfinite().all()


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


def test_gradients_reach_weights_and_the_picture(discriminator):
    images = random_images(SIZE).requires_grad_()
    discriminator.zero_grad()
    output = discriminator(random_label_map(SIZE), images)
    sum(logits.square().mean() for logits in output.logits).backward()
    assert_finite_gradients(discriminator)
    assert (images.grad != 0).float().mean() > 0.9


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


def test_saved_with_its_frozen_part(discriminator, tmp_path):
    discriminator.save_pretrained(tmp_path)
    loaded = type(discriminator).from_pretrained(str(tmp_path)).eval()
    inputs = random_label_map(SIZE), random_images(SIZE)
    torch.testing.assert_close(loaded(*inputs).logits, discriminator.eval()(*inputs).logits)


def test_mixed_maps_have_unit_variance():
    maps = build(ProjectedDiscriminator).mix(random_images(SIZE))
    for one in maps[:3]:
        assert one.var().item() == pytest.approx(1, abs=0.5)


def test_a_wrong_size(discriminator):
    with pytest.raises(ValueError, match=r"`images` has shape \(2, 3, 64, 64\); with a mask of shape"):
        discriminator(random_label_map(SIZE), random_images((64, 64)))
