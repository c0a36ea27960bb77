"""Logging of a training run: numbers to the log and the trackers, images to trackers that support them."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import LoggerType
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from .game import PhaseOutput, Side
from .metrics_file import MetricsFile


logger = logging.getLogger(__name__)
# The losses in the log, in a line that fits a terminal of 100 columns.
LOGGED = {"generator_loss": "generator", "discriminator_loss": "discriminator", "perceptual": "perceptual"}


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
        self._batches: list[dict[str, Tensor]] = []  # the numbers of an update's batches
        self._is_complete = False  # whether they are all there

    def add(self, generator_output: PhaseOutput, discriminator_output: PhaseOutput) -> None:
        """Add the outputs of one of the batches that make an update."""
        if self._is_complete:
            self._batches, self._is_complete = [], False
        self._batches.append(_scalars(generator_output, discriminator_output))

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
        values: dict[str, Any] = self._means()  # first: it waits for the device, whose work has to be timed
        now = time.perf_counter()
        values |= {name: side.schedule.get_last_lr()[0] for name, side in self.sides.items()}
        seconds = (now - self._since) / self._updates
        values["images_per_second"] = self.images_per_update / seconds
        self._since, self._updates = now, 0
        if self.accelerator.is_main_process:
            losses = ", ".join(f"{name} {values[key]:.3g}" for key, name in LOGGED.items() if key in values)
            logger.info("step %d/%d: %.3g s/update, %s", step, self.progress.total, seconds, losses)
        self._track(values, step)

    def _means(self) -> dict[str, float]:
        batches = torch.stack([torch.stack(list(batch.values())) for batch in self._batches])  # (batches, numbers)
        means = self.accelerator.reduce(batches.mean(dim=0), "mean")
        return dict(zip(self._batches[0], means.tolist(), strict=True))  # pyright: ignore[reportAttributeAccessIssue]

    def _track(self, values: Mapping[str, float], step: int) -> None:
        self.accelerator.log(dict(values), step=step)
        if self.metrics_file is not None:
            self.metrics_file.add(step, values)

    def log_figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Log the metrics of an evaluation during training, by name; only on the main process."""
        shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
        logger.info("step %d/%d: %s", step, self.progress.total, shown)
        self._track(figures, step)


def _scalars(generator_output: PhaseOutput, discriminator_output: PhaseOutput) -> dict[str, Tensor]:
    """Return the unweighted terms, weighted sums and mean logits of an iteration, without gradients."""
    values = generator_output.terms | discriminator_output.terms
    values |= {"generator_loss": generator_output.loss, "discriminator_loss": discriminator_output.loss}
    values |= {"real_logits": discriminator_output.real_logits, "fake_logits": discriminator_output.fake_logits}
    return {name: value.detach().float() for name, value in values.items()}


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
