import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from spade_hf.training import learning_rate_schedule, prepared_schedule


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
