"""The table of a run's numbers, over stops and resumes, and its plot."""

import numpy as np
import pytest

from spade_hf.training import MetricsFile
from spade_hf.training.loss_plot import HEIGHT, WIDTH, draw_losses
from spade_hf.training.metrics_file import METRICS, read_metrics


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


def test_numbers_that_are_not_finite_are_left_out():
    """A real logit that overflows in fp16 stops no run, and neither does its plot."""
    rows = [{"step": step, "a": float(step)} for step in range(1, 9)]
    rows[4].pop("a")
    expected = draw_losses(rows)
    rows[4]["a"] = np.inf
    assert draw_losses([row | {"b": np.nan} for row in rows]) == expected
