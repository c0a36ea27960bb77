"""Compiled networks compute what eager ones do, statistics included, and are saved as if they were not compiled.

`aot_eager` traces networks as inductor does, and runs the same kernels as eager mode: its results are bit-equal. Whole
runs are compared in tests/examples.
"""

import copy
import os
import subprocess
import sys

import pytest
import torch

from spade_hf.features.vgg import VGG19Features
from spade_hf.losses import Objective
from spade_hf.losses.perceptual import PerceptualLoss
from spade_hf.training import ModelEMA, compile_modules, discriminator_step, generator_step

from ..training_data import make_dataset, make_networks


@pytest.fixture(scope="module")
def batch():
    samples = [make_dataset()[index] for index in (0, 1)]
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def iterate(networks, perceptual_loss, batch):
    """Both phases twice, without optimizers; what they computed."""
    options = {"objective": Objective(perceptual_loss=perceptual_loss), "latent_dim": 4}
    generator, encoder, discriminator = (networks[name] for name in ("generator", "style_encoder", "discriminator"))
    computed = []
    for _ in range(2):
        discriminator.requires_grad_(False)
        judged = generator_step(generator, encoder, discriminator, batch, **options)
        judged.loss.backward()
        assert all(parameter.grad is None for parameter in discriminator.parameters()) or computed
        discriminator.requires_grad_(True)
        output = discriminator_step(generator, encoder, discriminator, batch, **options)
        output.loss.backward()
        computed += [judged.loss.detach(), output.loss.detach()]
    return computed


def test_losses_gradients_and_statistics_are_the_eager_ones(batch):
    torch.manual_seed(0)
    eager = {name: network.train() for name, network in make_networks().items()}
    perceptual_loss = PerceptualLoss(VGG19Features(base_channels=2).requires_grad_(False))
    compiled, compiled_loss = copy.deepcopy((eager, perceptual_loss))
    before = {name: copy.deepcopy(network.state_dict()) for name, network in eager.items()}
    modules = [compiled["style_encoder"], compiled["discriminator"], compiled_loss]
    compile_modules(modules, device=torch.device("cpu"), backend="aot_eager")

    expected, found = iterate(eager, perceptual_loss, batch), iterate(compiled, compiled_loss, batch)
    assert expected == found
    for name, network in eager.items():
        other = compiled[name].state_dict()
        assert network.state_dict().keys() == other.keys()
        assert [key for key, value in network.state_dict().items() if not torch.equal(value, other[key])] == []
        vectors = [key for key in other if key.endswith(("_u", "_v"))]
        assert vectors and not any(torch.equal(other[key], before[name][key]) for key in vectors)
        gradients = zip(network.named_parameters(), compiled[name].parameters(), strict=True)
        assert [key for (key, one), two in gradients if not torch.equal(one.grad, two.grad)] == []
    assert ModelEMA(compiled["style_encoder"], 0.9).model._compiled_call_impl is None


def test_an_unknown_backend():
    with pytest.raises(ValueError, match="`torch_compile_backend` 'nonsense' cannot compile for cpu: Invalid backend"):
        compile_modules([], device=torch.device("cpu"), backend="nonsense")


@pytest.mark.slow  # imports inductor, in a process of its own: it remembers that it found no compiler
def test_no_compiler(tmp_path):
    code = (
        "import torch\n"
        "from spade_hf.training import compile_modules\n"
        "compile_modules([torch.nn.Linear(1, 1)], device=torch.device('cpu'))"
    )
    environment = {**os.environ, "CXX": "/no/compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    error = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and error.startswith("ValueError: `torch_compile_backend` 'inductor' cannot compile")
    assert "No working C++ compiler" in error and "leave out `torch_compile`" in error
