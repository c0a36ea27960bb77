import torch

from spade_hf.losses import feature_matching_loss, masked_l1_loss
from spade_hf.losses.perceptual import PerceptualLoss


def features(seed: int, size: int = 8) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_excluded_pixels_count_as_equal_and_get_no_gradient():
    fake, real = features(0).requires_grad_(), features(1)
    mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[0, :4] = True
    loss = masked_l1_loss(fake, real, mask)
    torch.testing.assert_close(loss, (fake - real)[0, :, :4].abs().sum() / fake.numel())
    loss.backward()
    assert fake.grad[0, :, :4].all() and not fake.grad[0, :, 4:].any() and not fake.grad[1].any()


def test_a_coarse_feature_counts_by_its_share():
    fake, real = features(0, size=2), features(1, size=2)
    mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[:, :4, :2] = True  # half of one feature's pixels
    torch.testing.assert_close(masked_l1_loss(fake, real, mask), 0.5 * (fake - real)[..., 0, 0].abs().sum() / 24)


def test_a_full_mask_changes_nothing():
    fake, real, mask = features(0), features(1), torch.ones(2, 8, 8, dtype=torch.bool)
    torch.testing.assert_close(masked_l1_loss(fake, real, mask), masked_l1_loss(fake, real))
    layers = [[features(seed, size) for size in (9, 5)] for seed in range(4)]  # sizes as the discriminator's
    fakes, reals = layers[:2], layers[2:]
    torch.testing.assert_close(feature_matching_loss(fakes, reals, mask), feature_matching_loss(fakes, reals))


def test_the_terms_pass_it_on():
    fake, real, nowhere = features(0), features(1), torch.zeros(2, 8, 8, dtype=torch.bool)
    assert feature_matching_loss([[fake]], [[real]], nowhere) == 0
    assert PerceptualLoss(lambda images: [1 * images], weights=(1,))(fake, real, nowhere) == 0
