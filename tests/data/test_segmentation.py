"""Augmentation for segmenters: crops of all sizes, in any light, with the mask that belongs to them."""

import pytest
import torch

from spade_hf.data.photometric import distort, in_random_light
from spade_hf.data.segmentation import SegmentationTransform


def pair(size=(64, 96)):
    """An image whose red tells the label, in squares."""
    rows, columns = torch.meshgrid(*(torch.arange(side) // 16 for side in size), indexing="ij")
    labels = (rows + columns) % 3
    return (labels.float() - 1).expand(3, *size).clone(), labels


def sample(seed=0, image=None, **options):
    given, labels = pair()
    transform = SegmentationTransform(resolution=(48, 48), **options)
    rng = torch.Generator().manual_seed(seed)
    return transform(given if image is None else image, labels, None, num_labels=3, rng=rng)


@pytest.mark.parametrize("seed", range(8))
def test_image_and_mask_stay_together(seed):
    one = sample(seed, random_light=False)
    assert one["real_images"].shape == (3, 48, 48) and one["label_map"].shape == (48, 48)
    told = (one["real_images"][0] + 1).round().long()
    assert (told == one["label_map"]).float().mean() > 0.8  # but for pixels between two labels


def test_crops_differ_in_size_and_place_and_some_are_mirrored():
    ramp = torch.linspace(-1, 1, 96).expand(3, 64, 96).clone()
    slopes = []
    for seed in range(60):
        row = sample(seed, image=ramp, random_light=False)["real_images"][0, 0]
        slopes.append((row[-1] - row[0]).item())
    shares = torch.tensor(slopes).abs() / 2  # of the width that is seen
    assert 0.25 < (torch.tensor(slopes) < 0).float().mean() < 0.75
    assert shares.max() > 0.6 and shares.min() < 0.48
    widths = 48 * 4 / 3 / 96 * torch.tensor([(0.4 * 3 / 4) ** 0.5, (4 / 3) ** 0.5])
    assert ((shares > widths[0] - 0.03) & (shares < widths[1] + 0.03)).all()
    whole = sample(0, image=ramp, random_light=False, min_crop_share=1.0, random_flip=False)["real_images"]
    assert whole[0, 0, -1] > whole[0, 0, 0]


def test_a_seed_gives_a_sample():
    one, same, other = sample(3), sample(3), sample(4)
    assert one["real_images"].equal(same["real_images"]) and one["label_map"].equal(same["label_map"])
    assert not one["real_images"].equal(other["real_images"])


def test_light_changes_the_image_alone():
    plain, lit = sample(5, random_light=False), sample(5)
    assert lit["label_map"].equal(plain["label_map"])
    assert (lit["real_images"] - plain["real_images"]).abs().mean() > 0.01


def test_a_soft_mask_is_an_error():
    image, labels = pair()
    soft = torch.nn.functional.one_hot(labels).movedim(-1, 0).float()
    with pytest.raises(ValueError, match="A mask is soft"):
        SegmentationTransform(resolution=(48, 48))(image, soft, None, num_labels=3, rng=torch.Generator())


def test_light_keeps_black_and_the_range():
    images = torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3).expand(64, 3, 1, 3)
    lit = in_random_light(images, torch.Generator().manual_seed(0), brightness=0.2, tint=0.1)
    assert (lit[..., 0] == -1).all() and lit.min() >= -1 and lit.max() <= 1
    logs = (lit[..., 1] + 1).log()  # of the gain
    assert logs.mean(dim=(1, 2)).std() == pytest.approx(0.2, rel=0.4)
    assert (logs - logs.mean(dim=1, keepdim=True)).std() == pytest.approx(0.1 * (2 / 3) ** 0.5, rel=0.4)
    same = in_random_light(images, torch.Generator().manual_seed(0), brightness=0.0, tint=0.0)
    torch.testing.assert_close(same, images.clone())


def test_distortions_are_of_every_kind():
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    distorted = [distort(image, torch.Generator().manual_seed(seed)) for seed in range(100)]
    for one in distorted:
        assert one.shape == image.shape and one.isfinite().all() and one.min() >= -1 and one.max() <= 1
    gray = [one for one in distorted if (one[0] - one[1]).abs().max() < 0.7 and _saturation(one) < 0.15]
    assert 2 <= len(gray) <= 40 and max(map(_saturation, distorted)) > 0.5
    detail = torch.tensor([one.diff(dim=-1).abs().mean() for one in distorted])
    assert detail.min() < 0.5 * detail.median()  # some are blurred
    means = torch.tensor([one.mean() for one in distorted])
    assert means.std() > 0.1


def _saturation(image):
    return (image - image.mean(dim=0)).abs().mean().item()
