import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from spade_hf.layers.initialization import conv2d
from spade_hf.layers.spectral_norm import fuse_spectral_norm


@pytest.mark.parametrize("is_training", [True, False])
def test_same_as_pytorch(is_training: bool):
    """Values, gradients and the singular vectors, which move in training."""
    torch.manual_seed(0)
    ours = conv2d(3, 5, 3, use_spectral_norm=True).double().train(is_training)
    theirs = parametrizations.spectral_norm(nn.Conv2d(3, 5, 3)).double().train(is_training)
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    for conv in (ours, theirs):
        conv(x).square().sum().backward()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    for (name, ours_), (_, theirs_) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(ours_.grad, theirs_.grad, msg=name)
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize("is_training", [True, False])
def test_fusing_runs_no_power_iteration(is_training: bool):
    """The weight is that of evaluation, and the singular vectors, which have not converged here, do not move."""
    torch.manual_seed(0)
    conv = conv2d(3, 5, 3, use_spectral_norm=True).double()
    norm = conv.parametrizations.weight[0]
    norm._u.copy_(torch.nn.functional.normalize(torch.randn(5), dim=0))
    expected = conv.eval().weight.detach().clone()
    fuse_spectral_norm(conv.train(is_training))
    assert conv.training == is_training
    torch.testing.assert_close(conv.weight.detach(), expected, atol=0, rtol=0)


@pytest.mark.parametrize("is_trained", [True, False])
def test_fusing_leaves_frozen_weights_frozen(is_trained: bool):
    conv = conv2d(3, 5, 3, use_spectral_norm=True).requires_grad_(is_trained)
    fuse_spectral_norm(conv)
    assert type(conv) is nn.Conv2d
    assert conv.weight.requires_grad is is_trained
