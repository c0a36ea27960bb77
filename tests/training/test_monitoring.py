"""Numbers and images reach a tracker of accelerate's, here one that writes files."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from PIL import Image

from spade_hf.training import Monitor, StepOutput, log_image

from ..file_tracker import FileTracker, lines


class NumbersTracker(FileTracker):
    """Takes no images, as some of accelerate's do."""

    name = "numbers"
    log_images = property()  # reading it raises AttributeError


@pytest.fixture
def accelerator(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    trackers = [FileTracker("run", tmp_path / "file"), NumbersTracker("run", tmp_path / "numbers")]
    accelerator = Accelerator(log_with=trackers)
    accelerator.init_trackers("run")
    return accelerator


def output(**terms):
    terms = {name: torch.tensor(value) for name, value in terms.items()}
    return StepOutput(sum(terms.values()), terms, torch.zeros(2, 3, 8, 8), torch.tensor(0.5), torch.tensor(-0.5))


def test_numbers_of_an_iteration(accelerator, tmp_path, monkeypatch):
    clock = iter([10.0, 12.0, 13.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    shown = SimpleNamespace(update=lambda: None, set_postfix=lambda values: None)
    monitor = Monitor(accelerator, shown, images_per_update=8)
    schedules = [SimpleNamespace(get_last_lr=lambda rate=rate: [rate]) for rate in (0.1, 0.4)]
    outputs = output(adversarial=1.0, kl=3.0), output(discriminator_real=0.25, discriminator_fake=0.5)
    for step, updates in ((5, 5), (6, 1)):
        for _ in range(updates):
            monitor.count_update()
        monitor.log(step, outputs, schedules)
    for folder in ("file", "numbers"):
        first, second = lines(tmp_path / folder)
        assert first == {
            "step": 5, "adversarial": 1, "kl": 3, "discriminator_real": 0.25, "discriminator_fake": 0.5,
            "generator_loss": 4, "discriminator_loss": 0.75, "real_logits": 0.5, "fake_logits": -0.5,
            "learning_rate": 0.1, "discriminator_learning_rate": 0.4, "images_per_second": 5 * 8 / 2,
        }  # fmt: skip
        assert second["images_per_second"] == 8


def test_images_go_to_trackers_that_take_them(accelerator, tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    log_image(accelerator, "validation", Image.fromarray(pixels), 7)
    assert np.array_equal(np.array(Image.open(tmp_path / "file" / "validation-7.png")), pixels)
    assert not list((tmp_path / "numbers").glob("*.png"))


def test_tensorboard_takes_both(monkeypatch, tmp_path):
    pytest.importorskip("tensorboard", reason="the extra `tracking` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(log_with="tensorboard", project_dir=tmp_path)
    accelerator.init_trackers("run")
    accelerator.log({"kl": 2.0}, step=3)
    log_image(accelerator, "validation", Image.new("RGB", (6, 4), (9, 8, 7)), 3)
    accelerator.end_training()
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.value for event in events.Scalars("kl")] == [2]
    (image,) = events.Images("validation")
    assert (image.width, image.height) == (6, 4)
