import pytest
import torch
from torch.distributions import Normal, kl_divergence

from spade_hf import DiagonalGaussianDistribution, SPADEStyleEncoder

from ..tiny_networks import LATENT_DIM, random_images, tiny_style_encoder


@pytest.fixture(scope="module")
def encoder() -> SPADEStyleEncoder:
    return tiny_style_encoder()


@pytest.fixture
def posterior() -> DiagonalGaussianDistribution:
    rng = torch.Generator().manual_seed(0)
    return DiagonalGaussianDistribution(torch.randn(3, 5, generator=rng), torch.randn(3, 5, generator=rng))


@pytest.mark.parametrize("size", [(128, 128), (64, 64), (100, 300)])
def test_any_size_is_resized(encoder, size):
    posterior = encoder(random_images(size)).latent_dist
    assert posterior.mean.shape == posterior.logvar.shape == (2, LATENT_DIM)


def test_published_parameter_count():
    with torch.device("meta"):
        encoder = SPADEStyleEncoder()
    assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(10.5, abs=0.05)


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 1, 64, 64), (2, 64, 64, 3)])
def test_wrong_images(encoder, shape):
    with pytest.raises(ValueError, match=rf"`images` has shape \({shape[0]}, .*reads \(N, 3, H, W\)"):
        encoder(torch.zeros(shape))


@pytest.mark.parametrize("image_size", [64, 200])
def test_wrong_image_size(image_size):
    with pytest.raises(ValueError, match=rf"`image_size` is {image_size}; with 6 .*multiple of 64, and at least 128"):
        tiny_style_encoder(image_size=image_size)


# The posterior


def test_sample_is_reproducible(posterior):
    first, second = (posterior.sample(torch.Generator().manual_seed(4)) for _ in range(2))
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert (posterior.sample(torch.Generator().manual_seed(5)) - first).abs().min() > 0


def test_sample_with_a_generator_leaves_the_global_state(posterior):
    state = torch.get_rng_state()
    posterior.sample(torch.Generator().manual_seed(4))
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_have_the_posteriors_moments():
    mean, logvar = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, -3.0]])
    many = DiagonalGaussianDistribution(mean.expand(20000, -1), logvar.expand(20000, -1))
    samples = many.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(samples.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(samples.var(0), logvar[0].exp(), atol=0, rtol=0.05)


def test_sample_is_differentiable(posterior):
    mean, logvar = posterior.mean.requires_grad_(), posterior.logvar.requires_grad_()
    posterior.sample(torch.Generator().manual_seed(0)).sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones_like(mean))
    assert (logvar.grad.abs() > 0).all()


def test_mode(posterior):
    torch.testing.assert_close(posterior.mode(), posterior.mean)


def test_kl(posterior):
    ours = posterior.kl()
    expected = kl_divergence(Normal(posterior.mean, (0.5 * posterior.logvar).exp()), Normal(0.0, 1.0)).sum(dim=1)
    assert ours.shape == (3,)
    torch.testing.assert_close(ours, expected)
    prior = DiagonalGaussianDistribution(torch.zeros(1, 5), torch.zeros(1, 5))
    assert prior.kl().item() == 0


def test_a_convolution_without_channels_is_an_error():
    with pytest.raises(ValueError, match=r"`base_channels` is 4; with `channel_mult` \(1, 0.1\) a convolution has no"):
        tiny_style_encoder(channel_mult=(1, 0.1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_seed_is_the_same_noise_in_every_type(dtype: torch.dtype):
    mean, logvar = torch.zeros(2, 8, dtype=dtype), torch.zeros(2, 8, dtype=dtype)
    z = DiagonalGaussianDistribution(mean, logvar).sample(torch.Generator().manual_seed(3))
    assert z.dtype == dtype
    assert torch.equal(z, torch.randn(2, 8, generator=torch.Generator().manual_seed(3)).to(dtype))
