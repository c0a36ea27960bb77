"""Logging of a training run: numbers to the log and the trackers, images to those that take them."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import LoggerType
from PIL import Image
from tqdm.auto import tqdm

from .side import Side
from .steps import StepOutput


logger = logging.getLogger(__name__)
# What the log shows of all the numbers: a line for a terminal of 100 columns.
LOGGED = {"generator_loss": "generator", "discriminator_loss": "discriminator", "perceptual": "perceptual"}


class Monitor:
    """Writes down the numbers of a run.

    Args:
        accelerator (`Accelerator`): With its trackers.
        progress (`tqdm`): Counts the updates, up to its `total`.
        sides (`Mapping[str, Side]`): Those whose learning rates are shown, by the rate's name.
        images_per_update (`int`): Of all processes and accumulated batches.
    """

    def __init__(
        self, accelerator: Accelerator, progress: tqdm, *, sides: Mapping[str, Side], images_per_update: int
    ) -> None:
        self.accelerator, self.progress, self.sides = accelerator, progress, sides
        self.images_per_update = images_per_update
        self._since, self._updates = time.perf_counter(), 0

    def count_update(self) -> None:
        """An update is done."""
        self.progress.update()
        self._updates += 1

    def log(self, step: int, outputs: tuple[StepOutput, StepOutput]) -> None:
        """Losses, logits, learning rates, and images per second since the last call; the main ones to the log.

        The rate is that of the wall clock, checkpoints and sample images included.
        """
        values = _scalars(*outputs)  # first: it waits for the device, whose work the clock has to see
        now = time.perf_counter()
        values |= {name: side.schedule.get_last_lr()[0] for name, side in self.sides.items()}
        seconds = (now - self._since) / self._updates
        values["images_per_second"] = self.images_per_update / seconds
        self._since, self._updates = now, 0
        if self.accelerator.is_main_process:
            losses = ", ".join(f"{name} {values[key]:.3g}" for key, name in LOGGED.items() if key in values)
            logger.info("step %d/%d: %.3g s/update, %s", step, self.progress.total, seconds, losses)
        self.accelerator.log(values, step=step)

    def log_figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures of an evaluation on the way, by their names; on the main process."""
        shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
        logger.info("step %d/%d: %s", step, self.progress.total, shown)
        self.accelerator.log(dict(figures), step=step)


def _scalars(generator_output: StepOutput, discriminator_output: StepOutput) -> dict[str, float]:
    """Unweighted terms, weighted sums and mean logits of an iteration."""
    values = generator_output.terms | discriminator_output.terms
    values |= {"generator_loss": generator_output.loss, "discriminator_loss": discriminator_output.loss}
    values |= {"real_logits": discriminator_output.real_logits, "fake_logits": discriminator_output.fake_logits}
    return {name: value.item() for name, value in values.items()}


def check_tracker(report_to: str) -> None:
    """Refuse a tracker that is unknown, or whose package is missing; accelerate would leave that one out silently.

    Args:
        report_to (`str`): `"tensorboard"`, `"wandb"`, `"trackio"` or another that accelerate knows; `"all"`, `"none"`.

    Raises:
        ValueError: If it cannot be used.
    """
    known = ["none", "all", *LOGGER_TYPE_TO_CLASS]
    if report_to not in known:
        raise ValueError(f"`report_to` is {report_to!r}; allowed are {', '.join(known)}.")
    # accelerate's own trackers are members of an enumeration, which equal no string
    if report_to in LoggerType.list() and report_to != "all" and LoggerType(report_to) not in get_available_trackers():
        package = report_to.replace("_", "-")
        raise ValueError(f"`report_to` is {report_to!r}, which is not installed here: `pip install {package}`.")


def start_trackers(accelerator: Accelerator, project: str, arguments: Mapping[str, Any]) -> None:
    """Open the accelerator's trackers and tell them the options of the run.

    Args:
        accelerator (`Accelerator`): On the main process.
        project (`str`): What the runs are filed under.
        arguments (`Mapping[str, Any]`): The resolved command line.
    """
    folder = Path(accelerator.logging_dir)
    if LoggerType.WANDB in accelerator.log_with:
        folder.mkdir(parents=True, exist_ok=True)  # else W&B writes to the folder for temporary files
    options = {"wandb": {"dir": str(folder)}}  # else to the current one
    accelerator.init_trackers(project, {name: str(value) for name, value in arguments.items()}, options)


def log_image(accelerator: Accelerator, name: str, image: Image.Image, step: int) -> None:
    """Give an image to those trackers that take images: TensorBoard, W&B, trackio and others."""
    for tracker in accelerator.trackers:
        if hasattr(tracker, "log_images"):
            # TensorBoard takes channels first unless told; the others know no such option
            options = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            tracker.log_images({name: np.asarray(image)[None]}, step=step, **options)
        elif tracker.name == "trackio":  # takes images, but accelerate has no method for that
            import trackio  # pyright: ignore[reportMissingImports]

            tracker.log({name: trackio.Image(image)}, step=step)
