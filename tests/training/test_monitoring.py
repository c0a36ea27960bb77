"""Numbers and images reach a tracker of accelerate's, here one that writes files, and the table and plot of a run."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spade_hf.training import (
    MetricsFile,
    Monitor,
    StepOutput,
    build_accelerator,
    check_tracker,
    log_image,
    scalars_of,
    start_trackers,
)
from spade_hf.training.monitoring import HEIGHT, METRICS, WIDTH, draw_losses, read_metrics

from ..file_tracker import FileTracker, lines
from ..waiting import LONGEST


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
    return StepOutput(sum(terms.values()), terms, torch.tensor(0.5), torch.tensor(-0.5), torch.zeros(1, 3, 8, 8))


def test_numbers_of_an_iteration(accelerator, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    clock = iter([10.0, 12.0, 13.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    shown = SimpleNamespace(update=lambda: None, total=6)
    rates = {"learning_rate": 0.1, "discriminator_learning_rate": 0.4}
    sides = {
        name: SimpleNamespace(schedule=SimpleNamespace(get_last_lr=lambda rate=rate: [rate]))
        for name, rate in rates.items()
    }
    metrics_file = MetricsFile(tmp_path)
    monitor = Monitor(accelerator, shown, sides=sides, images_per_update=8, metrics_file=metrics_file)
    outputs = output(adversarial=1.0, kl=3.0), output(discriminator_real=0.25, discriminator_fake=0.5)
    for step, updates in ((5, 5), (6, 1)):
        for _ in range(updates):
            monitor.add(scalars_of(*outputs))
            monitor.count_update()
        monitor.log(step)
    for folder in ("file", "numbers"):
        first, second = lines(tmp_path / folder)
        assert first == {
            "step": 5, "adversarial": 1, "kl": 3, "discriminator_real": 0.25, "discriminator_fake": 0.5,
            "generator_loss": 4, "discriminator_loss": 0.75, "real_logits": 0.5, "fake_logits": -0.5,
            "learning_rate": 0.1, "discriminator_learning_rate": 0.4, "images_per_second": 5 * 8 / 2,
        }  # fmt: skip
        assert second["images_per_second"] == 8
    assert read_metrics(tmp_path / "metrics.csv") == [first, second]
    assert caplog.messages == [
        "step 5/6: 0.4 s/update, generator 4, discriminator 0.75",
        "step 6/6: 1 s/update, generator 4, discriminator 0.75",
    ]


def test_numbers_are_means_over_the_batches_of_an_update(accelerator, tmp_path):
    shown = SimpleNamespace(update=lambda: None, total=2)
    monitor = Monitor(accelerator, shown, sides={}, images_per_update=4)
    for values in ((7.0, 9.0), (1.0, 2.0)):  # the first update is not logged
        for value in values:
            monitor.add(scalars_of(output(adversarial=value), output(discriminator=-value)))
        monitor.count_update()
    monitor.log(2)
    (numbers,) = lines(tmp_path / "file")
    assert (numbers["adversarial"], numbers["discriminator"], numbers["generator_loss"]) == (1.5, -1.5, 1.5)


def test_images_go_to_trackers_that_take_them(accelerator, tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    log_image(accelerator, "validation", Image.fromarray(pixels), 7)
    assert np.array_equal(np.array(Image.open(tmp_path / "file" / "validation-7.png")), pixels)
    assert not list((tmp_path / "numbers").glob("*.png"))


def track(name, folder, monkeypatch):
    """A number and an image at step 3, as the script does it."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = build_accelerator(str(folder), report_to=name, logging_dir=".")
    start_trackers(accelerator, "run", {"seed": 5})
    accelerator.log({"kl": 2.0}, step=3)
    log_image(accelerator, "validation", Image.new("RGB", (6, 4), (9, 8, 7)), 3)
    accelerator.end_training()


def test_tensorboard_takes_both(monkeypatch, tmp_path):
    track("tensorboard", tmp_path, monkeypatch)
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.value for event in events.Scalars("kl")] == [2]
    (image,) = events.Images("validation")
    assert (image.width, image.height) == (6, 4)


def test_wandb_takes_both(monkeypatch, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    track("wandb", tmp_path / "out", monkeypatch)
    (run,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    (image,) = (run / "files" / "media" / "images").glob("validation_3_*.png")
    assert Image.open(image).getpixel((5, 3)) == (9, 8, 7)
    (record,) = run.glob("*.wandb")
    deadline = time.monotonic() + LONGEST
    while not all(text in record.read_bytes() for text in (b"kl", b"seed")):  # W&B's own process writes it
        assert time.monotonic() < deadline, record.read_bytes()
        time.sleep(0.1)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]  # nothing in the current folder


def test_trackio_takes_both(monkeypatch, tmp_path):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    pytest.importorskip("trackio", reason="trackio is not installed")
    from trackio.sqlite_storage import SQLiteStorage

    track("trackio", tmp_path, monkeypatch)
    (name,) = SQLiteStorage.get_runs("run")
    number, image = SQLiteStorage.get_logs("run", name)
    assert (number["kl"], number["step"], image["step"]) == (2, 3, 3)
    (file,) = (tmp_path / "trackio" / "media").rglob("*.png")
    assert file.name == image["validation"]["file_path"].split("/")[-1]
    assert Image.open(file).convert("RGB").getpixel((5, 3)) == (9, 8, 7)


def test_an_unknown_tracker():
    with pytest.raises(ValueError, match="`report_to` is 'wand'; allowed are none, all, .*wandb"):
        check_tracker("wand")


def test_a_tracker_that_is_not_installed():
    missing = set(LoggerType.list()) - {str(name) for name in get_available_trackers()} - {"all"}
    if not missing:
        pytest.skip("every tracker is installed")
    name = sorted(missing)[0]
    with pytest.raises(ValueError, match=f"`report_to` is '{name}', which is not installed here: `pip install {name}"):
        check_tracker(name)


def test_each_step_has_one_row(tmp_path):
    table = MetricsFile(tmp_path / "out")
    table.add(10, {"kl": 2.0, "adversarial": -0.5})
    table.add(20, {"kl": 1.0, "adversarial": 1 / 3})
    table.add(20, {"evaluation/kid": 30.0})  # a column more, in the row of its step
    table.add(30, {"kl": 0.5, "adversarial": 0.0})
    table.add(35, {"evaluation/kid": 20.0})
    assert (tmp_path / "out" / METRICS).read_text() == (
        "step,kl,adversarial,evaluation/kid\n10,2,-0.5,\n20,1,0.3333333,30\n30,0.5,0,\n35,,,20\n"
    )
    assert read_metrics(tmp_path / "out" / METRICS)[3] == {"step": 35, "evaluation/kid": 20}


def test_a_resumed_run_goes_on_after_its_checkpoint(tmp_path):
    table = MetricsFile(tmp_path)
    for step in range(1, 13):
        table.add(step, {"kl": step})
    file = tmp_path / METRICS
    file.write_text(file.read_text()[:-4])  # killed while it wrote: the last line begins with a 1
    assert read_metrics(file)[-1] == {"step": 11, "kl": 11}
    table = MetricsFile(tmp_path, step=9)
    assert [row["step"] for row in read_metrics(file)] == list(range(1, 10))
    table.add(9, {"color": 1.0})
    table.add(10, {"kl": 0.0, "color": 2.0})
    rows = read_metrics(file)
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert rows[-2:] == [{"step": 9, "kl": 9, "color": 1}, {"step": 10, "kl": 0, "color": 2}]
    MetricsFile(tmp_path)  # a new run
    assert file.read_text() == "step\n"


@pytest.mark.parametrize("text", ["name,score\nAnn,3\n", "step,score\none,2\n", "", "step"])
def test_anothers_file_is_kept(text, tmp_path):
    (tmp_path / METRICS).write_text(text)
    with pytest.raises(ValueError, match=r"`output_dir` .* has a metrics.csv that no run wrote. Move it, or give"):
        MetricsFile(tmp_path)
    assert (tmp_path / METRICS).read_text() == text


def test_a_panel_for_each_loss():
    rows = [{"step": step, "kl": 5.0, "a": float(step), "learning_rate": 0.1} for step in range(1, 3000)]
    rows += [{"step": 3000, "b": 1.0, "c": 2.0}]
    image = draw_losses(rows)
    assert image.size == (3 * WIDTH, 2 * HEIGHT)  # kl, a, b and c, but not the rate
    blue = (np.array(image) == (31, 105, 180)).all(axis=-1)  # (H, W)
    panels = [blue[y : y + HEIGHT, x : x + WIDTH] for y in (0, HEIGHT) for x in (0, WIDTH, 2 * WIDTH)]
    assert [bool(panel.any()) for panel in panels] == [True] * 4 + [False] * 2
    rows_of_kl, rows_of_a = (np.unique(panel.nonzero()[0]) for panel in panels[:2])
    assert len(rows_of_kl) <= 3 and len(rows_of_a) > 100  # constant, and a diagonal
    first, last = (panels[1][:, x].nonzero()[0].mean() for x in (60, 300))
    assert first > last + 100  # it rises
    assert draw_losses([]) is None and draw_losses([{"step": 1, "learning_rate": 1.0}]) is None
    assert draw_losses([{"step": 1, "kl": 0.0}]).size == (3 * WIDTH, HEIGHT)


def test_evaluations_come_first():
    rows = [{"step": step, "kl": 1.0} for step in range(1, 5)]
    rows[3] |= {"evaluation/kid": 0.5, "evaluation/miou": 0.25}
    kid, miou, _ = np.split(np.array(draw_losses(rows)), 3, axis=1)
    for panel, name in ((kid, "evaluation/kid"), (miou, "evaluation/miou")):
        alone = draw_losses([{"step": 4, name: rows[3][name]}])
        np.testing.assert_array_equal(panel, np.array(alone)[:, :WIDTH])


def test_numbers_that_are_not_finite_are_left_out():
    """A real logit that overflows in fp16 stops no run, and neither does its plot."""
    rows = [{"step": step, "a": float(step)} for step in range(1, 9)]
    rows[4].pop("a")
    expected = draw_losses(rows)
    rows[4]["a"] = np.inf
    assert draw_losses([row | {"b": np.nan} for row in rows]) == expected
