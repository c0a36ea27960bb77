"""What the discriminator is shown: images and maps change alike, and the same way again."""

import pytest
import torch

from spade_hf.training import DiscriminatorAugmentation


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(0)
    label_map = torch.randint(4, (8, 32, 48), generator=rng)
    maps = {"label_map": label_map, "agreement": label_map > 0, "instance_edges": label_map == 3}
    return {**maps, "seed": torch.arange(8)}


def images_of(label_map):
    """Images that show the labels, in [-1, 1]."""
    return (label_map.float() / 2 - 0.75)[:, None].expand(-1, 3, -1, -1).clone()


def test_translation_moves_images_and_maps_alike(batch):
    images = images_of(batch["label_map"])
    judged, (first, second) = DiscriminatorAugmentation(["translation"])(batch, 1, images, -images)
    assert torch.equal(first, images_of(judged["label_map"])) and torch.equal(second, -first)
    assert torch.equal(judged["agreement"], judged["label_map"] > 0)
    assert torch.equal(judged["instance_edges"], judged["label_map"] == 3)
    moved = [not torch.equal(a, b) for a, b in zip(judged["label_map"], batch["label_map"], strict=True)]
    assert sum(moved) >= 6
    assert torch.equal(batch["label_map"] > 0, batch["agreement"])  # the batch itself stays


def test_cutout_hides_a_square(batch):
    images = torch.ones(8, 3, 32, 48)
    judged, (changed,) = DiscriminatorAugmentation(["cutout"])(batch, 1, images)
    assert torch.equal(changed, judged["visible"][:, None].expand(-1, 3, -1, -1).float())
    assert ((~judged["visible"]).flatten(1).sum(dim=1) == 36).all()  # a fifth of 32, squared
    assert torch.equal(judged["label_map"], batch["label_map"])
    places = {tuple((~one).nonzero()[0].tolist()) for one in judged["visible"]}
    assert len(places) > 5


def test_color_leaves_the_maps_and_gradients_flow(batch):
    images = torch.rand(8, 3, 32, 48, generator=torch.Generator().manual_seed(1)).requires_grad_()
    judged, (changed, again) = DiscriminatorAugmentation(["color"])(batch, 1, images, images)
    assert judged.keys() == batch.keys() and torch.equal(changed, again)
    assert (changed - images).abs().flatten(1).mean(dim=1).min() > 0.01
    changed.square().sum().backward()
    assert images.grad.isfinite().all() and (images.grad != 0).any()


def test_randomness_follows_from_the_seed_and_the_phase(batch):
    augment = DiscriminatorAugmentation(["color", "translation", "cutout"])
    images = images_of(batch["label_map"])
    _, (first,) = augment(batch, 1, images)
    assert torch.equal(augment(batch, 1, images)[1][0], first)
    assert not torch.equal(augment(batch, 2, images)[1][0], first)
    part = {name: value[3:5] for name, value in batch.items()}
    torch.testing.assert_close(augment(part, 1, images[3:5])[1][0], first[3:5])


def test_no_such_kind():
    with pytest.raises(ValueError, match="`kinds` has flip; allowed are color, translation, cutout"):
        DiscriminatorAugmentation(["flip"])
