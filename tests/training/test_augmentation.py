"""What the discriminator is shown: images and maps change alike, and the same way again."""

import pytest
import torch

from spade_hf.seeding import Stream
from spade_hf.training import DiscriminatorAugmentation
from spade_hf.training.augmentation import crop


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


def test_a_crop_cuts_images_and_maps_alike(batch):
    images = images_of(batch["label_map"])
    batch = {**batch, "real_images": -images, "instance_edges": batch["label_map"] > 1}
    size = images.shape[-1] // 2
    cropped, squares = crop(batch, Stream.GENERATOR_PHASE, size, images)
    assert squares.shape == (*images.shape[:2], size, size)
    assert torch.equal(squares, images_of(cropped["label_map"])) and torch.equal(cropped["real_images"], -squares)
    assert torch.equal(cropped["instance_edges"], cropped["label_map"] > 1)
    assert torch.equal(cropped["seed"], batch["seed"])
    whole = images.unfold(2, size, 1).unfold(3, size, 1)  # all squares that there are
    for one, square in zip(whole, squares, strict=True):
        assert (one == square[:, None, None]).all(dim=(0, 3, 4)).any()


def test_each_sample_and_phase_has_a_crop_of_its_own(batch):
    batch = {**batch, "real_images": images_of(batch["label_map"])}
    places = torch.arange(batch["label_map"][0].numel()).reshape(batch["label_map"][0].shape)
    images = places.expand(len(batch["seed"]), 1, -1, -1)

    def corners(phase, size=4):
        return crop(batch, phase, size, images)[1][:, 0, 0, 0].tolist()

    first = corners(Stream.GENERATOR_PHASE)
    assert first == corners(Stream.GENERATOR_PHASE) != corners(Stream.DISCRIMINATOR_PHASE)
    assert len(set(first)) > 1
    height = images.shape[-2]
    assert all(corner < images.shape[-1] for corner in corners(Stream.GENERATOR_PHASE, height))  # all rows
