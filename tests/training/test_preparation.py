"""What a run sets up before its first update.

Compiled networks compute what eager ones do, statistics included, and are saved as if they were not compiled.
`aot_eager` traces networks as inductor does, and runs the same kernels as eager mode: its results are bit-equal. Whole
runs are compared in tests/examples.
"""

import copy
import os
import subprocess
import sys
from datetime import timedelta

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from spade_hf.features.vgg import VGG19Features
from spade_hf.losses import Objective
from spade_hf.losses.perceptual import PerceptualLoss
from spade_hf.training import (
    ModelEMA,
    build_accelerator,
    compile_modules,
    discriminator_step,
    generator_step,
    learning_rate_schedule,
    preparation,
    prepared_schedule,
)

from ..training_data import make_dataset, make_networks


def test_processes_wait_longer_than_an_upload_or_a_grid_takes(monkeypatch, tmp_path):
    """NCCL's default is 10 minutes."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    assert build_accelerator(str(tmp_path)).init_handler.timeout >= timedelta(hours=1)


def test_an_accumulation_goes_on_in_the_next_epoch(monkeypatch, tmp_path):
    """Three batches an epoch, two for an update: every update sees two."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = build_accelerator(str(tmp_path), gradient_accumulation_steps=2)
    network, loader = accelerator.prepare(torch.nn.Linear(1, 1), torch.utils.data.DataLoader(torch.zeros(3, 1)))
    is_update = []
    for _ in range(2):
        for _ in loader:
            with accelerator.accumulate(network):
                is_update.append(accelerator.sync_gradients)
    assert is_update == [False, True] * 3


@pytest.mark.parametrize("is_supported", [True, False])
def test_bf16_without_its_instructions_is_warned_of(monkeypatch, tmp_path, caplog, is_supported):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    monkeypatch.setattr(preparation, "has_bf16_instructions", lambda: is_supported)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    build_accelerator(str(tmp_path), mixed_precision="bf16")
    AcceleratorState._reset_state(reset_partial_state=True)
    assert ("many times as long as float32" in caplog.text) != is_supported


@pytest.mark.parametrize(
    ("load", "threads", "policy", "is_warned"),
    [(14.0, 2, None, True), (1.0, 2, None, False), (14.0, 1, None, False), (14.0, 2, "passive", False)],
)
def test_a_busy_machine_is_warned_of(monkeypatch, caplog, load, threads, policy, is_warned):
    monkeypatch.setattr(preparation.os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(preparation.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(preparation.torch, "get_num_threads", lambda: threads)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if policy:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    preparation.warn_of_a_busy_machine()
    assert ("load 14 on 2 cores" in caplog.text) == is_warned


def rates(name: str = "constant_then_linear", steps: int = 10, **options) -> list[float]:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = learning_rate_schedule(name, optimizer, num_steps=steps, **options)
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return values


def test_the_papers_schedule_is_constant_and_then_falls_to_zero():
    assert rates() == pytest.approx([2.0] * 6 + [1.6, 1.2, 0.8, 0.4])


@pytest.mark.parametrize(("decay_start", "expected"), [(1.0, [2.0] * 10), (0.0, [2 - 0.2 * k for k in range(10)])])
def test_decay_start(decay_start, expected):
    assert rates(decay_start=decay_start) == pytest.approx(expected)


def test_warmup():
    assert rates(num_warmup_steps=3)[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])


def test_two_rates():
    """TTUR: each optimizer keeps its own rate."""
    optimizers = [torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr) for lr in (1e-4, 4e-4)]
    schedules = [learning_rate_schedule("constant_then_linear", one, num_steps=4) for one in optimizers]
    for _ in range(3):
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
    assert [schedule.get_last_lr()[0] for schedule in schedules] == pytest.approx([0.5e-4, 2e-4])


def test_schedules_of_diffusers():
    assert rates("linear") == pytest.approx([2 - 0.2 * k for k in range(10)])
    assert rates("constant") == [2.0] * 10


def test_unknown_schedule():
    with pytest.raises(ValueError, match="'steps' is not a valid SchedulerType"):
        rates("steps")


@pytest.mark.parametrize("name", ["constant_then_linear", "cosine", "constant_with_warmup"])
def test_the_rates_are_those_of_updates_whatever_the_number_of_processes(name, monkeypatch):
    expected = rates(name, num_warmup_steps=3)
    for processes in (1, 2, 8):
        for state in (AcceleratorState, GradientState, PartialState):
            state._reset_state()
        accelerator = Accelerator(cpu=True)
        for state in (AcceleratorState, PartialState):
            monkeypatch.setitem(state._shared_state, "num_processes", processes)
        assert accelerator.num_processes == AcceleratorState().num_processes == processes
        optimizer = accelerator.prepare(torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=2.0))
        schedule = prepared_schedule(accelerator, name, optimizer, num_steps=10, num_warmup_steps=3)
        found = []
        for _ in range(10):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        assert found == expected


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
