"""The numbers and images of a run while it trains: to the log, to trackers, to `metrics.csv` and `losses.png`."""

import csv
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import LoggerType
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from tqdm.auto import tqdm

from ..files import atomic
from .game import Side


logger = logging.getLogger(__name__)
# The losses in the log, in a line that fits a terminal of 100 columns.
LOGGED = {
    "generator_loss": "generator",
    "discriminator_loss": "discriminator",
    "perceptual": "perceptual",
    "cross_entropy": "cross-entropy",
}

# The table of a run: a row per logged update, with its step in the first column.
METRICS, STEP = "metrics.csv", "step"

# Its plot, without a plotting library: a panel per loss.
LOSSES = "losses.png"
NO_LOSSES = {STEP, "learning_rate", "discriminator_learning_rate", "images_per_second"}
COLUMNS = 3
WIDTH, HEIGHT = 320, 200  # of a panel, in pixels
LEFT, TOP, RIGHT, BOTTOM = 58, 30, WIDTH - 14, HEIGHT - 28  # the axes' frame in it
INK, FAINT, LINE = (40, 40, 40), (205, 205, 205), (31, 105, 180)  # RGB


class MetricsFile:
    """Writer of a run's table. Use it only on the main process.

    Args:
        output_dir (`Path`): The run's output folder.
        step (`int`, defaults to 0): Finished updates of a resumed run; rows of later ones are deleted.

    Raises:
        ValueError: If the folder has a file of this name that no run wrote.
    """

    def __init__(self, output_dir: Path, *, step: int = 0) -> None:
        self.file = output_dir / METRICS
        rows = [row for row in read_metrics(self.file) if row[STEP] <= step] if self.file.exists() else []
        self._columns = [STEP]
        self._rewrite(rows)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers to an update's row; the updates come in order."""
        row = {STEP: step, **values}
        if self._last.get(STEP) == step:
            row = self._last | row
            os.truncate(self.file, self._last_start)  # the row is written again, with more columns
        if row.keys() <= set(self._columns):
            self._last, self._last_start = row, self.file.stat().st_size
            with self.file.open("a", encoding="utf-8", newline="") as content:
                content.write(self._line(row))
        else:
            self._rewrite([*read_metrics(self.file), row])

    def _rewrite(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write the table with a column for every number in the rows."""
        self._columns = list(dict.fromkeys([*self._columns, *(name for row in rows for name in row)]))
        lines = [",".join(self._columns) + "\n", *map(self._line, rows)]
        # The last row, and the byte at which it starts
        self._last, self._last_start = dict(rows[-1]) if rows else {}, len("".join(lines[: len(rows)]).encode())
        with atomic(self.file) as unfinished:
            unfinished.write_text("".join(lines), encoding="utf-8", newline="")

    def _line(self, row: Mapping[str, float]) -> str:
        return ",".join(f"{row[name]:.7g}" if name in row else "" for name in self._columns) + "\n"


def read_metrics(file: Path) -> list[dict[str, float]]:
    """Read a run's table: a dictionary per row, without the columns that are empty there.

    A last line that was not written completely, as a killed run leaves it, is left out.

    Raises:
        ValueError: If no run wrote the file.
    """
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    complete = [line for line in lines if line.endswith("\n")]
    try:
        if next(csv.reader(complete[:1]))[0] != STEP:
            raise ValueError
        table = csv.DictReader(complete)
        return [{name: float(value) for name, value in row.items() if value} for row in table]
    except (ValueError, TypeError, StopIteration, IndexError, AttributeError) as error:
        raise ValueError(
            f"`output_dir` {file.parent} has a {METRICS} that no run wrote. Move it, or give another folder."
        ) from error


class Monitor:
    """Logger of a run's numbers.

    Args:
        accelerator (`Accelerator`): Sends the numbers to its trackers.
        progress (`tqdm`): Progress bar of the updates, with their `total`.
        sides (`Mapping[str, Side]`): Sides whose learning rates are logged, by the rate's name.
        images_per_update (`int`): Images of all processes and accumulated batches.
        metrics_file (`MetricsFile`, *optional*): Gets the numbers, too; only on the main process.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        progress: tqdm,
        *,
        sides: Mapping[str, Side],
        images_per_update: int,
        metrics_file: MetricsFile | None = None,
    ) -> None:
        self.accelerator, self.progress, self.sides = accelerator, progress, sides
        self.images_per_update, self.metrics_file = images_per_update, metrics_file
        self._since, self._updates = time.perf_counter(), 0
        self._batches: list[dict[str, Tensor]] = []  # scalars by name, of each batch of an update
        self._is_complete = False  # whether all batches of that update are there

    def add(self, scalars: Mapping[str, Tensor]) -> None:
        """Add the numbers of one of the batches that make an update, scalars by name; see [`scalars_of`]."""
        if self._is_complete:
            self._batches, self._is_complete = [], False
        self._batches.append({name: value.detach().float() for name, value in scalars.items()})

    def count_update(self) -> None:
        """Count an update."""
        self.progress.update()
        self._updates += 1
        self._is_complete = True

    def log(self, step: int) -> None:
        """Track losses, logits, learning rates, and images per second since the last call; log the main losses.

        Every process calls this: losses and logits are means over the update's batches in all of them. The throughput
        is wall-clock, including checkpoints and sample images.
        """
        # Means first: they wait for the device, whose work has to be timed
        batches = torch.stack([torch.stack(list(batch.values())) for batch in self._batches])  # (batches, numbers)
        means: Any = self.accelerator.reduce(batches.mean(dim=0), "mean")  # (numbers,), over all processes
        values = dict(zip(self._batches[0], means.tolist(), strict=True))

        # Rates
        now = time.perf_counter()
        values |= {name: side.schedule.get_last_lr()[0] for name, side in self.sides.items()}
        seconds = (now - self._since) / self._updates
        values["images_per_second"] = self.images_per_update / seconds
        self._since, self._updates = now, 0
        if self.accelerator.is_main_process:
            losses = ", ".join(f"{name} {values[key]:.3g}" for key, name in LOGGED.items() if key in values)
            logger.info("step %d/%d: %.3g s/update, %s", step, self.progress.total, seconds, losses)
        self._track(values, step)

    def _track(self, values: Mapping[str, float], step: int) -> None:
        self.accelerator.log(dict(values), step=step)
        if self.metrics_file is not None:
            self.metrics_file.add(step, values)

    def log_figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Log the metrics of an evaluation during training, by name; only on the main process."""
        shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
        logger.info("step %d/%d: %s", step, self.progress.total, shown)
        self._track(figures, step)


def check_tracker(report_to: str) -> None:
    """Check that a tracker is known and installed; accelerate would silently skip one that is not installed.

    Args:
        report_to (`str`): `"tensorboard"`, `"wandb"`, `"trackio"` or another that accelerate knows; `"all"`, `"none"`.

    Raises:
        ValueError: If it cannot be used.
    """
    known = ["none", "all", *LOGGER_TYPE_TO_CLASS]
    if report_to not in known:
        raise ValueError(f"`report_to` is {report_to!r}; allowed are {', '.join(known)}.")
    # accelerate's own trackers are enum members, which do not compare equal to strings
    if report_to in LoggerType.list() and report_to != "all" and LoggerType(report_to) not in get_available_trackers():
        package = report_to.replace("_", "-")
        raise ValueError(f"`report_to` is {report_to!r}, which is not installed here: `pip install {package}`.")


def start_trackers(accelerator: Accelerator, project: str, arguments: Mapping[str, Any]) -> None:
    """Start the accelerator's trackers, and log the options of the run.

    Args:
        accelerator (`Accelerator`): The accelerator of the main process.
        project (`str`): The project's name in the tracker.
        arguments (`Mapping[str, Any]`): The resolved command line.
    """
    folder = Path(accelerator.logging_dir)
    if LoggerType.WANDB in accelerator.log_with:
        folder.mkdir(parents=True, exist_ok=True)  # else W&B writes to the system's temporary folder
    options = {"wandb": {"dir": str(folder)}}  # else W&B writes to the current folder
    accelerator.init_trackers(project, {name: str(value) for name, value in arguments.items()}, options)


def log_image(accelerator: Accelerator, name: str, image: Image.Image, step: int) -> None:
    """Send an image to the trackers that support images: TensorBoard, W&B, trackio and others."""
    for tracker in accelerator.trackers:
        if hasattr(tracker, "log_images"):
            # TensorBoard expects channels first by default; the others do not have this option
            options = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({name: np.asarray(image)[None]}, step=step, **options)
        elif tracker.name == "trackio":  # supports images, but accelerate has no method for it
            import trackio  # pyright: ignore[reportMissingImports]

            tracker.log({name: trackio.Image(image)}, step=step)


def save_losses(output_dir: Path) -> None:
    """Draw the table of a run's folder as `losses.png` beside it; see [`draw_losses`]."""
    if image := draw_losses(read_metrics(output_dir / METRICS)):
        image.save(output_dir / LOSSES)


def draw_losses(rows: Sequence[Mapping[str, float]]) -> Image.Image | None:
    """Draw the numbers of a run's table that are not rates, those of evaluations first; see [`read_metrics`].

    A panel's line is the mean over the updates of a pixel's width, and its axis reaches from the least to the largest
    of these means. Values that are not finite are left out.

    Args:
        rows (`Sequence[Mapping[str, float]]`): Numbers by name, `step` among them.

    Returns:
        `PIL.Image.Image`, or `None` if there are no numbers yet.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in NO_LOSSES and math.isfinite(value):
                curves.setdefault(name, []).append((row[STEP], value))
    if not curves:
        return None
    sheet = Image.new("RGB", (COLUMNS * WIDTH, -(-len(curves) // COLUMNS) * HEIGHT), "white")
    last = max(row[STEP] for row in rows)
    # first what was measured on pairs that are not trained on
    names = sorted(curves, key=lambda name: not name.startswith("evaluation/"))
    for number, name in enumerate(names):
        points = curves[name]
        panel = _panel(name, np.array(points), last)
        sheet.paste(panel, (number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT))
    return sheet


def _panel(name: str, points: np.ndarray, last: float) -> Image.Image:
    """Draw the points `(points, 2)` of one number over the updates 0 to `last`."""
    # The mean of each pixel's width
    columns = np.round(LEFT + points[:, 0] / last * (RIGHT - LEFT)).astype(int)  # (points,), pixels
    places = np.unique(columns)
    means = np.array([points[columns == place, 1].mean() for place in places])  # (places,)

    # From the lowest mean at the bottom to the highest at the top
    low, high = float(means.min()), float(means.max())
    heights = (means - low) / (high - low) if high > low else np.full(len(means), 0.5)
    line = [(int(x), round(BOTTOM - share * (BOTTOM - TOP))) for x, share in zip(places, heights, strict=True)]

    # Frame, name, numbers on the axes, line
    panel = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(12)
    draw.line([(LEFT, TOP), (RIGHT, TOP)], FAINT)
    draw.line([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], INK)
    draw.text((LEFT, 6), name, INK, ImageFont.load_default(14))
    if high > low:
        draw.text((LEFT - 6, TOP), f"{high:.3g}", INK, font, anchor="rm")
        draw.text((LEFT - 6, BOTTOM), f"{low:.3g}", INK, font, anchor="rm")
    else:
        draw.text((LEFT - 6, (TOP + BOTTOM) // 2), f"{low:.3g}", INK, font, anchor="rm")
    draw.text((LEFT, BOTTOM + 6), "0", INK, font, anchor="mt")
    draw.text((RIGHT, BOTTOM + 6), f"{last:.0f}", INK, font, anchor="rt")
    if len(line) > 1:
        draw.line(line, LINE, width=2, joint="curve")
    for x, y in line if len(line) < 20 else ():  # a line of one point would not be seen
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], LINE)
    return panel
